"""A client's process for `sessions`, and what a process measures of itself."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import psutil  # type: ignore[import-untyped]

from benchmarks.common.report import ROOT

Row: TypeAlias = dict[str, Any]
Step: TypeAlias = tuple[str, int, float]
"""The sessions' task, how many sessions do it at once, over how many seconds they begin."""


class Worker:
    """A client's process: started by ``with``, ended after it. It does one step at a time.

    The module is run with ``--of CLIENT --url URL``. It prints a line when it is ready, then a row
    of JSON for each step that it reads from its standard input, and ends with that.
    """

    def __init__(self, module: str, of: str, url: str, flags: Sequence[str] = ()) -> None:
        self._of = of
        self._command = [sys.executable, "-m", module, "--of", of, "--url", url, *flags]
        # None outside the block.
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def wait(self) -> None:
        """Wait until it is ready, before the first step."""
        assert self._process is not None and self._process.stdout is not None
        self._process.stdout.readline()

    def do(self, step: Step) -> Row:
        """Have it do a step; return its row."""
        assert self._process is not None
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(step), file=self._process.stdin, flush=True)
        row: Row = json.loads(self._process.stdout.readline())
        return {"client": self._of, **row}

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate(timeout=30)


class Waited:
    """How long this thread has waited for a core since the object was made. Linux counts it."""

    def __init__(self) -> None:
        self._began_s, self._since_s = time.monotonic(), self._waited_s()

    def percent(self) -> float:
        """The share of the time since then."""
        return 100 * (self._waited_s() - self._since_s) / (time.monotonic() - self._began_s)

    def _waited_s(self) -> float:
        counted = Path("/proc/self/schedstat")
        return int(counted.read_text().split()[1]) / 1e9 if counted.exists() else 0.0


def resident_kb() -> float:
    """Memory of this process, in kB, after a collection."""
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 1024
