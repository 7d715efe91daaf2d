"""Responses during which calls are cancelled: held back, cut, or one piece after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from livekit_plugins_speko.testing import Answer, AnswerWriter
from livekit_plugins_speko.testing._gateway.writer import ClientGone
from tests.helpers.raw_server import events

DONE = events(
    (
        "done",
        '{"text": "hi", "provider": "p", "model": "m", "confidence": 0.5, '
        '"usage": {"promptTokens": 1, "completionTokens": 1}}',
    )
)
"""The end of a transcript, and of a reply."""

ROUTES = frozenset({"transcribe", "complete", "synthesize", "tools"})


class Held(Answer):
    """The beginning of a response, and then nothing until the client goes away."""

    serves = ROUTES

    def __init__(self, content_type: str, *pieces: bytes, headers: bool = True) -> None:
        """Hold a response after these pieces, or before its headers."""
        self.content_type = content_type
        self.pieces = pieces
        self.headers = headers
        # Set when all that will ever come was sent.
        self._sent = asyncio.Event()

    async def write(self, writer: AnswerWriter) -> None:
        if self.headers:
            await writer.start(200, {"Content-Type": self.content_type})
        for piece in self.pieces:
            await writer.send(piece)
        self._sent.set()
        await asyncio.Event().wait()

    async def settled(self) -> None:
        """Wait until the client has taken all that was sent."""
        await asyncio.wait_for(self._sent.wait(), 5)
        for _ in range(30):
            await asyncio.sleep(0)


class Reset(Answer):
    """Pieces of a response, after which the connection is cut; without any, before its headers."""

    serves = ROUTES

    def __init__(self, content_type: str, *pieces: bytes) -> None:
        """Cut the connection after these."""
        self.content_type = content_type
        self.pieces = pieces

    async def write(self, writer: AnswerWriter) -> None:
        if self.pieces:
            await writer.start(200, {"Content-Type": self.content_type})
        async for piece in Spread(*self.pieces, b""):
            await writer.send(piece) if piece else writer.abort()
        raise ClientGone


class Spread:
    """Pieces of a response that come some turns of the loop apart, any number of times.

    So a client has to wait for each of them, and can be cancelled in each of the waits.
    """

    def __init__(self, *pieces: Any) -> None:
        """Spread these."""
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[Any]:
        for piece in self._pieces:
            for _ in range(5):
                await asyncio.sleep(0)
            yield piece
