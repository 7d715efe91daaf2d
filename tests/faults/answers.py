"""Ways in which a service can break an answer, down to the socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, TypeAlias

from livekit_plugins_speko.testing import Answer, AnswerWriter, Gate

End: TypeAlias = Callable[[AnswerWriter], Awaitable[None]]
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def in_order(writer: AnswerWriter) -> None:
    """End the body as HTTP has it."""


async def silence(writer: AnswerWriter) -> None:
    """Send nothing more, and keep the connection."""
    await Gate().hold()


async def closed(writer: AnswerWriter) -> None:
    """Close the connection in the middle of the body."""
    writer.abort()
    await silence(writer)


async def reset(writer: AnswerWriter) -> None:
    """Reset the connection (TCP RST), as a process that dies does."""
    assert writer._http.transport is not None
    connection = writer._http.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    await closed(writer)


def endless(piece: bytes) -> End:
    """Send a piece repeatedly until the client closes."""

    async def go_on(writer: AnswerWriter) -> None:
        while True:
            await writer.send(piece)
            await asyncio.sleep(0)

    return go_on


@dataclass(frozen=True)
class Raw(Answer):
    """An answer of any bytes, in the given pieces, and a fault after them.

    Attributes:
        pieces: The body, each in an HTTP chunk of its own.
        content_type: Its type; empty for none.
        then: What happens after the pieces.
        waits: Whether that waits until somebody opens `heard`.
        status: The HTTP status; None sends not even headers.
        headers: Headers besides the type.
        heard: Opened when what was sent has been heard.
    """

    serves = frozenset({"transcribe", "complete", "synthesize", "tools", "sessions", "realtime"})

    pieces: tuple[bytes, ...] = ()
    content_type: str = ""
    _: KW_ONLY
    then: End = in_order
    waits: bool = False
    status: int | None = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    heard: Gate = field(default_factory=Gate)

    def fresh(self) -> Raw:
        """The same answer, with a gate for the event loop of another test."""
        return replace(self, heard=Gate())

    async def write(self, writer: AnswerWriter) -> None:
        if self.status is not None:
            told = {"Content-Type": self.content_type} if self.content_type else {}
            await writer.start(self.status, {**told, **self.headers})
        for piece in self.pieces:
            await writer.pace()
            await writer.send(piece)
        if self.waits:
            await self.heard.hold()
        await self.then(writer)


class Door:
    """A port that accepts no connection until it is opened, and then leads to a server.

    It refuses connections; one that `hangs` leaves them unanswered, as a lost network does.
    """

    def __init__(self, base_url: str, *, hangs: bool = False) -> None:
        self._target_port = int(base_url.rpartition(":")[2])
        self._hangs = hangs
        self._socket = socket.socket()
        # Connections that fill the backlog of a port that hangs.
        self._waiting: list[socket.socket] = []
        # Tasks that forward its connections, and the one that opens it.
        self._tasks: set[asyncio.Task[None]] = set()
        # None until it is open.
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    async def __aenter__(self) -> Door:
        self._socket.bind(("127.0.0.1", 0))
        if self._hangs:
            self._socket.listen(0)
            self._waiting = [socket.socket() for _ in range(4)]
            for connection in self._waiting:
                connection.setblocking(False)
                connection.connect_ex(self._socket.getsockname())
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._send_away()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._server is not None:
            self._server.close()
        self._socket.close()

    def open(self) -> None:
        """Accept connections from now on."""
        if self._server is None:
            self._send_away()
            self._socket.listen()
            self._own(self._listen())

    def _send_away(self) -> None:
        while self._waiting:
            self._waiting.pop().close()

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="door")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._let_in, sock=self._socket)

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._own(_carry(reader, far_writer))
        self._own(_carry(far_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
