"""What a process holds while nothing is under way, and the verdict on how that grew."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import psutil  # type: ignore[import-untyped]

from tests.soak.sample import count_objects

# Idle connections that the client may keep: of six calls at once, three requests each.
MOST_IDLE = 18
WIDTHS = (8, 6, 6, 7, 6, 8, 6, 8, 8, 7)


@dataclass(frozen=True)
class Sample:
    """What there is after so many seconds.

    Attributes:
        seconds: Since the start.
        calls: Calls so far.
        turns: Replies so far that were heard, whole or not.
        errors: Errors so far that LiveKit was told.
        tasks: Tasks of the loop.
        sockets: Open connections.
        files: File descriptors, sockets among them.
        threads: Threads.
        objects: Objects, by `count_objects`.
        rss_mb: Memory, in MB.
    """

    seconds: int
    calls: int
    turns: int
    errors: int
    tasks: int
    sockets: int
    files: int
    threads: int
    objects: int
    rss_mb: float

    def __str__(self) -> str:
        return row(*astuple(self))


def row(*cells: object) -> str:
    """A line of the table."""
    return " ".join(str(cell).rjust(width) for cell, width in zip(cells, WIDTHS, strict=True))


def heading() -> str:
    """The first line of the table."""
    return row(*(each.name for each in fields(Sample)))


def sample(*, seconds: float, calls: int, turns: int, errors: int, tasks: int) -> Sample:
    """Take a sample, after a full garbage collection."""
    objects = count_objects()
    process = psutil.Process()
    return Sample(
        seconds=round(seconds),
        calls=calls,
        turns=turns,
        errors=errors,
        tasks=tasks,
        sockets=len(process.net_connections("inet")),
        files=process.num_fds(),
        threads=threading.active_count(),
        objects=objects,
        rss_mb=round(process.memory_info().rss / 1e6, 1),
    )


def growth(samples: Sequence[Sample]) -> list[str]:
    """Name what is not flat, from the second sample on: the first is of a process that warms up.

    Once there are some thousand calls, a leak of three objects a call shows, and one of 40 KB.
    """
    first, last = samples[1], samples[-1]
    calls = last.calls - first.calls
    bounds = {
        "tasks": first.tasks,
        "sockets": MOST_IDLE,
        "files": first.files - first.sockets + MOST_IDLE + 2,
        "threads": first.threads + 4,  # of asyncio's own pool, which is filled as it is used
        "objects": first.objects + 3_000 + calls,
        "rss_mb": first.rss_mb + 10 + 0.02 * calls,
    }
    return [
        f"{name}: {getattr(last, name)}, at most {bound:g} would be flat"
        for name, bound in bounds.items()
        if getattr(last, name) > bound
    ]
