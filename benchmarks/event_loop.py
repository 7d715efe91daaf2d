"""The longest block of the event loop, from the client's constructor to a second turn.

Each run is a process of its own with everything imported, as LiveKit's worker starts its jobs
(forkserver). In it every callback of the loop is timed, step by step, over TLS and with the garbage
collector off. Beside it livekit-plugins-openai, and a chat of LiveKit's base classes alone.

    .venv/bin/python -m benchmarks.event_loop [--runs 3] [--json FILE]
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, TypeAlias, TypeVar

import certifi
from livekit.agents import llm, stt, tts, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from benchmarks.common import callers, setup
from benchmarks.common.callers import SENTENCE, UTTERANCE, asked, openai_parts
from benchmarks.common.gateway import API_KEY, CERTIFICATE, INTENT, Gateway
from benchmarks.common.report import Aim, machine, parser, print_table, write_json
from livekit_plugins_speko import Speko, create_speko_components

OURS, ALONE, THEIRS = "speko", "LiveKit alone", "openai plugin"
STEPS = ("client", "parts", "prewarm", "recognize", "chat", "synthesize", "second turn")
# For a connection that is opened in the background, and a context that is built in a thread.
PREWARM_S = 0.25
QUICK = {"recognition_ms": 20, "first_token_ms": 20, "first_audio_ms": 20, "audio_speed": 20}

T = TypeVar("T")
Longest: TypeAlias = tuple[float, float]
"""The time of a callback and its CPU time, in milliseconds."""
Blocks: TypeAlias = dict[str, Longest]
"""By step: its longest callback."""


class Parts(NamedTuple):
    """A session's STT, LLM and TTS, in their adapters."""

    stt: stt.STT[Any]
    llm: llm.LLM[Any]
    tts: tts.TTS[Any]


class Stopwatch:
    """Times every callback of the event loop, and keeps the longest of each step."""

    def __init__(self) -> None:
        # The longest callback of each step so far.
        self.longest: Blocks = dict.fromkeys(STEPS, (0.0, 0.0))
        # The step that callbacks are booked to; None outside of all.
        self._step: str | None = None

    def install(self) -> None:
        """Wrap every callback of this process."""
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
    watch = Stopwatch()
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
    with Gateway(tls=True) as gateway, tempfile.NamedTemporaryFile("w") as file:
        # The usual certificates, which take the usual time to load, and the gateway's.
        with open(certifi.where()) as usual:
            file.write(usual.read() + CERTIFICATE.read_text())
        file.flush()
        os.environ["SSL_CERT_FILE"] = file.name
        figures = measured(gateway.line("quick", **QUICK), options.runs)
    print_blocks(figures, options.runs)
    write_json(options.json, figures)


def measured(url: str, runs: int) -> dict[str, dict[str, list[Longest]]]:
    """For each way the longest callbacks of its steps, one for each run, in turns."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([callers.__name__, setup.__name__])
    jobs = [(name, url) for name in WAYS]
    with context.Pool(1, maxtasksperchild=1) as pool:
        rounds = [pool.map(one_run, jobs, chunksize=1) for _ in range(runs)]
    return {
        name: {step: [each[index][step] for each in rounds] for step in STEPS}
        for index, name in enumerate(WAYS)
    }


def print_blocks(figures: dict[str, dict[str, list[Longest]]], runs: int) -> None:
    """Print a table: a line for each step, a column for each way."""
    print(
        f"{machine()}; ms of the longest callback, the least of {runs} processes; in brackets "
        "the CPU time of it: in the rest another process had the core\n"
    )

    def cell(longest: list[Longest]) -> str:
        wall_ms, cpu_ms = min(longest)
        return f"{wall_ms:.2f} ({cpu_ms:.2f})" if wall_ms else ""

    rows = [(step, *(cell(each[step]) for each in figures.values())) for step in STEPS]
    print_table(("step", *figures), rows)


if __name__ == "__main__":
    main()
