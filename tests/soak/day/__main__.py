"""A long day of calls: every kind, with random turns, faults, drops, barge-ins, handoffs, ends.

    python -m tests.soak.day --minutes 10 --seed 1

prints each minute what the process holds while no call is under way, and ends with status 1 if
that grows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any

from livekit.agents import vad
from livekit.plugins import silero

from livekit_plugins_speko import Speko
from tests.soak.day.calls import KINDS, Call
from tests.soak.day.samples import Sample, growth, heading, sample

AT_ONCE = 6
MOST_SAMPLES_S = 60.0
LEAST_SAMPLES = 5
SETTLES_S = 5.0


class Day:
    """Calls on one client, some at a time.

    Attributes:
        counts: Calls of each kind, and what became of their turns.
    """

    def __init__(self, speko: Speko, detector: vad.VAD, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._speko, self._detector = speko, detector
        self._chance = random.Random(seed)
        self._began_s = time.monotonic()
        # The kinds of the calls to come, and the calls under way.
        self._kinds = cycle(KINDS)
        self._calls: set[Call] = set()
        # False while a sample is taken: no call begins.
        self._is_open = True

    async def run(self, minutes: float) -> AsyncIterator[Sample]:
        """Yield a sample each minute, and five at least."""
        every_s = min(MOST_SAMPLES_S, minutes * 60 / LEAST_SAMPLES)
        for _ in range(round(minutes * 60 / every_s)):
            lanes = [asyncio.create_task(self._take_calls()) for _ in range(AT_ONCE)]
            await asyncio.wait(lanes, timeout=every_s, return_when=asyncio.FIRST_EXCEPTION)
            self._is_open = False
            for call in self._calls:
                call.hang_up()
            await asyncio.gather(*lanes)
            self._is_open = True
            yield await self._sample()

    async def _take_calls(self) -> None:
        while self._is_open:
            kind = next(self._kinds)
            call = kind(self._speko, self._detector, random.Random(self._chance.random()))
            self._calls.add(call)
            await call.hold()
            self._calls.remove(call)
            self.counts += call.counts
            self.counts["calls"] += 1
            self.counts[f"{kind.__name__} calls"] += 1
            self.counts[f"{kind.__name__} replies"] += call.counts["replies"]

    async def _sample(self) -> Sample:
        """Wait for the tasks that are about to end, and take a sample."""
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left, timeout=SETTLES_S)
        return sample(
            seconds=time.monotonic() - self._began_s,
            calls=self.counts["calls"],
            turns=self.counts["replies"],
            errors=self.counts["errors"],
            tasks=len(asyncio.all_tasks()),
        )


@contextlib.asynccontextmanager
async def service(seed: int) -> AsyncIterator[dict[str, Any]]:
    """The service, in a process of its own; yields its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.day.service", str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # failures that are wanted
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


async def main() -> int:
    """Run as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description="A long day of calls.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable()  # many calls fail, and LiveKit says so
    detector = silero.VAD.load()
    print(heading(), flush=True)
    samples = []
    async with service(options.seed) as address, Speko(**address) as speko:
        day = Day(speko, detector, options.seed)
        async for each in day.run(options.minutes):
            samples.append(each)
            print(each, flush=True)
    print(", ".join(f"{count} {name}" for name, count in sorted(day.counts.items())))
    silent = [kind.__name__ for kind in KINDS if not day.counts[f"{kind.__name__} replies"]]
    failures = [*growth(samples), *(f"{kind}: no reply was heard" for kind in silent)]
    print("\n".join(failures) or "flat")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
