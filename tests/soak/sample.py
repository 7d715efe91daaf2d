"""What a process holds between two rounds of calls."""

from __future__ import annotations

import asyncio
import gc
import threading
from dataclasses import asdict, dataclass

import psutil  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Sample:
    """What the process holds after so many turns, while no call is running.

    Attributes:
        turns: How many turns there were.
        tasks: How many tasks there are.
        sockets: How many connections are open.
        threads: How many threads there are.
        reports: How many errors the loop reported by itself, since the start.
        objects: How many objects the garbage collector knows.
        rss_mb: Memory, in MB.
    """

    turns: int
    tasks: int
    sockets: int
    threads: int
    reports: int
    objects: int
    rss_mb: float

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())

    @classmethod
    def take(cls, turns: int, reports: int) -> Sample:
        """Take one, while no call is running."""
        gc.collect()
        process = psutil.Process()
        return cls(
            turns=turns,
            tasks=len(asyncio.all_tasks()),
            sockets=len(process.net_connections("inet")),
            threads=threading.active_count(),
            reports=reports,
            objects=len(gc.get_objects()),
            rss_mb=round(process.memory_info().rss / 1e6, 1),
        )
