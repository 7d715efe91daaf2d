"""What a process holds between two rounds of calls."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from dataclasses import asdict, dataclass
from types import BuiltinFunctionType

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
        objects: How many objects there are, by `count_objects`.
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
        objects = count_objects()
        process = psutil.Process()
        return cls(
            turns=turns,
            tasks=len(asyncio.all_tasks()),
            sockets=len(process.net_connections("inet")),
            threads=threading.active_count(),
            reports=reports,
            objects=objects,
            rss_mb=round(process.memory_info().rss / 1e6, 1),
        )


def count_objects() -> int:
    """Collect garbage, and count the objects that are left.

    Those in which abstract classes keep the answers of `isinstance` do not count: the first
    question about a class may add a hundred at once, in any turn.
    """
    gc.collect()
    return sum(not _is_kept_by_abc(held) for held in gc.get_objects())


def _is_kept_by_abc(held: object) -> bool:
    """Whether it is a reference by which an abstract class knows a class, or its callback."""
    # `isinstance` would ask lazy modules for their class, and so import them.
    callback = held.__callback__ if type(held) is weakref.ref else held
    return type(callback) is BuiltinFunctionType and callback.__name__ == "_destroy"
