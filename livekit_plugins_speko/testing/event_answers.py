"""The answers that go out as event streams, or as one JSON object from an older service."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, TypeAlias

from ._gateway.pieces import EndOfStream, ErrorEvent, ProviderRoute, ServerToolCall, ToolCall
from ._gateway.waiting import Gate
from ._gateway.writer import AnswerWriter
from .answers import Answer

InterimPiece: TypeAlias = str | ErrorEvent | EndOfStream
ReplyPiece: TypeAlias = str | ToolCall | ServerToolCall | ErrorEvent | EndOfStream


@dataclass(frozen=True)
class Transcript(Answer):
    """What was understood, for `transcribe`.

    Attributes:
        text: The words; empty for silence.
        interim: What is sent as `transcript` events before, with gates and early ends among it.
        confidence: From 0 to 1; None when the provider reports none.
        route: The provider that it claims to come from.
    """

    serves: ClassVar[frozenset[str]] = frozenset({"transcribe"})

    text: str
    _: KW_ONLY
    interim: Iterable[InterimPiece | Gate] | AsyncIterable[InterimPiece | Gate] = ()
    confidence: float | None = 0.9
    route: ProviderRoute = field(default_factory=ProviderRoute)

    async def write(self, writer: AnswerWriter) -> None:
        """Sends `meta`, the interim texts and `done`, or the JSON object of `done`.

        Args:
            writer: The way to the socket.
        """
        await _send_meta(self.route.wire(), writer, self.route)
        source: AsyncGenerator[InterimPiece, None] = writer.pieces(self.interim)
        async with aclosing(source) as pieces:
            async for piece in pieces:
                if isinstance(piece, (ErrorEvent, EndOfStream)):
                    return await _end_early(piece, writer, self.route)
                if not writer.json_answers:
                    event = {"text": piece, "isFinal": False, "confidence": self.confidence}
                    await writer.event("transcript", event)
        await writer.pace()
        done = {"text": self.text, **self.route.wire(), "confidence": self.confidence}
        await _send_done(done, writer, self.route)


@dataclass(frozen=True)
class Reply(Answer):
    """What the language model says, for `complete`.

    Attributes:
        content: The text, sent word by word with the spaces kept; or the pieces as they are to
            be sent, with tool calls, gates and early ends among them.
        tool_calls: Calls that follow the content.
        server_tool_calls: Tools that ran inside the service before the content; they make it the
            work of a second provider hop.
        prompt_tokens: The usage that is reported, in tokens.
        completion_tokens: The same for what was said.
        route: The provider that it claims to come from.
    """

    serves: ClassVar[frozenset[str]] = frozenset({"complete"})

    content: str | Iterable[ReplyPiece | Gate] | AsyncIterable[ReplyPiece | Gate] = ""
    _: KW_ONLY
    tool_calls: Sequence[ToolCall] = ()
    server_tool_calls: Sequence[ServerToolCall] = ()
    prompt_tokens: int = 10
    completion_tokens: int = 5
    route: ProviderRoute = field(default_factory=ProviderRoute)

    async def write(self, writer: AnswerWriter) -> None:
        """Sends `meta`, the pieces and `done`, or the JSON object of `done`.

        Args:
            writer: The way to the socket.
        """
        await self._send_hops(writer)
        content = words(self.content) if isinstance(self.content, str) else self.content
        said: list[ReplyPiece] = []
        source: AsyncGenerator[ReplyPiece, None] = writer.pieces(content, self.tool_calls)
        async with aclosing(source) as pieces:
            async for piece in pieces:
                if isinstance(piece, (ErrorEvent, EndOfStream)):
                    return await _end_early(piece, writer, self.route)
                said.append(piece)
                if not writer.json_answers:
                    await _send_piece(piece, writer)
        if not said:
            await writer.pace()
        await _send_done(self._done(said), writer, self.route)

    async def _send_hops(self, writer: AnswerWriter) -> None:
        """Sends `meta` once per hop, and the service's own tool calls between the two."""
        meta = {**self.route.wire(), "totalFailoverCount": self.route.failover_count}
        await _send_meta({**meta, "hop": 0}, writer, self.route)
        if self.server_tool_calls and not writer.json_answers:
            for call in self.server_tool_calls:
                await _send_piece(call, writer)
            await writer.event("meta", {**meta, "hop": 1})

    def _done(self, said: Sequence[ReplyPiece]) -> dict[str, Any]:
        """The data of `done`: the text in one, and the tool calls once more."""
        text = "".join(piece for piece in said if isinstance(piece, str))
        calls = [piece.wire() for piece in said if isinstance(piece, ToolCall)]
        usage = {"promptTokens": self.prompt_tokens, "completionTokens": self.completion_tokens}
        done = {"text": text, **self.route.wire(), "usage": usage}
        return {**done, "toolCalls": calls} if calls else done


def words(text: str) -> list[str]:
    """Cuts a text into words, each with the spaces before it; joined they are the text again.

    Args:
        text: Any text.

    Returns:
        The words. Spaces at the end are a piece of their own.
    """
    return re.findall(r"\s*\S+|\s+$", text)


async def _send_meta(meta: Mapping[str, Any], writer: AnswerWriter, route: ProviderRoute) -> None:
    """Opens the event stream; a JSON answer has nothing to say yet."""
    if not writer.json_answers:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        await writer.start(200, headers, route)
        await writer.event("meta", meta)


async def _send_piece(piece: ReplyPiece, writer: AnswerWriter) -> None:
    """Sends one piece of a reply as its event or events."""
    if isinstance(piece, str):
        await writer.event("delta", {"text": piece})
    elif isinstance(piece, ToolCall):
        await writer.event("tool_call", piece.wire())
    elif isinstance(piece, ServerToolCall):
        for data in piece.wire():
            await writer.event("server_tool_call", data)
    else:
        raise TypeError(
            f"Reply: found a piece of type {type(piece).__name__} in the content, expected str, "
            "ToolCall, ServerToolCall, ErrorEvent, EndOfStream or Gate."
        )


async def _send_done(done: Mapping[str, Any], writer: AnswerWriter, route: ProviderRoute) -> None:
    """Sends the whole result, in whichever form the route answers."""
    if writer.json_answers:
        await writer.json(200, done, route=route)
    else:
        await writer.event("done", done)


async def _end_early(
    piece: ErrorEvent | EndOfStream, writer: AnswerWriter, route: ProviderRoute
) -> None:
    """Ends the answer without `done`; an answer in JSON has status 500 or no text instead."""
    if isinstance(piece, ErrorEvent):
        told = {"error": piece.error, "code": piece.code}
        if writer.json_answers:
            await writer.json(500, told, route=route)
        else:
            await writer.event("error", told)
    elif writer.json_answers:
        await writer.start(200, {"Content-Type": "application/json", "Content-Length": "0"}, route)
