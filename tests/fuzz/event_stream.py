"""An event stream through the client: read alike in one piece and in many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import httpx

from livekit_plugins_speko import Intent, Speko, SpekoApiError

Outcome: TypeAlias = tuple[list[Any], str]
"""The events that came, and the code of the error that ended them; empty without one."""

SEEDS = (
    b'\0event: meta\ndata: {}\n\nevent: delta\ndata: {"text":"Hi"}\n\n'
    b'event: done\ndata: {"text":"Hi","usage":{}}\n\n',
    b'\x06: keepalive\r\n\r\nevent: delta\r\ndata: {"text":\r\ndata: "\xc3\xbc"}\r\n\r\n',
    b'\x02event: error\ndata: {"error":"no","code":"NO"}\n\n',
    b'\x01id: 1\nretry: 5\nevent:done\rdata:{"text":"x"}\r\r',
)


class Pieces(httpx.AsyncByteStream):
    """A body in pieces of one size."""

    def __init__(self, body: bytes, size: int) -> None:
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def check(data: bytes) -> None:
    """Read a stream whose first byte says how long the pieces are."""
    asyncio.run(check_body(data[1:], data[0] + 1))


async def check_body(body: bytes, size: int) -> None:
    """Read a stream in pieces of `size` bytes, and in one."""
    assert await read(body, size) == await read(body, max(1, len(body)))


async def read(body: bytes, size: int) -> Outcome:
    """The events of a completion with this body."""

    def answer(_request: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=Pieces(body, size))

    events: list[Any] = []
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client,
        Speko(api_key="key", base_url="http://127.0.0.1:1", http_client=http_client) as speko,
    ):
        message = {"role": "user", "content": "Hi"}
        try:
            async for event in speko.complete_stream(messages=[message], intent=Intent("en")):
                events.append(event)
        except SpekoApiError as error:
            return events, error.code
    return events, ""
