"""All the benchmarks, one after the other, and the project's aims beside what they show.

    .venv/bin/python -m benchmarks [--out bench-output]

Each module of `QUESTIONS` answers one question: run by itself it measures, prints its tables and
writes its figures with ``--json FILE``; its ``aims(figures)`` yields the goals. To add a benchmark,
write a module with these two, and add its name below.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common.report import ROOT, Aim, machine, print_aims

# Whole calls come last, with the machine to themselves.
QUESTIONS = (
    "overhead",
    "reporting",
    "holes",
    "sessions",
    "event_loop",
    "imports",
    "realtime_loop",
    "realtime",
    "turns",
    "streaming",
)
# Waits for a minute and measures no time, so it runs beside the others.
IDLE = "idle"


def main() -> None:
    """Run them, and print the aims."""
    command = argparse.ArgumentParser(description="Run all the benchmarks.")
    command.add_argument("--out", type=Path, default=ROOT / "bench-output")
    out: Path = command.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (out / f"{IDLE}.txt").open("w+") as printed:
        waiting = subprocess.Popen(command_of(IDLE, out), cwd=ROOT, stdout=printed)
        for name in QUESTIONS:
            print(f"\n## {name}\n", flush=True)
            subprocess.run(command_of(name, out), cwd=ROOT, check=True)
        if waiting.wait() != 0:
            sys.exit(f"benchmarks.{IDLE} failed")
        printed.seek(0)
        print(f"\n## {IDLE}\n\n{printed.read()}")
    print("\n## aims\n")
    print_aims(aims(out))
    print(f"{machine()}; {time.monotonic() - began:.0f} s. The figures are in {out}.")


def command_of(name: str, out: Path) -> list[str]:
    """Build the command of one benchmark."""
    return [sys.executable, "-m", f"benchmarks.{name}", "--json", str(out / f"{name}.json")]


def aims(out: Path) -> Iterator[Aim]:
    """Read the figures of a run, and compare them with the goals."""
    for name in (*QUESTIONS, IDLE):
        figures = json.loads((out / f"{name}.json").read_text())
        yield from importlib.import_module(f"benchmarks.{name}").aims(figures)


if __name__ == "__main__":
    main()
