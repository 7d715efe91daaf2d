"""Writes an answer to the socket: headers, events and bytes, at the pace of a latency."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from .limits import MAX_FRAME_BYTES
from .pieces import ProviderRoute, as_async
from .request import GatewayRequest
from .waiting import Gate

if TYPE_CHECKING:
    from .connection import SocketConnection

T = TypeVar("T")

# How long the gateway waits for a client's close frame, in seconds.
_CLOSE_S = 2.0


class ClientGone(ConnectionError):
    """The client closed its connection while a response was being written."""


@dataclass(frozen=True)
class Latency:
    """The delays of a route. Time that an engine takes counts towards them.

    Attributes:
        headers_s: From the complete request to the headers of the response, in seconds.
        first_s: From there to the first piece of content, in seconds.
        between_s: From one piece to the next, in seconds.
    """

    _: KW_ONLY
    headers_s: float = 0.0
    first_s: float = 0.0
    between_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the delays; `ValueError` for one that is negative or not finite."""
        for name in ("headers_s", "first_s", "between_s"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(
                    f"Latency: {name} is {value!r}, expected seconds, zero or more. "
                    "To hold an answer for good, use a Gate."
                )


class AnswerWriter:
    """Writes the response to one request, for `Answer.write`.

    It owns the response, not the connection. Only the task that handles the request uses it.
    """

    def __init__(
        self,
        http: web.BaseRequest,
        request: GatewayRequest,
        *,
        latency: Latency | None = None,
        json_answers: bool = False,
        on_connection: Callable[[SocketConnection], None] | None = None,
    ) -> None:
        """Make a writer that has sent nothing yet.

        Args:
            http: The request as aiohttp has it; the response goes out through it.
            request: The same request as the log has it.
            latency: The delays. Default: none.
            json_answers: True to send one JSON object instead of an event stream.
            on_connection: Called with a WebSocket once it is open.
        """
        self.request = request
        self.json_answers = json_answers
        self._http = http
        self._on_connection = on_connection
        self._latency = latency or Latency()
        # True once the connection was cut on purpose.
        self._aborted = False
        # None until the headers are sent.
        self._response: web.StreamResponse | None = None
        # The time of the headers, due or sent, then that of the last piece (perf_counter).
        self._last_at = request.received_at + self._latency.headers_s
        # The pause before the next piece, in seconds.
        self._pause_s = self._latency.first_s

    @property
    def started(self) -> bool:
        """True once the headers are sent."""
        return self._response is not None

    async def start(
        self, status: int, headers: Mapping[str, str], route: ProviderRoute | None = None
    ) -> None:
        """Send the headers, after `Latency.headers_s`.

        Args:
            status: The HTTP status.
            headers: The headers. Without a `Content-Length` the body is sent in HTTP chunks.
            route: The provider to name in the headers; None leaves those headers out.
        """
        await _sleep_until(self.request.received_at + self._latency.headers_s)
        now = time.perf_counter()
        sent = dict(headers)
        if route is not None:
            sent.update(route.headers())
            first_byte_ms = round((now - self.request.received_at) * 1000)
            sent["X-Speko-First-Byte-Ms"] = str(first_byte_ms)
        self._response = web.StreamResponse(status=status, headers=sent)
        self._last_at = now
        self.request.status = status
        with _noticing_departure():
            await self._response.prepare(self._http)

    async def upgrade(self, *, subprotocol: str | None = None) -> web.WebSocketResponse:
        """Turn the connection into a WebSocket, after `Latency.headers_s`.

        Args:
            subprotocol: The subprotocol to agree to; None agrees to none.

        Returns:
            The socket. Reading it gives the pings of the client too, so that a script can leave
            them without a response.
        """
        await _sleep_until(self.request.received_at + self._latency.headers_s)
        socket = web.WebSocketResponse(
            protocols=() if subprotocol is None else (subprotocol,),
            timeout=_CLOSE_S,
            autoping=False,
            compress=False,
            max_msg_size=MAX_FRAME_BYTES,
        )
        self._response = socket
        self.request.status = 101
        with _noticing_departure():
            await socket.prepare(self._http)
        return socket

    async def serve(
        self, connection: SocketConnection, play: Callable[[], Awaitable[None]]
    ) -> None:
        """Read a WebSocket and play a script on it until either side closes.

        Args:
            connection: The connection that `upgrade` made.
            play: Sends the frames of the gateway.
        """

        def note() -> None:
            if self._on_connection is not None:
                self._on_connection(connection)

        await connection.serve(play, note)
        if connection.closed_by == "gateway" and connection.close_code == 1006:
            self.abort()

    async def send(self, data: bytes) -> None:
        """Write bytes of the body to the socket at once.

        Args:
            data: The bytes, in one write.

        Raises:
            ClientGone: The client closed the connection.
        """
        if self._response is None:
            raise RuntimeError("AnswerWriter: send() before start(): no headers were sent")
        if not data:
            return
        with _noticing_departure():
            await self._response.write(data)

    async def event(self, name: str, data: Mapping[str, Any]) -> None:
        """Write one server-sent event.

        Args:
            name: The event's name.
            data: Its JSON object.
        """
        await self.send(f"event: {name}\ndata: {to_json(data)}\n\n".encode())

    async def json(
        self,
        status: int,
        data: Any,
        *,
        headers: Mapping[str, str] | None = None,
        route: ProviderRoute | None = None,
    ) -> None:
        """Write a whole JSON response.

        Args:
            status: The HTTP status.
            data: The value to send as JSON.
            headers: Headers besides the type and the length.
            route: The provider to name in the headers; None leaves those headers out.
        """
        body = to_json(data).encode()
        own = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        await self.start(status, {**own, **(headers or {})}, route)
        await self.send(body)

    async def pace(self) -> None:
        """Wait until the next piece is due by the route's latency."""
        await _sleep_until(self._last_at + self._pause_s)
        self._last_at = time.perf_counter()
        self._pause_s = self._latency.between_s

    async def pieces(
        self, *contents: Iterable[T | Gate] | AsyncIterable[T | Gate]
    ) -> AsyncGenerator[T, None]:
        """Iterate over contents, one after the other, at the route's pace; stop at their gates.

        Use it under `contextlib.aclosing`: when the client goes away, closing it closes the
        content, and so the engine that makes it.

        Args:
            contents: The pieces and gates.

        Yields:
            The pieces, each when it is due.
        """
        for content in contents:
            source = as_async(content)
            try:
                async for piece in source:
                    if isinstance(piece, Gate):
                        await piece.hold()
                    else:
                        await self.pace()
                        yield piece
            finally:
                close = getattr(source, "aclose", None)
                if close is not None:
                    await close()

    def abort(self) -> None:
        """Cut the connection: the client receives a truncated response."""
        self._aborted = True
        if self._http.transport is not None:
            self._http.transport.abort()

    async def finish(self) -> web.StreamResponse:
        """End the body.

        Returns:
            The response, for aiohttp.
        """
        if self._aborted:
            return self.response
        if self._response is None:
            raise RuntimeError("AnswerWriter: finish() before start(): the answer wrote nothing")
        with _noticing_departure():
            await self._response.write_eof()
        return self._response

    @property
    def response(self) -> web.StreamResponse:
        """The response as far as it was sent; an empty one when nothing was."""
        return self._response or web.Response(status=500)


@contextmanager
def _noticing_departure() -> Iterator[None]:
    """Tell a client that went away from a connection error inside an engine."""
    try:
        yield
    except ConnectionError as error:
        raise ClientGone(str(error)) from error


def to_json(data: Any) -> str:
    """Return compact JSON text with non-ASCII characters unescaped, as the service sends it."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


async def _sleep_until(moment: float) -> None:
    """Sleep until a moment of `time.perf_counter`; return at once when it is past."""
    left_s = moment - time.perf_counter()
    if left_s > 0:
        await asyncio.sleep(left_s)
