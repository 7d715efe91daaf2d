"""An event stream through the client: the same events in one piece and in many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import httpx

from livekit_plugins_speko import Intent, Speko, SpekoApiError

Outcome: TypeAlias = tuple[list[Any], str]
"""The events received, and the code of the error that ended them; empty without one."""


class Pieces(httpx.AsyncByteStream):
    """A body in pieces of one size."""

    def __init__(self, body: bytes, size: int) -> None:
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def check(body: bytes, size: int) -> None:
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
