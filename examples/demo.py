"""A whole call, without a key, a network or a phone: `python examples/demo.py`.

It starts the local gateway with real speech recognition, rules instead of a language model, and a
real voice; it builds the session of `agent.py`, and a caller made of WAV files talks to it in real
time. `--speech-to-speech` takes the session of `realtime_agent.py`, and a voice model made of the
same parts. With `SPEKO_API_KEY` set the same call uses the real service.

It exits with status 0 and "all N turns done", or with status 1 and the problems.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from examples.demo_parts.screen import Screen
from examples.demo_parts.turns import TURNS

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"


def main() -> int:
    """Read the command line and run the demo; return the exit status."""
    parser = argparse.ArgumentParser(description="Hold a whole call with an agent.")
    add = parser.add_argument
    add("--out", type=Path, default=Path("demo-output"), help="folder for the files that it writes")
    add("--fixtures", type=Path, default=FIXTURES, help="folder with the caller's WAVs")
    add("--turns", help="take only these turns, such as question,goodbye")
    add("--streaming", action="store_true", help="recognise while the caller speaks")
    add("--speech-to-speech", action="store_true", help="use a whole voice model")
    add("--no-color", action="store_true", help="no colours on the terminal")
    arguments = parser.parse_args()
    if arguments.streaming and arguments.speech_to_speech:
        parser.error("--streaming: a voice model needs no recognition")
    names = arguments.turns.split(",") if arguments.turns else [turn.name for turn in TURNS]
    turns = [turn for turn in TURNS if turn.name in names]
    if len(turns) != len(names):
        parser.error(f"--turns: expected some of {', '.join(turn.name for turn in TURNS)}")

    # The weights are on this disk: no download.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Without this, onnxruntime (Silero, Piper) reports its use to Microsoft.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    screen = Screen(no_color=arguments.no_color)
    screen.title("Loading")
    with screen.step("Import LiveKit Agents and the plugin"):
        from examples.demo_parts.show import Options, run
    options = Options(
        arguments.out, arguments.fixtures, turns, arguments.streaming, arguments.speech_to_speech
    )
    return asyncio.run(run(options, screen))


if __name__ == "__main__":
    sys.exit(main())
