"""A transport for httpx that keeps each connection in a pool of its own. Measured in `clients`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx


class Lanes(httpx.AsyncBaseTransport):
    """Takes the lane that was used last, or a new one; gives it back when the answer is closed.

    A lane is httpx's own transport with one connection. It finds out by itself, when it is taken,
    that the connection has expired. What a request costs does not depend on how many lanes idle.
    """

    def __init__(self, context: ssl.SSLContext, expiry_s: float) -> None:
        self._context = context
        self._limits = httpx.Limits(max_connections=1, keepalive_expiry=expiry_s)
        # Lanes that no request uses, the one used last at the end.
        self._idle: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lane = self._idle.pop() if self._idle else self._new_lane()
        try:
            response = await lane.handle_async_request(request)
        except BaseException:
            self._idle.append(lane)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Body(response.stream, lane, self._idle)
        return response

    async def aclose(self) -> None:
        for lane in self._idle:
            await lane.aclose()

    def _new_lane(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(verify=self._context, limits=self._limits)


class _Body(httpx.AsyncByteStream):
    """An answer's bytes, which gives its lane back once."""

    def __init__(
        self,
        stream: httpx.AsyncByteStream,
        lane: httpx.AsyncHTTPTransport,
        idle: list[httpx.AsyncHTTPTransport],
    ) -> None:
        self._stream = stream
        # None when it was given back.
        self._lane: httpx.AsyncHTTPTransport | None = lane
        self._idle = idle

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()
        if self._lane is not None:
            self._idle.append(self._lane)
            self._lane = None
