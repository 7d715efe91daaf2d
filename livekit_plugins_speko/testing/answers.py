"""Scripted answers: the content that a route sends in response to a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from ._gateway.event_stream import (
    ReplyPiece,
    TranscriptPiece,
    send_done,
    send_early_end,
    send_meta,
    send_reply_piece,
    split_words,
)
from ._gateway.pieces import EndOfStream, ErrorEvent, ProviderRoute, ServerToolCall, ToolCall
from ._gateway.waiting import Gate
from ._gateway.writer import AnswerWriter


class Answer(ABC):
    """The answer to one request. Subclass it to send what the other classes cannot.

    Attributes:
        serves: The names of the routes that it fits; None fits every route.
    """

    serves: ClassVar[frozenset[str] | None]

    @abstractmethod
    async def write(self, writer: AnswerWriter) -> None:
        """Send the headers and the body; the gateway ends the body afterwards.

        Args:
            writer: Writes to the socket.
        """


@dataclass(frozen=True)
class Refusal(Answer):
    """An error response, for any route.

    Attributes:
        status: The HTTP status, 400 to 599.
        error: The message.
        code: The service's error code.
        headers: Further headers, such as `Retry-After`.
        body: A body to send instead of the JSON error, as a proxy would; a string is sent as
            UTF-8. Its type is `text/html` unless the headers name another.
    """

    serves: ClassVar[frozenset[str] | None] = None

    status: int
    error: str = ""
    code: str = "UNKNOWN"
    _: KW_ONLY
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None

    def __post_init__(self) -> None:
        """Check the status; `ValueError` for one that is not an error."""
        if not 400 <= self.status <= 599:
            raise ValueError(f"Refusal: status is {self.status}, expected 400 to 599.")

    async def write(self, writer: AnswerWriter) -> None:
        """Send the JSON error, or the given body."""
        if self.body is None:
            error = {"error": self.error, "code": self.code}
            return await writer.json(self.status, error, headers=self.headers)
        body = self.body.encode() if isinstance(self.body, str) else self.body
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))}
        await writer.start(self.status, {**headers, **self.headers})
        await writer.send(body)


@dataclass(frozen=True)
class Transcript(Answer):
    """Recognised speech, for `transcribe`.

    Attributes:
        text: The transcript; empty for silence.
        interim: Interim texts to send as `transcript` events first, with gates and early ends
            among them.
        confidence: From 0 to 1; None when the provider reports none.
        route: The provider to name.
    """

    serves: ClassVar[frozenset[str] | None] = frozenset({"transcribe"})

    text: str
    _: KW_ONLY
    interim: Iterable[TranscriptPiece | Gate] | AsyncIterable[TranscriptPiece | Gate] = ()
    confidence: float | None = 0.9
    route: ProviderRoute = field(default_factory=ProviderRoute)

    async def write(self, writer: AnswerWriter) -> None:
        """Send `meta`, the interim texts and `done`, or the JSON object of `done`."""
        await send_meta(writer, self.route, self.route.wire())
        source: AsyncGenerator[TranscriptPiece, None] = writer.pieces(self.interim)
        async with aclosing(source) as pieces:
            async for piece in pieces:
                if isinstance(piece, (ErrorEvent, EndOfStream)):
                    return await send_early_end(writer, self.route, piece)
                if not writer.json_answers:
                    event = {"text": piece, "isFinal": False, "confidence": self.confidence}
                    await writer.event("transcript", event)
        await writer.pace()
        done = {"text": self.text, **self.route.wire(), "confidence": self.confidence}
        await send_done(writer, self.route, done)


@dataclass(frozen=True)
class Reply(Answer):
    """A reply of the language model, for `complete`.

    Attributes:
        content: The text, sent word by word with its spaces; or the pieces to send, with tool
            calls, gates and early ends among them.
        tool_calls: Calls that follow the content.
        server_tool_calls: Tools that ran inside the service before the content; the content then
            belongs to a second provider hop.
        prompt_tokens: The reported usage of the prompt, in tokens.
        completion_tokens: The reported usage of the reply, in tokens.
        route: The provider to name.
    """

    serves: ClassVar[frozenset[str] | None] = frozenset({"complete"})

    content: str | Iterable[ReplyPiece | Gate] | AsyncIterable[ReplyPiece | Gate] = ""
    _: KW_ONLY
    tool_calls: Sequence[ToolCall] = ()
    server_tool_calls: Sequence[ServerToolCall] = ()
    prompt_tokens: int = 10
    completion_tokens: int = 5
    route: ProviderRoute = field(default_factory=ProviderRoute)

    async def write(self, writer: AnswerWriter) -> None:
        """Send `meta`, the pieces and `done`, or the JSON object of `done`."""
        await self._send_hops(writer)
        content = split_words(self.content) if isinstance(self.content, str) else self.content
        sent: list[ReplyPiece] = []
        source: AsyncGenerator[ReplyPiece, None] = writer.pieces(content, self.tool_calls)
        async with aclosing(source) as pieces:
            async for piece in pieces:
                if isinstance(piece, (ErrorEvent, EndOfStream)):
                    return await send_early_end(writer, self.route, piece)
                sent.append(piece)
                if not writer.json_answers:
                    await send_reply_piece(writer, piece)
        if not sent:
            await writer.pace()
        await send_done(writer, self.route, self._done(sent))

    async def _send_hops(self, writer: AnswerWriter) -> None:
        """Send `meta` once per hop, with the service's own tool calls between the two."""
        meta = {**self.route.wire(), "totalFailoverCount": self.route.failover_count}
        await send_meta(writer, self.route, {**meta, "hop": 0})
        if self.server_tool_calls and not writer.json_answers:
            for call in self.server_tool_calls:
                await send_reply_piece(writer, call)
            await writer.event("meta", {**meta, "hop": 1})

    def _done(self, sent: Sequence[ReplyPiece]) -> dict[str, Any]:
        """Return the data of `done`: the whole text, and the tool calls once more."""
        text = "".join(piece for piece in sent if isinstance(piece, str))
        calls = [piece.wire() for piece in sent if isinstance(piece, ToolCall)]
        usage = {"promptTokens": self.prompt_tokens, "completionTokens": self.completion_tokens}
        done = {"text": text, **self.route.wire(), "usage": usage}
        return {**done, "toolCalls": calls} if calls else done


