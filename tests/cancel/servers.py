"""Servers for calls that are cancelled on their way to a connection."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.helpers.support import FIXTURES

# For 127.0.0.1, signed by itself.
CERTIFICATE = FIXTURES / "loopback.pem"


def trusting() -> ssl.SSLContext:
    """What a client has to know to trust a `TlsServer`."""
    return ssl.create_default_context(cafile=CERTIFICATE)


class Server:
    """Serves each connection in a task of its own, and knows how many there are."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Make one that does not listen yet."""
        # Where it listens; empty before.
        self.address = ""
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        # Set whenever a connection has come or is over.
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen, and in the end wait for the last connection to be over."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.address = "{}:{}".format(*server.sockets[0].getsockname())
        try:
            yield
        finally:
            server.close()
            await self.until_connections(0)
            await server.wait_closed()

    async def until_connections(self, count: int) -> None:
        """Wait until it has so many connections."""

        async def wait() -> None:
            while len(self._connections) != count:
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), 5)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say nothing until the client goes away."""
        await reader.read()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._run(reader, writer), name="server")
        self._connections.add(task)
        self._changed.set()
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._changed.set()

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client was cancelled
        finally:
            writer.close()


class TlsServer(Server):
    """Answers each connection with the same bytes, over TLS."""

    def __init__(self, answered: bytes) -> None:
        """Answer so."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATE)
        super().__init__(tls)
        self._answered = answered

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(self._answered)
        await writer.drain()


class TunnelProxy(Server):
    """An HTTP proxy that connects its clients with whatever they ask for (``CONNECT``)."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, port = head.split()[1].decode().rpartition(":")
        upstream, downstream = await asyncio.open_connection(host, int(port))
        try:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(_pass_on(reader, downstream), _pass_on(upstream, writer))
        finally:
            downstream.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a port whose queue is full: nobody is connected, and nobody refused."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting: list[socket.socket] = []
        try:
            _fill(listener.getsockname(), waiting)
            yield "{}:{}".format(*listener.getsockname())
        finally:
            for each in waiting:
                each.close()


def _fill(address: tuple[str, int], waiting: list[socket.socket]) -> None:
    for _ in range(200):
        waiting.append(socket.socket())
        waiting[-1].settimeout(0.05)
        try:
            waiting[-1].connect(address)
        except TimeoutError:
            return
    raise RuntimeError("this system queues connections without end")
