"""How long the plugin holds the event loop at a stretch, from its client's constructor on.

Each run is a process of its own with everything imported, as LiveKit's worker starts its jobs
(forkserver). In it every callback of the loop is timed, step by step. Beside it the same steps with
LiveKit's base classes alone, bare httpx and livekit-plugins-openai. The garbage collector is off.

    .venv/bin/python -m benchmarks.event_loop [--runs 3] [--json FILE]
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from typing import TypeAlias

import certifi

from benchmarks import _loop_steps
from benchmarks._common import Gateway, machine, median, parser, print_table, write_json
from benchmarks._loop_steps import STEPS, WAYS, one_run
from benchmarks.gateway import CERTIFICATE

Longest: TypeAlias = tuple[float, float]
QUICK = {"recognition_ms": 20, "first_token_ms": 20, "first_audio_ms": 20, "audio_speed": 20}


def main() -> None:
    """Measure and print."""
    command = parser(__doc__)
    command.add_argument("--runs", type=int, default=3)
    options = command.parse_args()
    with Gateway() as plain, Gateway(tls=True) as tls, tempfile.NamedTemporaryFile("w") as file:
        # The usual certificates, which take the usual time to load, and the gateway's.
        with open(certifi.where()) as usual:
            file.write(usual.read() + CERTIFICATE.read_text())
        file.flush()
        os.environ["SSL_CERT_FILE"] = file.name
        urls = {"http": plain.line("quick", **QUICK), "https": tls.line("quick", **QUICK)}
        columns = [("speko", "http")] + [(name, "https") for name in WAYS]
        blocks = measured([(name, urls[scheme]) for name, scheme in columns], options.runs)
    figures = {
        f"{name}, {scheme}": each for (name, scheme), each in zip(columns, blocks, strict=True)
    }
    print_blocks(figures, options.runs)
    write_json(options.json, figures)


def measured(jobs: list[tuple[str, str]], runs: int) -> list[dict[str, list[Longest]]]:
    """For each job the longest callbacks of its steps, one for each run, in turns."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_loop_steps.__name__])
    with context.Pool(1, maxtasksperchild=1) as pool:
        rounds = [pool.map(one_run, jobs, chunksize=1) for _ in range(runs)]
    return [{step: [each[i][step] for each in rounds] for step in STEPS} for i in range(len(jobs))]


def print_blocks(figures: dict[str, dict[str, list[Longest]]], runs: int) -> None:
    """Print a table: a line for each step, a column for each way."""
    print(f"{machine()}; the longest callback in milliseconds, median of {runs} processes")
    print("(of that, CPU time; the rest somebody else had the processor)\n")

    def cell(longest: list[Longest]) -> str:
        wall_ms, cpu_ms = (median(each) for each in zip(*longest, strict=True))
        return f"{wall_ms:.2f} ({cpu_ms:.2f})" if wall_ms else ""

    rows = [(step, *(cell(each[step]) for each in figures.values())) for step in STEPS]
    print_table(("step", *figures), rows)


if __name__ == "__main__":
    main()