@dataclass(frozen=True)
class Speech(Answer):
    """Audio, for `synthesize`.

    Attributes:
        audio: The bytes, sent in chunks; or the chunks to send, with gates among them. Empty is
            a 200 without audio.
        content_type: The format and the `Content-Type`. PCM is int16, little-endian, mono.
        audio_format: The `X-Speko-Audio-Format`. None: the content type; an empty string leaves
            the header out.
        chunk_bytes: The size of the chunks that bytes are cut into. Default: 100 ms of PCM at
            24000 Hz. An odd size ends reads in the middle of a sample.
        route: The provider to name.
    """

    serves: ClassVar[frozenset[str] | None] = frozenset({"synthesize"})

    audio: bytes | Iterable[bytes | Gate] | AsyncIterable[bytes | Gate]
    _: KW_ONLY
    content_type: str = "audio/pcm;rate=24000"
    audio_format: str | None = None
    chunk_bytes: int = 4800
    route: ProviderRoute = field(default_factory=ProviderRoute)

    def __post_init__(self) -> None:
        """Check the fields; `ValueError` for a bad size, `TypeError` for text as audio."""
        if isinstance(self.audio, str):
            raise TypeError("Speech: audio is str, expected bytes or an iterable of bytes.")
        if self.chunk_bytes < 1:
            raise ValueError(f"Speech: chunk_bytes is {self.chunk_bytes}, expected 1 or more.")

    async def write(self, writer: AnswerWriter) -> None:
        """Send the headers at once and the audio chunk by chunk."""
        headers = {"Content-Type": self.content_type}
        audio_format = self.content_type if self.audio_format is None else self.audio_format
        if audio_format:
            headers["X-Speko-Audio-Format"] = audio_format
        await writer.start(200, headers, self.route)
        async with aclosing(writer.pieces(self._chunks())) as chunks:
            async for chunk in chunks:
                await writer.send(chunk)

    def _chunks(self) -> Iterable[bytes | Gate] | AsyncIterable[bytes | Gate]:
        audio, size = self.audio, self.chunk_bytes
        if isinstance(audio, bytes):
            return [audio[at : at + size] for at in range(0, len(audio), size)]
        return audio


@dataclass(frozen=True)
class ToolRows(Answer):
    """Rows of registered tools, for `tools`. `LocalGateway.register_tools` is the usual way.

    Attributes:
        rows: The rows to send, with gates among them.
    """

    serves: ClassVar[frozenset[str] | None] = frozenset({"tools"})

    rows: Iterable[Mapping[str, Any] | Gate] = ()

    async def write(self, writer: AnswerWriter) -> None:
        """Send the rows as one JSON array."""
        async with aclosing(writer.pieces(self.rows)) as pieces:
            rows = [dict(row) async for row in pieces]
        await writer.json(200, rows)
