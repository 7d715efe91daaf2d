"""The longest block of the event loop, from the client's constructor to a second turn.

Each run is a process of its own with everything imported, as LiveKit's worker starts its jobs
(forkserver). In it every callback of the loop is timed, step by step, over TLS and with the garbage
collector off. Beside it livekit-plugins-openai, and a chat of LiveKit's base classes alone.

    .venv/bin/python -m benchmarks.event_loop [--runs 3] [--json FILE]
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from livekit.agents import llm, stt, tts, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from benchmarks.common import callers, setup
from benchmarks.common.callers import SENTENCE, UTTERANCE, asked, openai_parts
from benchmarks.common.gateway import API_KEY, INTENT, Gateway
from benchmarks.common.report import Aim, parser, write_json
from benchmarks.common.stopwatch import (
    Blocks,
    Stopwatch,
    gateway_is_trusted,
    in_fresh_processes,
    print_blocks,
)
from livekit_plugins_speko import Speko, create_speko_components

OURS, ALONE, THEIRS = "speko", "LiveKit alone", "openai plugin"
STEPS = ("client", "parts", "prewarm", "recognize", "chat", "synthesize", "second turn")
# For a connection that is opened in the background, and a context that is built in a thread.
PREWARM_S = 0.25
QUICK = {"recognition_ms": 20, "first_token_ms": 20, "first_audio_ms": 20, "audio_speed": 20}


class Parts(NamedTuple):
    """A session's STT, LLM and TTS, in their adapters."""

    stt: stt.STT[Any]
    llm: llm.LLM[Any]
    tts: tts.TTS[Any]


class NoVAD(vad.VAD):
    """A VAD for adapters whose streams are never opened."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.032))

    def stream(self) -> vad.VADStream:
        raise NotImplementedError


class StubLLM(llm.LLM[Any]):
    """LiveKit's base class with a fixed reply: its own part of a call."""

    def chat(
        self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any
    ) -> llm.LLMStream:
        options = conn_options or DEFAULT_API_CONNECT_OPTIONS
        return StubLLMStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=options)


class StubLLMStream(llm.LLMStream):
    """The reply of a `StubLLM`."""

    async def _run(self) -> None:
        for token in ("It", " is", " sunny", "."):
            delta = llm.ChoiceDelta(role="assistant", content=token)
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


async def speko(watch: Stopwatch, url: str) -> None:
    """Run this plugin's steps."""

    async def client() -> Speko:
        return Speko(base_url=url, api_key=API_KEY)

    async def parts(client: Speko) -> Parts:
        return Parts(*create_speko_components(speko=client, vad=NoVAD(), intent=INTENT))

    made = await watch.during("client", client)
    await turns(watch, await watch.during("parts", lambda: parts(made)))


async def openai_plugin(watch: Stopwatch, url: str) -> None:
    """Run the steps of livekit-plugins-openai, whose parts make their clients themselves."""

    async def parts() -> Parts:
        recognizer, model, voice = openai_parts(url)
        return Parts(
            stt.StreamAdapter(stt=recognizer, vad=NoVAD()),
            model,
            tts.StreamAdapter(tts=voice, sentence_tokenizer=setup.TOKENIZER),
        )

    await turns(watch, await watch.during("parts", parts))


async def livekit_alone(watch: Stopwatch, _: str) -> None:
    """Run the step that takes longest with LiveKit's base classes alone."""
    await watch.during("chat", lambda: chat(StubLLM()))


async def turns(watch: Stopwatch, parts: Parts) -> None:
    """Prewarm, take the first turn step by step, then another."""

    async def prewarm() -> None:
        for part in parts:
            part.prewarm()
        await asyncio.sleep(PREWARM_S)

    async def recognize() -> None:
        await parts.stt.recognize(UTTERANCE)

    async def synthesize() -> None:
        async with parts.tts.stream() as stream:
            stream.push_text(SENTENCE)
            stream.end_input()
            async for _ in stream:
                pass

    async def second_turn() -> None:
        await recognize()
        await chat(parts.llm)
        await synthesize()

    steps = (prewarm, recognize, lambda: chat(parts.llm), synthesize, second_turn)
    for name, work in zip(STEPS[2:], steps, strict=True):
        await watch.during(name, work)


async def chat(model: llm.LLM[Any]) -> None:
    """Read a reply to its end."""
    async with model.chat(chat_ctx=asked()) as chunks:
        async for _ in chunks:
            pass


WAYS: dict[str, Callable[[Stopwatch, str], Awaitable[None]]] = {
    OURS: speko,
    ALONE: livekit_alone,
    THEIRS: openai_plugin,
}


def one_run(job: tuple[str, str]) -> Blocks:
    """Return the longest callback of each step, in this fresh process."""
    name, url = job
    gc.disable()
    watch = Stopwatch(STEPS)
    watch.install()

    async def run() -> None:
        await WAYS[name](watch, url)

    asyncio.run(run())
    return watch.longest


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    longest_ms = max(min(wall for wall, _ in runs) for runs in figures[OURS].values())
    yield Aim("longest block of the event loop, ms", 5, longest_ms)


def main() -> None:
    """Measure and print."""
    command = parser(__doc__)
    command.add_argument("--runs", type=int, default=3)
    options = command.parse_args()
    with Gateway(tls=True) as gateway, gateway_is_trusted():
        url = gateway.line("quick", **QUICK)
        preload = (callers.__name__, setup.__name__)
        figures = in_fresh_processes(one_run, WAYS, url, runs=options.runs, preload=preload)
    print_blocks(figures, options.runs)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
