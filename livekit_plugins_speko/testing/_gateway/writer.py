"""The way from an answer to the socket: headers, events and bytes, paced by a latency."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from aiohttp import web

from .pieces import ProviderRoute, as_async
from .request import GatewayRequest
from .waiting import Gate

T = TypeVar("T")


class ClientGone(ConnectionError):
    """The client closed its connection while an answer was being written."""


@dataclass(frozen=True)
class Latency:
    """How slow a route is. Time that an engine takes anyway counts towards it.

    Attributes:
        headers_s: From the whole request to the headers of the answer, in seconds.
        first_s: From there to the first piece of content, in seconds.
        between_s: From one piece to the next, in seconds.
    """

    _: KW_ONLY
    headers_s: float = 0.0
    first_s: float = 0.0
    between_s: float = 0.0

    def __post_init__(self) -> None:
        """Checks the figures: `ValueError` for one that is no time to wait."""
        for name in ("headers_s", "first_s", "between_s"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(
                    f"Latency: {name} is {value!r}, expected seconds, zero or more. "
                    "To hold an answer for good, use a Gate."
                )


class AnswerWriter:
    """Writes one answer to one request. An answer gets it in `Answer.write`.

    It owns the response, not the connection. Only the task that answers the request uses it.
    """

    def __init__(
        self,
        http: web.BaseRequest,
        request: GatewayRequest,
        *,
        latency: Latency | None = None,
        json_answers: bool = False,
    ) -> None:
        """Makes a writer that has sent nothing yet.

        Args:
            http: The request as aiohttp knows it; the answer goes out through it.
            request: The same request as the log knows it.
            latency: How slow to be. Default: not at all.
            json_answers: Whether event streams are to be sent as one JSON object instead.
        """
        self.request = request
        self.json_answers = json_answers
        self._http = http
        self._latency = latency or Latency()
        # None until the headers are out.
        self._response: web.StreamResponse | None = None
        # When the headers went out or were due, later when the last piece did (perf_counter).
        self._last_at = request.received_at + self._latency.headers_s
        # The pause before the next piece, in seconds.
        self._pause_s = self._latency.first_s

    @property
    def started(self) -> bool:
        """Whether the headers are out."""
        return self._response is not None

    async def start(
        self, status: int, headers: Mapping[str, str], route: ProviderRoute | None = None
    ) -> None:
        """Sends the headers, after `Latency.headers_s`.

        Args:
            status: The HTTP status.
            headers: The headers. Without a `Content-Length` the body goes out in HTTP chunks.
            route: The provider to name in the headers; None names none.
        """
        await _sleep_until(self.request.received_at + self._latency.headers_s)
        now = time.perf_counter()
        told = dict(headers)
        if route is not None:
            told.update(route.headers())
            first_byte_ms = round((now - self.request.received_at) * 1000)
            told["X-Speko-First-Byte-Ms"] = str(first_byte_ms)
        self._response = web.StreamResponse(status=status, headers=told)
        self._last_at = now
        self.request.status = status
        with _noticing_departure():
            await self._response.prepare(self._http)

    async def send(self, data: bytes) -> None:
        """Writes bytes of the body to the socket at once.

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
        """Writes one server-sent event.

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
        """Writes a whole JSON answer.

        Args:
            status: The HTTP status.
            data: What becomes the JSON text.
            headers: Headers besides the type and the length.
            route: The provider to name in the headers; None names none.
        """
        body = to_json(data).encode()
        told = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        await self.start(status, {**told, **(headers or {})}, route)
        await self.send(body)

    async def pace(self) -> None:
        """Waits until it is time to send the next piece, as the route's latency has it."""
        await _sleep_until(self._last_at + self._pause_s)
        self._last_at = time.perf_counter()
        self._pause_s = self._latency.between_s

    async def pieces(
        self, *contents: Iterable[T | Gate] | AsyncIterable[T | Gate]
    ) -> AsyncGenerator[T, None]:
        """Goes through contents, one after the other, at the route's pace; stops at their gates.

        Use it under `contextlib.aclosing`: closing it closes the content, and so the engine
        behind it, when the client goes away.

        Args:
            contents: The pieces and gates.

        Yields:
            The pieces, each when it is time to send it.
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
        """Breaks the connection off: the client sees an answer that stops short."""
        if self._http.transport is not None:
            self._http.transport.abort()

    async def finish(self) -> web.StreamResponse:
        """Ends the body.

        Returns:
            The response, for aiohttp.
        """
        if self._response is None:
            raise RuntimeError("AnswerWriter: finish() before start(): the answer wrote nothing")
        with _noticing_departure():
            await self._response.write_eof()
        return self._response

    @property
    def response(self) -> web.StreamResponse:
        """The response as far as it went; an empty one when nothing was sent."""
        return self._response or web.Response(status=500)


@contextmanager
def _noticing_departure() -> Iterator[None]:
    """Tells a client that is gone from a connection error of an engine's own."""
    try:
        yield
    except ConnectionError as error:
        raise ClientGone(str(error)) from error


def to_json(data: Any) -> str:
    """Compact JSON text with every character as it is, as the service sends it."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


async def _sleep_until(moment: float) -> None:
    """Sleeps until a moment of `time.perf_counter`; never yields when it is past."""
    left_s = moment - time.perf_counter()
    if left_s > 0:
        await asyncio.sleep(left_s)
