"""Scripted answers of speech to speech: a connection, and a reply on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, TypeAlias

from ._gateway.connection import SocketConnection
from ._gateway.endpoints.realtime import XAI_SUBPROTOCOL
from ._gateway.event_stream import split_words
from ._gateway.pieces import ToolCall
from ._gateway.realtime_connection import RealtimeConnection
from ._gateway.realtime_pieces import EndOfReply, RealtimePiece, RealtimeReady, RealtimeTranscript
from ._gateway.session_store import GatewaySession
from ._gateway.steps import SocketStep, play_step, steps_of
from ._gateway.waiting import Gate
from ._gateway.writer import AnswerWriter
from .answers import Answer

RealtimeStep: TypeAlias = RealtimePiece | SocketStep | Gate
"""A piece to send, a whole reply, a wait, a fault, or a gate."""
RealtimeEngine: TypeAlias = Callable[[RealtimeConnection], Awaitable[None]]
"""Talks on one connection: reads `connection.incoming()` and sends pieces."""


@dataclass(frozen=True)
class RealtimeReply(SocketStep):
    """A whole reply of the agent, faster than real time, as a step of a `RealtimeScript`.

    An `interrupt` of the client that comes while it is sent cuts it: what is left, the final of
    its transcript and its tool calls are not sent, its end is.

    Attributes:
        text: The agent's words, which come word by word between the pieces of audio.
        audio: The agent's audio, sent in chunks; or the chunks to send, with gates among them.
            int16, little-endian, mono, at the connection's output rate.
        user: The caller's words, sent before the reply, partial and final; None for none.
        tool_calls: Calls that follow the audio.
        chunk_bytes: The size of the chunks. Default: 100 ms at 24000 Hz. An odd size ends frames
            in the middle of a sample.
        end: The end of the reply; None if it never comes.
    """

    text: str = ""
    _: KW_ONLY
    audio: bytes | Sequence[bytes | Gate] = b""
    user: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    chunk_bytes: int = 4800
    end: EndOfReply | None = field(default_factory=EndOfReply)

    def __post_init__(self) -> None:
        """Check the size of the chunks; `ValueError` for none."""
        if self.chunk_bytes < 1:
            raise ValueError(
                f"RealtimeReply: chunk_bytes is {self.chunk_bytes}, expected 1 or more."
            )

    async def play(self, connection: SocketConnection) -> None:
        """Send the reply."""
        if self.user is not None:
            for final in (False, True):
                await connection.send(RealtimeTranscript("user", self.user, final=final))
        interrupts = len(connection.received("interrupt"))
        async with aclosing(steps_of(self._pieces())) as pieces:
            async for piece in pieces:
                await play_step(connection, piece)
                if len(connection.received("interrupt")) > interrupts:
                    break
        if self.end is not None:
            await connection.send(self.end)

    async def _pieces(self) -> AsyncIterator[RealtimePiece | Gate]:
        words, said = split_words(self.text), ""
        chunks = self._chunks()
        for index in range(max(len(words), len(chunks))):
            if index < len(words):
                said += words[index]
                yield RealtimeTranscript("assistant", said)
            if index < len(chunks):
                yield chunks[index]
                # Lets the reading task see an interrupt, which a socket with room would not.
                await asyncio.sleep(0)
        if self.text:
            yield RealtimeTranscript("assistant", self.text, final=True)
        for call in self.tool_calls:
            yield call

    def _chunks(self) -> Sequence[bytes | Gate]:
        audio, size = self.audio, self.chunk_bytes
        if isinstance(audio, bytes):
            return [audio[at : at + size] for at in range(0, len(audio), size)]
        return audio


@dataclass(frozen=True)
class EndSession(SocketStep):
    """The service hangs up: an `end` frame on the proxy's wire, and a close with 1000.

    Attributes:
        reason: The reason.
    """

    reason: str = "agent_ended"

    async def play(self, connection: SocketConnection) -> None:
        """End the session."""
        assert isinstance(connection, RealtimeConnection), "a step of a RealtimeScript"
        await connection.end(self.reason)


@dataclass(frozen=True)
class RealtimeScript(Answer):
    """The service's side of one speech-to-speech connection, for `realtime`.

    The same script fits each of the three wires. First it sends that it is ready, once the client
    has sent what opens its wire; then it plays the content; then it reads until the client
    closes, or the session's life is over.

    Attributes:
        content: The steps to play, one after the other; or an engine, an `async def` that is
            given the connection.
        ready: False if that message never comes.
    """

    serves: ClassVar[frozenset[str] | None] = frozenset({"realtime"})

    content: Iterable[RealtimeStep] | AsyncIterable[RealtimeStep] | RealtimeEngine = ()
    _: KW_ONLY
    ready: bool = True

    async def write(self, writer: AnswerWriter) -> None:
        """Open the WebSocket and play the content."""
        session: Any = writer.request.authorized
        assert isinstance(session, GatewaySession), "the endpoint authorizes by a session's token"
        socket = await writer.upgrade(subprotocol=_subprotocol(session))
        connection = RealtimeConnection(socket, writer.request, session)

        async def play() -> None:
            watch = asyncio.create_task(connection.end_with_its_session())
            try:
                await self._play(connection)
            finally:
                watch.cancel()
                await asyncio.wait({watch})

        await writer.serve(connection, play)

    async def _play(self, connection: RealtimeConnection) -> None:
        await connection.opened()
        if self.ready:
            await connection.send(RealtimeReady())
        if callable(self.content):
            await self.content(connection)
        else:
            async with aclosing(steps_of(self.content)) as steps:
                async for step in steps:
                    await play_step(connection, step)
        await connection.until_closed()


def _subprotocol(session: GatewaySession) -> str | None:
    """Return the subprotocol to agree to, without which browsers refuse the connection."""
    if session.form == "proxy":
        return session.token
    return f"{XAI_SUBPROTOCOL}{session.token}" if session.form == "xai" else None
