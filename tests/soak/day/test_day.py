"""A short day of calls of every kind leaves nothing behind; and what a leak would look like."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.helpers.subprocesses import run_python
from tests.soak.day.samples import Sample, growth

FLAT = Sample(
    seconds=60,
    calls=100,
    turns=200,
    errors=9,
    tasks=1,
    sockets=4,
    files=28,
    threads=8,
    objects=190_000,
    rss_mb=200.0,
)


async def test_calls_of_every_kind_leave_nothing_in_the_process() -> None:
    finished = await run_python(
        "-m", "tests.soak.day", "--minutes", "0.15", environment={}, timeout_s=150
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    heading, *samples, counts, verdict = finished.stdout.splitlines()
    assert len(samples) == 5 and "rss_mb" in heading and "given up" not in heading
    assert "Google replies" in counts and verdict == "flat"


def later(**changes: float) -> Sample:
    """A sample after a hundred calls more."""
    return replace(FLAT, calls=200, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "leak",
    [
        {"tasks": 2},
        {"sockets": 19},
        {"files": 45},
        {"threads": 20},
        {"objects": 190_000 + 3_500},
        {"rss_mb": 220.0},
    ],
    ids=str,
)
def test_leak_is_named(leak: dict[str, float]) -> None:
    (named,) = growth([FLAT, FLAT, later(**leak)])
    assert named.startswith(next(iter(leak)))


def test_first_sample_does_not_count() -> None:
    assert growth([replace(FLAT, objects=1, rss_mb=1.0), FLAT, later()]) == []
