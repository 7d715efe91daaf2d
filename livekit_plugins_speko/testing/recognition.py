"""`StreamedTranscript`: what the service sends on one connection of a recognition that streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, TypeAlias

from ._gateway.pieces import ProviderRoute
from ._gateway.recognition import Final, RecognitionConnection, RecognitionPiece, ServerEnd
from ._gateway.steps import SocketStep, play_step, steps_of
from ._gateway.waiting import Gate
from ._gateway.writer import AnswerWriter
from .answers import Answer

RecognitionStep: TypeAlias = str | RecognitionPiece | SocketStep | Gate
"""A text to recognise, a piece to send, a wait, a fault, or a gate."""
RecognitionEngine: TypeAlias = Callable[[RecognitionConnection], Awaitable[None]]
"""Recognises one connection: reads `connection.incoming()` and sends pieces."""


@dataclass(frozen=True)
class StreamedTranscript(Answer):
    """The service's side of one connection, for `transcribe_stream`.

    First it sends `ready`, once the client's config has arrived; then it plays the content; then
    it waits for the client's `end`, sends its own, and leaves the close to the client.

    Attributes:
        content: A text, which becomes the final of the next flush, or of the end of the audio;
            or the steps to play, one after the other, such texts among them; or an engine, an
            `async def` that is given the connection.
        route: The provider that `ready` names; None if `ready` never comes.
        ends: False if the service does not respond to the client's `end`.
        idle_s: The time without audio after which the service closes with 1011, in seconds;
            None for never. Default: about what the service does.
    """

    serves: ClassVar[frozenset[str] | None] = frozenset({"transcribe_stream"})

    content: (
        str | Iterable[RecognitionStep] | AsyncIterable[RecognitionStep] | RecognitionEngine
    ) = ()
    _: KW_ONLY
    route: ProviderRoute | None = field(default_factory=ProviderRoute)
    ends: bool = True
    idle_s: float | None = 10.0

    async def write(self, writer: AnswerWriter) -> None:
        """Open the WebSocket and play the content."""
        connection = RecognitionConnection(await writer.upgrade(), writer.request)

        async def play() -> None:
            await connection.configured()
            watch = asyncio.create_task(self._watch(connection))
            try:
                await self._play(connection)
            finally:
                watch.cancel()
                await asyncio.wait({watch})

        await writer.serve(connection, play)

    async def _watch(self, connection: RecognitionConnection) -> None:
        if self.idle_s is not None:
            await connection.close_when_idle(self.idle_s)

    async def _play(self, connection: RecognitionConnection) -> None:
        if self.route is not None:
            await connection.send(self.route)
        if callable(self.content):
            await self.content(connection)
        else:
            content = [self.content] if isinstance(self.content, str) else self.content
            async with aclosing(steps_of(content)) as steps:
                async for step in steps:
                    if isinstance(step, str):
                        await connection.next_pause()
                        await connection.send(Final(step))
                    else:
                        await play_step(connection, step)
        await connection.until_any("end")
        if self.ends:
            await connection.send(ServerEnd())
        await connection.until_closed()
