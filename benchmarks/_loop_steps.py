"""The way to a second turn, step by step, with every callback of the event loop timed."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import httpx
from livekit.agents import llm, stt, tokenize, tts
from livekit.plugins import openai

from benchmarks._callers import LLM_BODY, MESSAGE, SENTENCE, TTS_BODY, UTTERANCE
from benchmarks._common import API_KEY, INTENT
from benchmarks._stubs import NoVAD, StubLLM, StubSTT, StubTTS
from livekit_plugins_speko import Speko, create_speko_components

T = TypeVar("T")
Parts: TypeAlias = tuple[Any, Any, Any]
Blocks: TypeAlias = dict[str, tuple[float, float]]
"""By step: the time of its longest callback, and that callback's CPU time, in milliseconds."""
STEPS = ("client", "parts", "prewarm", "recognize", "chat", "synthesize", "second turn")
PREWARM_S = 0.25
"""For a connection that is opened in the background, and a context that is built in a thread."""


class Stopwatch:
    """Times every callback of the event loop, and keeps the longest of each step."""

    def __init__(self) -> None:
        # The longest callback of each step so far.
        self.longest: Blocks = dict.fromkeys(STEPS, (0.0, 0.0))
        # The step that callbacks are booked to; None outside of all.
        self._step: str | None = None

    def install(self) -> None:
        """Put itself around every callback of this process."""
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began, cpu_began = time.perf_counter(), time.thread_time()
            run(handle)
            if self._step is not None:
                cpu_ms = 1e3 * (time.thread_time() - cpu_began)
                took = (1e3 * (time.perf_counter() - began), cpu_ms)
                self.longest[self._step] = max(self.longest[self._step], took)

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]

    async def during(self, step: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do some work, whose callbacks are booked to that step."""
        await asyncio.sleep(0)  # what came before is another callback
        self._step = step
        result = await work()
        await asyncio.sleep(0)
        self._step = None
        return result


async def speko(watch: Stopwatch, url: str) -> Parts:
    """This plugin."""

    async def client() -> Speko:
        return Speko(base_url=url, api_key=API_KEY)

    async def parts(speko: Speko) -> Parts:
        return create_speko_components(speko=speko, vad=NoVAD(), intent=INTENT)

    made = await watch.during("client", client)
    return await watch.during("parts", lambda: parts(made))


async def openai_plugin(watch: Stopwatch, url: str) -> Parts:
    """livekit-plugins-openai, whose parts make their clients themselves."""
    options: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": API_KEY}

    async def parts() -> Parts:
        return adapted(
            openai.STT(model="gpt-4o-mini-transcribe", **options),
            openai.LLM(model="gpt-4o-mini", **options),
            openai.TTS(model="tts-1", response_format="pcm", **options),
        )

    return await watch.during("parts", parts)


async def livekit_alone(watch: Stopwatch, url: str) -> Parts:
    """LiveKit's base classes with nothing behind them."""

    async def parts() -> Parts:
        return adapted(StubSTT(), StubLLM(), StubTTS())

    return await watch.during("parts", parts)


def adapted(recognizer: stt.STT[Any], model: llm.LLM[Any], voice: tts.TTS[Any]) -> Parts:
    """Three parts in LiveKit's adapters."""
    tokenizer = tokenize.basic.SentenceTokenizer(retain_format=True)
    return (
        stt.StreamAdapter(stt=recognizer, vad=NoVAD()),
        model,
        tts.StreamAdapter(tts=voice, sentence_tokenizer=tokenizer),
    )


async def turns(watch: Stopwatch, parts: Parts) -> None:
    """Prewarm, take the first turn step by step, then another."""
    recognizer, model, voice = parts

    async def prewarm() -> None:
        for part in parts:
            part.prewarm()
        await asyncio.sleep(PREWARM_S)

    async def recognize() -> None:
        await recognizer.recognize(UTTERANCE)

    async def chat() -> None:
        context = llm.ChatContext.empty()
        context.add_message(role="user", content=MESSAGE)
        async with model.chat(chat_ctx=context) as chunks:
            async for _ in chunks:
                pass

    async def synthesize() -> None:
        async with voice.stream() as stream:
            stream.push_text(SENTENCE)
            stream.end_input()
            async for _ in stream:
                pass

    async def turn() -> None:
        for step in (recognize, chat, synthesize):
            await step()

    for name, work in zip(STEPS[2:], (prewarm, recognize, chat, synthesize, turn), strict=True):
        await watch.during(name, work)


async def bare_httpx(watch: Stopwatch, url: str) -> None:
    """httpx with a context at hand, as far as its steps have a counterpart."""
    context = httpx.create_ssl_context()

    async def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=url, verify=context, trust_env=False)

    made = await watch.during("client", client)

    async def send(path: str, body: dict[str, Any]) -> None:
        async with made.stream("POST", path, json=body) as response:
            async for _ in response.aiter_raw():
                pass

    await watch.during("prewarm", lambda: made.head("/"))
    await watch.during("chat", lambda: send("/v1/complete", LLM_BODY))
    await watch.during("synthesize", lambda: send("/v1/synthesize", TTS_BODY))
    await watch.during("second turn", lambda: send("/v1/complete", LLM_BODY))


WAYS: dict[str, Callable[[Stopwatch, str], Awaitable[Parts | None]]] = {
    "speko": speko,
    "LiveKit alone": livekit_alone,
    "bare httpx": bare_httpx,
    "openai plugin": openai_plugin,
}


def one_run(job: tuple[str, str]) -> Blocks:
    """The longest callback of each step, in this fresh process."""
    name, url = job
    gc.disable()
    watch = Stopwatch()
    watch.install()

    async def run() -> None:
        parts = await WAYS[name](watch, url)
        if parts is not None:
            await turns(watch, parts)

    asyncio.run(run())
    return watch.longest
