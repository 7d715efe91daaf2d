"""All the benchmarks, one after the other, and what they say of the project's aims.

    .venv/bin/python -m benchmarks [--out bench-output]

`benchmarks.idle` waits for a minute and runs beside the others; `benchmarks.turns` comes last, with
the machine to itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks._aims import print_aims
from benchmarks._common import ROOT, machine

IDLE = "idle"
IN_ORDER = {
    "overhead": ("--rounds", "20"),
    "holes": (),
    "sessions": (),
    "event_loop": (),
    "imports": ("--runs", "2"),
    "turns": (),
}
PLAIN = ("wav", "barge_in")
"""Benchmarks that write no JSON."""


def main() -> None:
    """Run them, draw the picture, print the aims."""
    command = argparse.ArgumentParser(description="Run all the benchmarks.")
    command.add_argument("--out", type=Path, default=ROOT / "bench-output")
    out: Path = command.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (out / "idle.txt").open("w+") as told:
        waiting = subprocess.Popen(command_of(IDLE, out), cwd=ROOT, stdout=told)
        for name, options in IN_ORDER.items():
            run(name, *command_of(name, out), *options)
        for name in PLAIN:
            run(name, sys.executable, "-m", f"benchmarks.{name}")
        if waiting.wait() != 0:
            sys.exit("benchmarks.idle failed")
        told.seek(0)
        print(f"\n## {IDLE}\n\n{told.read()}")
    picture = out / "waterfall.svg"
    run("waterfall", sys.executable, "-m", "benchmarks.waterfall", out / "turns.json", picture)
    print_aims(out)
    print(f"{machine()}; {time.monotonic() - began:.0f} s. The figures are in {out}.")


def command_of(name: str, out: Path) -> tuple[str | Path, ...]:
    """The command of a benchmark that writes its figures."""
    return sys.executable, "-m", f"benchmarks.{name}", "--json", out / f"{name}.json"


def run(name: str, *command: str | Path) -> None:
    """Run one, and print what it prints."""
    print(f"\n## {name}\n", flush=True)
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
