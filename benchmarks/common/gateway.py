"""The gateway's process, as a benchmark starts it and talks to it."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from typing import Any

from benchmarks.common.report import ROOT

CERTIFICATE = ROOT / "tests/fixtures/loopback.pem"
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

    `line`, `stats` and `reset` block for a millisecond: not while something is timed. The fields of
    `upstream.Upstream` are the settings of a line, those of `records.Stats` the figures.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self._tls = tls
        # None outside the block.
        self._process: subprocess.Popen[str] | None = None
        # The port it listens on; 0 before the block.
        self._port = 0

    def __enter__(self) -> Gateway:
        tls = ["--tls"] if self._tls else []
        command = [sys.executable, "-m", "benchmarks.common.service", *tls]
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
        """Make or change a line, "" for the one at `url` itself; return its base URL."""
        self._ask("PUT", f"/lines/{name}", json.dumps(settings))
        return f"{self.url}/lines/{name}" if name else self.url

    def stats(self) -> dict[str, Any]:
        """Return the figures since the last reset, as `records.Stats.to_json` has them."""
        figures: dict[str, Any] = json.loads(self._ask("GET", "/stats"))
        return figures

    def reset(self) -> None:
        """Begin new figures."""
        self._ask("DELETE", "/stats")

    def print_share(self) -> None:
        """Print how much of the figures so far is the gateway's own, and begin new ones."""
        stats = self.stats()
        late = stats["late_ms"]
        print(
            f"The gateway's own share: its writes were late by {late['p50']:.2f} ms (p95 "
            f"{late['p95']:.2f}), and a request took {stats['cpu_ms_per_request']:.2f} ms of its "
            "CPU.\n"
        )
        self.reset()

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        connection: http.client.HTTPConnection
        if self._tls:
            trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=trusting)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            if response.status >= 300:
                raise RuntimeError(f"the gateway responded {response.status} to {method} {path}")
            return response.read()
        finally:
            connection.close()
