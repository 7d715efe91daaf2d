"""The demo on the same machine: what a room adds to the waits of a turn."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.e2e.checks import Checks, Latency
from tests.e2e.conversation import StartCheck

ROOT = Path(__file__).parent.parent.parent
TURNS = ("question", "time", "goodbye")


async def test_the_demo_holds_the_same_turns_without_a_room(
    check: StartCheck, checks: Checks, output: Path
) -> None:
    command = [sys.executable, "examples/demo.py", "--out", str(output), "--turns", ",".join(TURNS)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPEKO_")}
    with check("the demo takes its turns"):
        with (output / "demo.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=environment, stdout=log, stderr=log
            )
            assert await asyncio.wait_for(process.wait(), 120) == 0
    waits = json.loads((output / "latencies.json").read_text(encoding="utf-8"))
    for turn in TURNS:
        found = (waits[turn]["transcript_ms"], waits[turn]["first_audio_ms"])
        checks.latencies.append(Latency(turn, "the demo", *found))
