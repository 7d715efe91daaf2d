"""The demo on the same machine: what a room adds to the waits of a turn."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from examples.stack import ROOT, Process, surroundings
from tests.e2e.checks import Checks, Latency
from tests.e2e.conversation import StartCheck

TURNS = ("question", "time", "goodbye")


async def test_the_demo_holds_the_same_turns_without_a_room(
    check: StartCheck, checks: Checks, output: Path
) -> None:
    command = [sys.executable, "examples/demo.py", "--out", str(output), "--turns", ",".join(TURNS)]
    with contextlib.ExitStack() as stack:
        with check("the demo takes its turns"):
            log = output / "demo.log"
            demo = stack.enter_context(Process("the demo", command, log, surroundings(), ROOT))
            await asyncio.to_thread(demo.wait_for, "all 3 turns done", 120.0)
    waits = json.loads((output / "latencies.json").read_text(encoding="utf-8"))
    for turn in TURNS:
        found = (waits[turn]["transcript_ms"], waits[turn]["first_audio_ms"])
        checks.latencies.append(Latency(turn, "the demo", *found))
