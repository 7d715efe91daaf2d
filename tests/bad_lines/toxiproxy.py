"""Toxiproxy, a proxy that makes a line bad, and one line through it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

BUILT = Path(__file__).parent.parent.parent / ".tools" / "toxiproxy-server"
STARTS_WITHIN_S = 30.0


@dataclass(frozen=True)
class Toxic:
    """One way in which a line is bad.

    Attributes:
        kind: Toxiproxy's name for it.
        attributes: Toxiproxy's options: times in milliseconds, rates in KB/s, sizes in bytes.
        up: True for what the client sends, False for what it receives.
        share: The share of connections that it concerns, from 0 to 1.
    """

    kind: str
    attributes: dict[str, int] = field(default_factory=dict)
    _: KW_ONLY
    up: bool = False
    share: float = 1.0

    def wire(self) -> dict[str, Any]:
        """The body of the request that adds it."""
        stream = "upstream" if self.up else "downstream"
        return {
            "type": self.kind,
            "stream": stream,
            "toxicity": self.share,
            "attributes": self.attributes,
        }


ABRUPT = Toxic("reset_peer", share=0.0)
"""Every close of a connection that opens from now on is a reset (TCP RST), and nothing more."""


class Line:
    """A line through Toxiproxy to a server. `Toxiproxy.line` makes it.

    Attributes:
        base_url: The address of the server, over this line.
        turned_bad: Set once it is bad.
    """

    def __init__(self, http: httpx.AsyncClient, name: str, listen: str) -> None:
        self.base_url = f"http://{listen}"
        self.turned_bad = asyncio.Event()
        self._http, self._path = http, f"/proxies/{name}"
        # Makes the line bad. None before.
        self._worsening: asyncio.Task[None] | None = None

    async def worsen(self, *toxics: Toxic, down: bool = False) -> None:
        """Make the line bad, connections that are open included.

        Args:
            toxics: What is wrong with it.
            down: True to cut every connection, and to refuse new ones.
        """
        self.turned_bad.set()
        # Shielded, because the fault may end the task that calls this.
        self._worsening = asyncio.create_task(self._worsen(toxics, down=down))
        await asyncio.shield(self._worsening)

    async def _worsen(self, toxics: Sequence[Toxic], *, down: bool) -> None:
        for toxic in toxics:
            response = await self._http.post(f"{self._path}/toxics", json=toxic.wire())
            response.raise_for_status()
        if down:
            (await self._http.post(self._path, json={"enabled": False})).raise_for_status()

    async def mend(self) -> None:
        """Make the line good again."""
        if self._worsening is not None:
            await self._worsening
        proxy = (await self._http.get(self._path)).raise_for_status().json()
        for toxic in proxy["toxics"]:
            path = f"{self._path}/toxics/{toxic['name']}"
            (await self._http.delete(path)).raise_for_status()
        if not proxy["enabled"]:
            (await self._http.post(self._path, json={"enabled": True})).raise_for_status()

    async def remove(self) -> None:
        """Cut every connection, and close the port."""
        (await self._http.delete(self._path)).raise_for_status()


@dataclass(frozen=True)
class Toxiproxy:
    """A Toxiproxy that runs.

    Attributes:
        address: Of its API.
    """

    address: str

    @asynccontextmanager
    async def line(self, base_url: str) -> AsyncIterator[Line]:
        """Lead to a server, over a port of its own."""
        name = uuid4().hex
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": base_url.partition("://")[2]}
        async with httpx.AsyncClient(base_url=self.address, trust_env=False) as http:
            made = (await http.post("/proxies", json=body)).raise_for_status().json()
            line = Line(http, name, made["listen"])
            try:
                yield line
            finally:
                await line.remove()


def program() -> str | None:
    """The program: TOXIPROXY_SERVER, or what `make toxiproxy` built; None without one."""
    return shutil.which(os.environ.get("TOXIPROXY_SERVER") or str(BUILT))


@contextmanager
def running(server: str) -> Iterator[Toxiproxy]:
    """Run Toxiproxy on ports of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [server, "-host", "127.0.0.1", "-port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        toxiproxy = Toxiproxy(f"http://127.0.0.1:{port}")
        _wait_for(toxiproxy, process)
        yield toxiproxy
    finally:
        process.terminate()
        process.wait()


def _wait_for(toxiproxy: Toxiproxy, process: subprocess.Popen[bytes]) -> None:
    """Wait until the API responds."""
    until = time.monotonic() + STARTS_WITHIN_S
    with httpx.Client(trust_env=False) as http:
        while True:
            try:
                http.get(f"{toxiproxy.address}/version").raise_for_status()
                return
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)
