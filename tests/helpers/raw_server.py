"""A server that sends any bytes at all, for responses that the gateway never sends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from types import TracebackType

EVENT_STREAM = {"Content-Type": "text/event-stream"}


def answer(
    body: bytes | str | Iterable[bytes] = b"",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    whole: bool = True,
) -> bytes:
    """An answer as sent over the network.

    A body in pieces goes out as so many HTTP chunks, which a client reads one by one however the
    socket cuts them. One that is not `whole` lacks its last chunk: the connection breaks off.
    """
    pieces = [body.encode()] if isinstance(body, str) else body
    pieces = [pieces] if isinstance(pieces, bytes) else pieces
    head = [f"HTTP/1.1 {status} Said So", "Transfer-Encoding: chunked", "Connection: close"]
    head += [f"{name}: {value}" for name, value in (headers or {}).items()]
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
    end = b"0\r\n\r\n" if whole else b""
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + b"".join(chunks) + end


class RawServer:
    """Sends each connection the next of its answers; the last one is repeated.

    Attributes:
        heads: The request lines and headers that came, in order.
        gone: Set when a client closed a connection that was held open for it.
    """

    def __init__(self, *answers: bytes, hold: bool = False) -> None:
        """Serve `answers`; with `hold`, keep the connection open after each."""
        self.heads: list[str] = []
        self.gone = asyncio.Event()
        self._answers = answers
        self._hold = hold
        # None outside of the `async with` block.
        self._server: asyncio.Server | None = None
        # The open connections.
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """Its address, also after it has stopped."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="raw_server")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(self._answers[min(len(self.heads), len(self._answers)) - 1])
            await writer.drain()
            if self._hold:
                await reader.read()
                self.gone.set()
        except ConnectionError:
            self.gone.set()  # the client had enough before the end
        finally:
            writer.close()


def events(*named: tuple[str, str], newline: str = "\n") -> str:
    """An event stream of (name, data) pairs."""
    return "".join(f"event: {name}{newline}data: {data}{newline}{newline}" for name, data in named)
