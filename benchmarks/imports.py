"""The time and memory of importing the plugin, over ``livekit.agents`` alone, beside openai's.

.venv/bin/python -m benchmarks.imports [--runs 2] [--json FILE]
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.common.report import ROOT, Aim, machine, parser, print_table, write_json

OURS, THEIRS = "livekit_plugins_speko", "livekit.plugins.openai"
# Memory is what the process alone has: libraries that are mapped and not touched cost nothing.
SCRIPT = """
import json, sys, time
import livekit.agents
import psutil

def memory():
    return psutil.Process().memory_full_info().uss

before, began = memory(), time.perf_counter()
__import__(sys.argv[1])
seconds = time.perf_counter() - began
print(json.dumps([1e3 * seconds, (memory() - before) / 2**20]))
"""


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    ratio = best(figures[OURS])[0] / best(figures[THEIRS])[0]
    yield Aim("time of the import, over openai plugin's", 1, ratio)


def main() -> None:
    """Measure in turns, and print."""
    command = parser(__doc__)
    command.add_argument("--runs", type=int, default=2)
    options = command.parse_args()
    runs: dict[str, list[tuple[float, float]]] = {OURS: [], THEIRS: []}
    for _ in range(options.runs):
        for module, each in runs.items():
            each.append(imported(module))
    print(f"{machine()}; after livekit.agents, the best of {options.runs} processes each\n")
    base = best(runs[THEIRS])
    rows = (
        (module, ms / base[0], mebibytes / base[1], ms, mebibytes)
        for module, (ms, mebibytes) in zip(runs, map(best, runs.values()), strict=True)
    )
    print_table(("import", "time / openai's", "memory / openai's", "ms", "MiB"), rows)
    write_json(options.json, runs)


def imported(module: str) -> tuple[float, float]:
    """Milliseconds and MiB of one import, in a process that has imported ``livekit.agents``."""
    command = [sys.executable, "-c", SCRIPT, module]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    milliseconds, mebibytes = json.loads(done.stdout)
    return milliseconds, mebibytes


def best(runs: list[tuple[float, float]]) -> tuple[float, float]:
    """The least time and memory: the first process finds nothing in the disk's cache."""
    times, sizes = zip(*runs, strict=True)
    return min(times), min(sizes)


if __name__ == "__main__":
    main()
