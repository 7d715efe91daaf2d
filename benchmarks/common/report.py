"""Statistics, Markdown tables, the JSON of a benchmark and the project's aims."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]


class Aim(NamedTuple):
    """A figure that the project wants to reach."""

    figure: str
    most: float
    seen: float


class CpuTime:
    """CPU time of this process since the object was made, in milliseconds."""

    def __init__(self) -> None:
        self._since_s = time.process_time()

    def ms(self) -> float:
        """Milliseconds of CPU so far."""
        return 1e3 * (time.process_time() - self._since_s)


def median(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def p95(values: Iterable[float]) -> float:
    """The value that 95 % do not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, texts: int = 1) -> None:
    """Print a Markdown table.

    Args:
        head: The names of the columns.
        rows: The cells; floats are written with two digits.
        texts: How many columns, from the left, are text; the others are aligned to the right.
    """
    lines = ["---"] * texts + ["---:"] * (len(head) - texts)
    for cells in (head, lines, *rows):
        shown = (f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells)
        print("| " + " | ".join(shown) + " |")
    print(flush=True)


def print_aims(aims: Iterable[Aim]) -> None:
    """Print what was to be reached beside what was measured."""
    rows = (
        (aim.figure, f"{aim.most:g}", f"{aim.seen:.2f}", "yes" if aim.seen <= aim.most else "no")
        for aim in aims
    )
    print_table(("figure", "at most", "seen", "met"), rows)


def machine() -> str:
    """Name what the figures were measured on."""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores"


def parser(description: str | None) -> argparse.ArgumentParser:
    """Build a command line with ``--json FILE``; the description is its first line."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return made


def write_json(path: Path | None, figures: Any) -> None:
    """Write the figures, if a file was given."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")
