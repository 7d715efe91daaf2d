"""Whole sessions with a voice model, each between a microphone and a loudspeaker in real time."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from typing import Any, Literal

import aiohttp
from livekit.agents import Agent, AgentSession, vad
from livekit.plugins import openai

from benchmarks.common.gateway import API_KEY
from benchmarks.common.silent_model import SilentModel
from benchmarks.common.voice_line import (
    STAMP,
    Heard,
    Loudspeaker,
    Microphone,
    Script,
    delivered_after,
    script_of,
)
from livekit_plugins_speko import Speko, SpekoRealtimeModel


class VoiceCall(ABC):
    """One way to hold a conversation with the gateway's voice model."""

    name: str

    def script(self, at: int) -> Script:
        """Return what the caller says in the session of that number."""
        return script_of(at)

    @abstractmethod
    async def start(self) -> None:
        """Connect."""

    @abstractmethod
    async def talk(self, script: Script) -> Heard:
        """Hold a conversation."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close everything."""


class SessionCall(VoiceCall):
    """A whole `AgentSession`."""

    def __init__(
        self,
        parts: dict[str, Any],
        detector: vad.VAD | None,
        *,
        turn_detection: Literal["vad", "realtime_llm"] = "realtime_llm",
        loudspeaker: Loudspeaker | None = None,
        microphone: Microphone | None = None,
    ) -> None:
        """Make a session of these parts.

        Args:
            parts: What it hears, thinks and speaks with, as `AgentSession` calls them.
            detector: Its VAD.
            turn_detection: What ends a turn.
            loudspeaker: For audio that holds no times.
            microphone: For audio at another rate.
        """
        # LiveKit warns of a loudspeaker that cannot pause, and of a session without a VAD.
        logging.getLogger("livekit.agents").setLevel(logging.ERROR)
        self._microphone = microphone or Microphone()
        self._loudspeaker = loudspeaker or Loudspeaker()
        self._session = AgentSession[None](
            **parts,
            vad=detector,
            turn_handling={
                "turn_detection": turn_detection,
                # The loudspeaker cannot pause.
                "interruption": {"mode": "vad", "resume_false_interruption": False},
            },
            # LiveKit keeps the caller's audio from the model in the first seconds of a reply.
            aec_warmup_duration=None,
        )
        self._session.input.audio = self._microphone
        self._session.output.audio = self._loudspeaker
        # The caller's words, final.
        self._words: list[str] = []
        self._session.on("user_input_transcribed", self._note_words)

    async def start(self) -> None:
        await self._session.start(agent=Agent(instructions="You are a concierge."))

    async def talk(self, script: Script) -> Heard:
        loudspeaker = self._loudspeaker
        heard = loudspeaker.heard = Heard()
        loudspeaker.started.clear()
        self._words.clear()
        began_s = self._microphone.say(script)
        await asyncio.sleep(began_s + script.seconds - time.monotonic())
        turns = len(script.speech)
        heard.missing = abs(turns - len(loudspeaker.started)) + abs(turns - len(self._words))
        heard.began_s, heard.spoke_s = self._microphone.began_s or 0.0, began_s
        for (_, ended_s), started_s in zip(script.speech, loudspeaker.started, strict=False):
            sounded_s = began_s + delivered_after(ended_s)
            heard.response_ms.append(1e3 * (started_s - sounded_s))
        return heard

    async def aclose(self) -> None:
        await self._session.aclose()

    def _note_words(self, event: Any) -> None:
        if event.is_final:
            self._words.append(event.transcript)


class SpekoCall(SessionCall):
    """This plugin, with a session of one of its forms."""

    # The provider, by which the gateway chooses the form.
    provider: str

    def __init__(self, url: str, detector: vad.VAD | None = None) -> None:
        self._speko = Speko(base_url=url, api_key=API_KEY)
        self._model = SpekoRealtimeModel(speko=self._speko, provider=self.provider, model="bench-1")
        super().__init__({"llm": self._model}, detector)

    async def aclose(self) -> None:
        await super().aclose()
        await self._model.aclose()
        await self._speko.aclose()


class ProxyCall(SpekoCall):
    """Through Speko's proxy."""

    name, provider = "speko, proxy", "openai"


class XaiCall(SpekoCall):
    """Direct to xAI."""

    name, provider = "speko, xai", "xai"


class OpenAICall(SessionCall):
    """livekit-plugins-openai, on the socket that stands for xAI's too."""

    name = "openai plugin"

    def __init__(self, url: str, detector: vad.VAD | None = None) -> None:
        self._http = aiohttp.ClientSession()
        self._model = openai.realtime.RealtimeModel(
            model="bench-1",
            base_url=f"{url}/v1/realtime",
            api_key=API_KEY,
            http_session=self._http,
        )
        super().__init__({"llm": self._model}, detector)

    async def aclose(self) -> None:
        await super().aclose()
        await self._model.aclose()
        await self._http.close()


class SilentCall(SessionCall):
    """A session with a model that does nothing: LiveKit's own part, without that of a reply."""

    name = "LiveKit alone"

    def __init__(self, url: str, detector: vad.VAD | None = None) -> None:
        super().__init__({"llm": SilentModel()}, detector)

    async def talk(self, script: Script) -> Heard:
        began_s = self._microphone.say(script)
        await asyncio.sleep(began_s + script.seconds - time.monotonic())
        return Heard()


class BareCall(VoiceCall):
    """A bare socket of Speko's proxy, which notes when audio came and does nothing with it."""

    name = "bare socket"

    def __init__(self, url: str, detector: vad.VAD | None = None) -> None:
        self._url = f"{url}/v1/sessions/s-1"
        self._http = aiohttp.ClientSession()
        self._microphone = Microphone()
        # None before `start`, like the task that speaks.
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._speaking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._ws = await self._http.ws_connect(self._url)
        self._speaking = asyncio.create_task(self._speak(self._ws))

    async def talk(self, script: Script) -> Heard:
        assert self._ws is not None
        began_s, heard = self._microphone.say(script), Heard()
        ends_s = began_s + script.seconds
        heard.began_s, heard.spoke_s = self._microphone.began_s or 0.0, began_s
        is_first = True
        while (left_s := ends_s - time.monotonic()) > 0:
            try:
                message = await self._ws.receive(timeout=left_s)
            except asyncio.TimeoutError:
                break
            now_s = time.monotonic()
            if message.type is aiohttp.WSMsgType.BINARY:
                late_ms = 1e3 * (now_s - STAMP.unpack_from(message.data)[0])
                heard.piece_ms.append(late_ms)
                if is_first:
                    heard.first_ms.append(late_ms)
                is_first = False
            elif "usage" in message.data:
                is_first = True
        return heard

    async def aclose(self) -> None:
        assert self._ws is not None and self._speaking is not None
        self._speaking.cancel()
        await asyncio.wait([self._speaking])
        await self._ws.close()
        await self._http.close()

    async def _speak(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in self._microphone:
            await ws.send_bytes(bytes(frame.data))


CALLS: dict[str, type[Any]] = {
    each.name: each for each in (BareCall, SilentCall, ProxyCall, XaiCall, OpenAICall)
}
