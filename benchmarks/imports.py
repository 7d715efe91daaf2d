"""What importing the plugin takes, over ``livekit.agents`` alone, beside livekit-plugins-openai.

.venv/bin/python -m benchmarks.imports [--runs 3] [--json FILE]
"""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks._common import ROOT, machine, median, p95, parser, print_table, write_json

MODULES = ("livekit_plugins_speko", "livekit.plugins.openai")
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


def main() -> None:
    """Measure in turns, and print."""
    command = parser(__doc__)
    command.add_argument("--runs", type=int, default=3)
    options = command.parse_args()
    runs: dict[str, list[tuple[float, float]]] = {module: [] for module in MODULES}
    for module in MODULES:
        imported(module)  # fills the disk's cache
    for _ in range(options.runs):
        for module in MODULES:
            runs[module].append(imported(module))
    print_runs(runs)
    write_json(options.json, runs)


def imported(module: str) -> tuple[float, float]:
    """Milliseconds and MiB of one import, in a process that has imported ``livekit.agents``."""
    command = [sys.executable, "-c", SCRIPT, module]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    milliseconds, mebibytes = json.loads(done.stdout)
    return milliseconds, mebibytes


def print_runs(runs: dict[str, list[tuple[float, float]]]) -> None:
    """Print a line for each module."""
    print(f"{machine()}; after livekit.agents, {len(runs[MODULES[0]])} processes each\n")
    times = {module: [time for time, _ in each] for module, each in runs.items()}
    memory = {module: [size for _, size in each] for module, each in runs.items()}
    base = MODULES[1]
    print_table(
        ("import", "time / openai's", "memory / openai's", "ms, median", "p95", "MiB, median"),
        (
            (
                module,
                median(times[module]) / median(times[base]),
                median(memory[module]) / median(memory[base]),
                median(times[module]),
                p95(times[module]),
                median(memory[module]),
            )
            for module in runs
        ),
    )


if __name__ == "__main__":
    main()
