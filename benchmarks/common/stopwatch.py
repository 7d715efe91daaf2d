"""The longest callbacks of an event loop, step by step."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import certifi

from benchmarks.common.gateway import CERTIFICATE
from benchmarks.common.report import machine, print_table

Longest: TypeAlias = tuple[float, float]
"""The time of a callback and its CPU time, in milliseconds."""
Blocks: TypeAlias = dict[str, Longest]
"""By step: its longest callback."""

T = TypeVar("T")


class Stopwatch:
    """Times every callback of the event loop, and keeps the longest of each step."""

    def __init__(self, steps: Iterable[str]) -> None:
        # The longest callback of each step so far.
        self.longest: Blocks = dict.fromkeys(steps, (0.0, 0.0))
        # The step that callbacks are booked to; None outside of all.
        self._step: str | None = None

    def install(self) -> None:
        """Wrap every callback of this process."""
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began, cpu_began = time.perf_counter(), time.thread_time()
            run(handle)
            if self._step is not None:
                cpu_ms = 1e3 * (time.thread_time() - cpu_began)
                took = (1e3 * (time.perf_counter() - began), cpu_ms)
                self.longest[self._step] = max(self.longest[self._step], took)

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]

    async def during(self, step: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do some work, whose callbacks are booked to that step."""
        await asyncio.sleep(0)  # what came before is another callback
        self._step = step
        result = await work()
        await asyncio.sleep(0)
        self._step = None
        return result


@contextmanager
def gateway_is_trusted() -> Iterator[None]:
    """Trust the usual certificates, which take the usual time to load, and the gateway's."""
    with tempfile.NamedTemporaryFile("w") as file, open(certifi.where()) as usual:
        file.write(usual.read() + CERTIFICATE.read_text())
        file.flush()
        os.environ["SSL_CERT_FILE"] = file.name
        yield


def in_fresh_processes(
    one_run: Callable[[tuple[str, str]], Blocks],
    names: Iterable[str],
    url: str,
    *,
    runs: int,
    preload: Sequence[str],
) -> dict[str, dict[str, list[Longest]]]:
    """For each name the longest callbacks of its steps, one for each run, in turns.

    Args:
        one_run: Measures a name, in a fresh process. A function of a module.
        names: What to measure.
        url: The gateway.
        runs: How often.
        preload: Modules that the processes have imported before.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    jobs = [(name, url) for name in names]
    with context.Pool(1, maxtasksperchild=1) as pool:
        rounds = [pool.map(one_run, jobs, chunksize=1) for _ in range(runs)]
    return {
        name: {step: [each[index][step] for each in rounds] for step in rounds[0][index]}
        for index, (name, _) in enumerate(jobs)
    }


def print_blocks(figures: dict[str, dict[str, list[Longest]]], runs: int) -> None:
    """Print a table: a line for each step, a column for each name."""
    print(
        f"{machine()}; ms of the longest callback, the least of {runs} processes; in brackets "
        "the CPU time of it: in the rest another process had the core\n"
    )

    def cell(longest: list[Longest]) -> str:
        wall_ms, cpu_ms = min(longest)
        return f"{wall_ms:.2f} ({cpu_ms:.2f})" if wall_ms else ""

    steps = next(iter(figures.values()))
    rows = [(step, *(cell(each[step]) for each in figures.values())) for step in steps]
    print_table(("step", *figures), rows)
