"""The same three requests made by bare httpx, this plugin and OpenAI's."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import httpx
from livekit import rtc
from livekit.agents import llm
from livekit.plugins import openai

from benchmarks.common.gateway import API_KEY, INTENT
from livekit_plugins_speko import Speko, SpekoLLM, SpekoSTT, SpekoTTS, frames_to_wav

# Two seconds of audio.
UTTERANCE = rtc.AudioFrame(bytes(64_000), 16_000, 1, 32_000)
SENTENCE = "It is sunny in Paris."
MESSAGE = "What is the weather in Paris today?"
HEADERS = {"Authorization": f"Bearer {API_KEY}", "Accept-Encoding": "identity"}
STT_HEADERS = {**HEADERS, "Content-Type": "audio/wav", "X-Speko-Intent": '{"language":"en-US"}'}
LLM_BODY = {"messages": [{"role": "user", "content": MESSAGE}], "intent": INTENT}
TTS_BODY = {"text": SENTENCE, "intent": INTENT}


def asked() -> llm.ChatContext:
    """A chat that ends with `MESSAGE`."""
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=MESSAGE)
    return context


class Caller(ABC):
    """One way to make the requests.

    Each method reads its response to the end, and returns when the first output came, on
    `time.perf_counter`.
    """

    name: str

    @abstractmethod
    async def stt(self) -> float:
        """Recognize `UTTERANCE`."""

    @abstractmethod
    async def llm(self) -> float:
        """Complete the chat that ends with `MESSAGE`."""

    @abstractmethod
    async def tts(self) -> float:
        """Synthesize `SENTENCE`."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""


class BareHttpx(Caller):
    """httpx with one client for all requests, reading bytes and parsing nothing."""

    name = "bare httpx"

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            verify=False,  # plain HTTP here: spares it an SSL context
            trust_env=False,
            limits=httpx.Limits(keepalive_expiry=300),
        )

    async def stt(self) -> float:
        wav = frames_to_wav(UTTERANCE)
        return await self._send("/v1/transcribe", headers=STT_HEADERS, content=wav)

    async def llm(self) -> float:
        return await self._send("/v1/complete", headers=HEADERS, json=LLM_BODY)

    async def tts(self) -> float:
        return await self._send("/v1/synthesize", headers=HEADERS, json=TTS_BODY)

    async def _send(self, path: str, **request: Any) -> float:
        first = 0.0
        async with self._client.stream("POST", path, **request) as response:
            async for _ in response.aiter_raw():
                first = first or time.perf_counter()
        return first

    async def aclose(self) -> None:
        await self._client.aclose()


class Plugin(Caller):
    """A LiveKit plugin's STT, LLM and TTS, called as a session calls them."""

    _stt: Any
    _llm: Any
    _tts: Any

    async def stt(self) -> float:
        await self._stt.recognize(UTTERANCE)
        return time.perf_counter()

    async def llm(self) -> float:
        first = 0.0
        async with self._llm.chat(chat_ctx=asked()) as chunks:
            async for chunk in chunks:
                if not first and chunk.delta is not None and chunk.delta.content:
                    first = time.perf_counter()
        return first

    async def tts(self) -> float:
        first = 0.0
        async with self._tts.synthesize(SENTENCE) as frames:
            async for _ in frames:
                first = first or time.perf_counter()
        return first

    async def aclose(self) -> None:
        for part in (self._stt, self._llm, self._tts):
            await part.aclose()


class SpekoPlugin(Plugin):
    """This plugin, with a client of its own or one that is shared."""

    name = "speko"

    def __init__(self, url: str, speko: Speko | None = None) -> None:
        # None when the client is shared, and not closed here.
        self._owned = Speko(base_url=url, api_key=API_KEY) if speko is None else None
        speko = self._owned or speko
        assert speko is not None
        self._stt = SpekoSTT(speko=speko, intent=INTENT)
        self._llm = SpekoLLM(speko=speko, intent=INTENT)
        self._tts = SpekoTTS(speko=speko, intent=INTENT)

    async def aclose(self) -> None:
        await super().aclose()
        if self._owned is not None:
            await self._owned.aclose()


class OpenAIPlugin(Plugin):
    """livekit-plugins-openai, with models whose responses stream."""

    name = "openai plugin"

    def __init__(self, url: str) -> None:
        self._stt, self._llm, self._tts = openai_parts(url)


def openai_parts(url: str) -> tuple[openai.STT, openai.LLM, openai.TTS]:
    """Make livekit-plugins-openai's STT, LLM and TTS."""
    options: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": API_KEY}
    return (
        openai.STT(model="gpt-4o-mini-transcribe", **options),
        openai.LLM(model="gpt-4o-mini", **options),
        openai.TTS(model="tts-1", response_format="pcm", **options),
    )
