"""Many sessions at once in one process: CPU and memory of each, and how late their audio is.

    .venv/bin/python -m benchmarks.sessions [--json FILE]

In "a turn" a session understands two seconds of audio, has a reply written and speaks it through
the same adapters as in a call. In "a sentence" it only speaks. Both listen in real time
(`_sessions_talk.Heard`). Neither has a VAD: Silero takes more than all the rest. "A call's turn" is
the whole thing: an `AgentSession` with Silero, and somebody who speaks.

This plugin and livekit-plugins-openai have a process each and take turns, so that both meet the
same machine. A process that others keep from its core is late whoever it is: "waited" says how much
of the time it could have run and had no core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from livekit.plugins import silero

from benchmarks._callers import SENTENCE as SHORT_SENTENCE
from benchmarks._common import (
    CpuTime,
    Gateway,
    machine,
    median,
    p95,
    parser,
    print_table,
    write_json,
)
from benchmarks._sessions_talk import SENTENCE, Heard, OpenAITalker, SpekoTalker, Talker
from benchmarks._sessions_worker import Row, Step, Waited, Worker, resident_kb
from benchmarks._turn_call import calling
from benchmarks._turn_setup import Setup
from benchmarks._turn_speech import recorded

TALKERS: dict[str, Callable[[str], Talker]] = {
    "speko": SpekoTalker,
    "openai plugin": OpenAITalker,
}
WHOLE = "speko, AgentSession"
TURN, SENTENCE_1X = "a turn, 5x", "a sentence, 1x"
CALL = "a call's turn, 5x"
# The turns come first, and their number grows: their memory is measured, and what one leaves free
# is used by the next.
STEPS: tuple[Step, ...] = (
    (TURN, 1, 0.0),
    (TURN, 10, 0.5),
    (TURN, 50, 2.5),
    (TURN, 100, 2.5),
    (SENTENCE_1X, 50, 0.5),
)
WHOLE_STEPS = (10,)
FIRST_AUDIO_MS = 150
# A service that renders in real time writes each frame when it has it.
REALTIME: dict[str, Any] = {"audio_speed": 1, "piece_ms": 20}
FAST: dict[str, Any] = {
    "audio_speed": 5,
    "piece_ms": 40,
    "speech_ms": {SENTENCE: 2_000, SHORT_SENTENCE: 40},
    "character_ms": 20,
}


async def main() -> None:
    """Measure and print; or measure what is asked for, in a process of its own."""
    command = parser(__doc__)
    command.add_argument("--of", help=argparse.SUPPRESS)
    command.add_argument("--url", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.of is not None:
        # The openai plugin warns of every answer that has no request id.
        logging.getLogger("livekit.agents").setLevel(logging.ERROR)
        await work(options.of, options.url)
        return
    with Gateway() as gateway:
        rows = measured(gateway)
        late_ms = gateway.stats()["late_ms"]
    print_rows(rows)
    print(
        f"The gateway's own writes were late by {late_ms['p50']:.2f} ms (p95 {late_ms['p95']:.2f})."
    )
    write_json(options.json, {"sessions": rows, "gateway_late_ms": late_ms})


def measured(gateway: Gateway) -> list[Row]:
    """The rows, each from the process of its client."""
    rows = []
    with ExitStack() as stack:
        names = (*TALKERS, WHOLE)
        workers = {of: stack.enter_context(Worker(of, gateway.url)) for of in names}
        gateway.line("", **FAST)
        for worker in workers.values():
            worker.wait()
        gateway.reset()
        for what in STEPS:
            gateway.line("", **(REALTIME if what[0] == SENTENCE_1X else FAST))
            rows += [workers[of].do(what) for of in TALKERS]
        rows += [workers[WHOLE].do((CALL, count, 0.0)) for count in WHOLE_STEPS]
    return rows


async def work(of: str, url: str) -> None:
    """Do the steps that standard input asks for, until it ends."""
    async with AsyncExitStack() as stack:
        crowd = Crowd(url, TALKERS[of], stack) if of in TALKERS else Calls(url)
        # What only the first one costs.
        await crowd.do((TURN, 1, 0.0))
        before_kb = resident_kb()
        print("ready", flush=True)
        for line in sys.stdin:
            what: Step = json.loads(line)
            waited = Waited()
            row = {"doing": what[0], "sessions": what[1], **await crowd.do(what)}
            if what[0] in (TURN, CALL):
                row["memory_kb"] = (resident_kb() - before_kb) / what[1]
            print(json.dumps({**row, "waited_percent": waited.percent()}), flush=True)


class Crowd:
    """Sessions of one client, which stay for the next step: to make them takes its time too."""

    def __init__(self, url: str, make: Callable[[str], Talker], stack: AsyncExitStack) -> None:
        self._url = url
        self._make = make
        # Closes them.
        self._stack = stack
        self._talkers: list[Talker] = []

    async def do(self, what: Step) -> Row:
        """So many of them at once, each of which does it once."""
        doing, count, spread_s = what
        while len(self._talkers) < count:
            self._talkers.append(self._make(self._url))
            self._stack.push_async_callback(self._talkers[-1].aclose)
        talkers = self._talkers[:count]
        await asyncio.gather(*(talker.tts() for talker in talkers))  # opens the connections
        cpu = CpuTime()
        dice = random.Random(0)
        heard = await asyncio.gather(
            *(hold(talker, doing, dice.uniform(0, spread_s)) for talker in talkers)
        )
        row: Row = {"cpu_ms": cpu.ms() / count}
        if doing != TURN:
            row["first_audio_ms"] = median(first_ms - FIRST_AUDIO_MS for _, first_ms in heard)
        late_ms = [late for each, _ in heard for late in each.late_ms]
        figures = {"late_p50_ms": median(late_ms), "late_p95_ms": p95(late_ms)}
        return row | figures | {"latest_ms": max(late_ms)}


async def hold(talker: Talker, doing: str, after_s: float) -> tuple[Heard, float]:
    """One session: what was heard, and how many milliseconds it began after it was asked for."""
    await asyncio.sleep(after_s)
    asked_s = time.monotonic()
    heard = await (talker.take_turn() if doing == TURN else talker.speak())
    assert heard.began_s is not None
    return heard, 1e3 * (heard.began_s - asked_s)


class Calls:
    """Whole sessions, made anew for each step."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._detector = silero.VAD.load()

    async def do(self, what: Step) -> Row:
        """So many of them at once, which take one turn each."""
        utterance = recorded("weather")
        async with AsyncExitStack() as stack:
            calls = [
                await stack.enter_async_context(
                    calling(Setup("whole", eager=True), self._url, self._detector)
                )
                for _ in range(what[1])
            ]
            cpu = CpuTime()
            await asyncio.gather(*(call.take_turn(utterance) for call in calls))
            return {"cpu_ms": cpu.ms() / len(calls)}


def print_rows(rows: list[Row]) -> None:
    """Print the table, the ratios to openai's plugin first."""
    base = {
        (row["doing"], row["sessions"]): row for row in rows if row["client"] == "openai plugin"
    }
    late = ("late_p50_ms", "late_p95_ms", "latest_ms", "waited_percent")

    def cells(row: Row) -> Iterator[object]:
        yield from (row["doing"], row["client"], row["sessions"])
        other = base.get((row["doing"], row["sessions"]))
        yield row["cpu_ms"] / other["cpu_ms"] if other else ""
        for of in ("cpu_ms", "memory_kb", "first_audio_ms", *late):
            yield row.get(of, "")

    print(f"\n{machine()}. For each session: milliseconds of CPU, kB of memory. The first frame")
    print("behind the upstream's delay, and all frames of 20 ms behind their turn, in ms.\n")
    head: tuple[str, ...]
    head = ("doing", "client", "sessions", "CPU / openai's", "CPU", "memory", "first frame")
    head += ("late p50", "late p95", "latest", "waited, %")
    print_table(head, (list(cells(row)) for row in rows), texts=2)


if __name__ == "__main__":
    asyncio.run(main())
