"""Many sessions at once in one process: CPU and memory of each, and how late their audio is.

    .venv/bin/python -m benchmarks.sessions [--json FILE]

In "a turn" a session recognizes two seconds of audio, completes a reply and speaks it, through the
same adapters as in a call. In "a sentence" it only speaks. Both are played in real time
(`common.talkers.Playback`). Neither has a VAD: Silero takes more CPU than all the rest.

This plugin and livekit-plugins-openai have a process each and take turns, so that both meet the
same machine. A process that others keep from its core is late whatever it does: "waited" is the
share of the time in which it could have run and had no core.
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

from benchmarks.common.callers import SENTENCE
from benchmarks.common.gateway import Gateway
from benchmarks.common.report import (
    Aim,
    CpuTime,
    machine,
    median,
    p95,
    parser,
    print_table,
    write_json,
)
from benchmarks.common.talkers import LONG_SENTENCE, OpenAITalker, Playback, SpekoTalker, Talker
from benchmarks.common.worker import Row, Step, Waited, Worker, resident_kb

OURS, THEIRS = SpekoTalker.name, OpenAITalker.name
TALKERS: dict[str, Callable[[str], Talker]] = {OURS: SpekoTalker, THEIRS: OpenAITalker}
TURN, FAST_SENTENCE, REALTIME_SENTENCE = "a turn, 5x", "a sentence, 5x", "a sentence, 1x"
SESSIONS, CROWDED = 50, 100
# The turns come first: their memory is measured, and what they free is used by the next step.
STEPS: tuple[Step, ...] = (
    (TURN, SESSIONS, 2.5),
    (REALTIME_SENTENCE, SESSIONS, 0.5),
    (FAST_SENTENCE, SESSIONS, 0.5),
    (TURN, CROWDED, 2.5),
)
FIRST_AUDIO_MS = 150
# A service that renders in real time writes each frame when it has it.
REALTIME: dict[str, Any] = {"audio_speed": 1, "piece_ms": 20}
FAST: dict[str, Any] = {
    "audio_speed": 5,
    "piece_ms": 40,
    "speech_ms": {LONG_SENTENCE: 2_000, SENTENCE: 40},
    "character_ms": 20,
}


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    row = {(each["doing"], each["sessions"], each["client"]): each for each in figures["sessions"]}
    late_ms = row[REALTIME_SENTENCE, SESSIONS, OURS]["late_p95_ms"]
    name = f"{SESSIONS} realtime streams in one process: lateness of a frame, p95, ms"
    yield Aim(name, 20, late_ms)
    ours, theirs = (row[FAST_SENTENCE, SESSIONS, of]["cpu_ms"] for of in (OURS, THEIRS))
    yield Aim(f"CPU of a sentence, audio at 5x, over {THEIRS}'s", 1, ours / theirs)
    ours, theirs = (row[TURN, CROWDED, of]["late_p95_ms"] for of in (OURS, THEIRS))
    yield Aim(f"{CROWDED} turns at once: lateness, p95, ms (theirs {theirs:.0f})", theirs, ours)


async def main() -> None:
    """Measure and print; or measure one client, in a process of its own."""
    command = parser(__doc__)
    command.add_argument("--of", help=argparse.SUPPRESS)
    command.add_argument("--url", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.of is not None:
        # The openai plugin warns of every response that has no request id.
        logging.getLogger("livekit.agents").setLevel(logging.ERROR)
        await work(options.of, options.url)
        return
    with Gateway() as gateway:
        rows = measured(gateway)
        print_rows(rows)
        gateway.print_share()
    write_json(options.json, {"sessions": rows})


def measured(gateway: Gateway) -> list[Row]:
    """The rows, each from the process of its client."""
    rows = []
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker("benchmarks.sessions", of, gateway.url)) for of in TALKERS
        ]
        gateway.line("", **FAST)
        for worker in workers:
            worker.wait()
        gateway.reset()
        for step in STEPS:
            gateway.line("", **(REALTIME if step[0] == REALTIME_SENTENCE else FAST))
            rows += [worker.do(step) for worker in workers]
    return rows


async def work(of: str, url: str) -> None:
    """Do the steps that standard input has, until it ends."""
    async with AsyncExitStack() as stack:
        crowd = Crowd(url, TALKERS[of], stack)
        # The cost of the first one alone.
        await crowd.do((TURN, 1, 0.0))
        before_kb = resident_kb()
        print("ready", flush=True)
        for line in sys.stdin:
            step: Step = json.loads(line)
            waited = Waited()
            row = {"doing": step[0], "sessions": step[1], **await crowd.do(step)}
            if step[0] == TURN and step[1] == SESSIONS:
                row["memory_kb"] = (resident_kb() - before_kb) / step[1]
            print(json.dumps({**row, "waited_percent": waited.percent()}), flush=True)


class Crowd:
    """Sessions of one client, kept for the next step: making them takes its time too."""

    def __init__(self, url: str, make: Callable[[str], Talker], stack: AsyncExitStack) -> None:
        self._url = url
        self._make = make
        # Closes them.
        self._stack = stack
        self._talkers: list[Talker] = []

    async def do(self, step: Step) -> Row:
        """Have that many of them do it once, all at once."""
        doing, count, spread_s = step
        while len(self._talkers) < count:
            self._talkers.append(self._make(self._url))
            self._stack.push_async_callback(self._talkers[-1].aclose)
        talkers = self._talkers[:count]
        await asyncio.gather(*(talker.tts() for talker in talkers))  # opens the connections
        cpu = CpuTime()
        dice = random.Random(0)
        played = await asyncio.gather(
            *(play(talker, doing, dice.uniform(0, spread_s)) for talker in talkers)
        )
        row: Row = {"cpu_ms": cpu.ms() / count}
        if doing != TURN:
            row["first_audio_ms"] = median(first_ms - FIRST_AUDIO_MS for _, first_ms in played)
        late_ms = [late for each, _ in played for late in each.late_ms]
        figures = {"late_p50_ms": median(late_ms), "late_p95_ms": p95(late_ms)}
        return row | figures | {"latest_ms": max(late_ms)}


async def play(talker: Talker, doing: str, after_s: float) -> tuple[Playback, float]:
    """Run one session: return its playback, and the milliseconds until that began."""
    await asyncio.sleep(after_s)
    requested_s = time.monotonic()
    playback = await (talker.take_turn() if doing == TURN else talker.speak())
    assert playback.began_s is not None
    return playback, 1e3 * (playback.began_s - requested_s)


def print_rows(rows: list[Row]) -> None:
    """Print the table, the ratios to openai's plugin first."""
    base = {(row["doing"], row["sessions"]): row for row in rows if row["client"] == THEIRS}
    late = ("late_p50_ms", "late_p95_ms", "latest_ms", "waited_percent")

    def cells(row: Row) -> Iterator[object]:
        yield from (row["doing"], row["client"], row["sessions"])
        yield row["cpu_ms"] / base[row["doing"], row["sessions"]]["cpu_ms"]
        for of in ("cpu_ms", "memory_kb", "first_audio_ms", *late):
            yield row.get(of, "")

    print(
        f"{machine()}; sessions at once. For each: ms of CPU, kB of memory, ms to the first frame "
        "over the upstream's delay, and ms by which frames of 20 ms were late\n"
    )
    kinds = ("CPU / openai's", "CPU", "memory", "first frame")
    head = ("doing", "client", "sessions", *kinds, "late p50", "late p95", "latest", "waited, %")
    print_table(head, (list(cells(row)) for row in rows), texts=2)


if __name__ == "__main__":
    asyncio.run(main())
