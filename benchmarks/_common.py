"""What the benchmarks share: the gateway's process, statistics, CPU time, tables, their JSON."""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import platform
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gateway import CERTIFICATE

ROOT = Path(__file__).parent.parent
INTENT = {"language": "en-US"}
API_KEY = "sk-bench"


class Gateway:
    """The gateway's process: started by ``with``, ended after it.

        with Gateway() as gateway:
            speko = Speko(base_url=gateway.url, api_key=API_KEY)
            slow = gateway.line("slow", first_audio_ms=600)  # another base URL, other latencies
            gateway.line("slow", transcripts=[[0, "What is the"], [1.5, "What is the weather?"]])
            gateway.reset()
            ...
            gateway.stats()["connections"]

    `line`, `stats` and `reset` hold the caller up for a millisecond: not while something is timed.
    `benchmarks._upstream.Upstream` says what a line can be told, `benchmarks.gateway` what the
    figures are.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self._tls = tls
        # None outside the block.
        self._process: subprocess.Popen[str] | None = None
        # The port it listens on; 0 before the block.
        self._port = 0

    def __enter__(self) -> Gateway:
        command = [sys.executable, "-m", "benchmarks.gateway", *(["--tls"] if self._tls else [])]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._port = json.loads(self._process.stdout.readline())["port"]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    @property
    def url(self) -> str:
        """Speko's base URL. OpenAI's ends with /v1."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    def line(self, name: str, **settings: Any) -> str:
        """Make or change a line, "" for what stands at `url` itself; return its base URL."""
        self._ask("PUT", f"/lines/{name}", json.dumps(settings))
        return f"{self.url}/lines/{name}" if name else self.url

    def stats(self) -> dict[str, Any]:
        """The figures since the last reset: "connections", "open", "aborted", "late_ms", "cpu_ms",
        "cpu_ms_per_request", and "records", one `_records.Record` for each request.
        """
        figures: dict[str, Any] = json.loads(self._ask("GET", "/stats"))
        return figures

    def reset(self) -> None:
        """Begin new figures."""
        self._ask("DELETE", "/stats")

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        connection: http.client.HTTPConnection
        if self._tls:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, context=trusting_context()
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise RuntimeError(f"the gateway answered {answer.status} to {method} {path}")
            return answer.read()
        finally:
            connection.close()


def trusting_context() -> ssl.SSLContext:
    """A context that trusts the gateway's certificate and nothing else."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))


class CpuTime:
    """CPU time of this process between two looks, in milliseconds."""

    def __init__(self) -> None:
        self._since_s = time.process_time()

    def ms(self) -> float:
        """Milliseconds since it was made."""
        return 1e3 * (time.process_time() - self._since_s)


def median(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def p95(values: Iterable[float]) -> float:
    """The value that 95 % do not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, texts: int = 1) -> None:
    """Print a markdown table.

    Args:
        head: The column's names.
        rows: The cells; floats are written with two digits.
        texts: How many columns, from the left, are text; the others stand to the right.
    """
    lines = ["---"] * texts + ["---:"] * (len(head) - texts)
    for cells in (head, lines, *rows):
        shown = (f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells)
        print("| " + " | ".join(shown) + " |")
    print(flush=True)


def machine() -> str:
    """A line on what the figures were measured on."""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores"


def parser(description: str | None) -> argparse.ArgumentParser:
    """A command line with ``--json FILE``."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return made


def write_json(path: Path | None, figures: Any) -> None:
    """Write the figures, if a file was asked for."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")
