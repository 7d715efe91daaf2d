"""The events of a streamed response, or its one JSON object from an older service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from .pieces import EndOfStream, ErrorEvent, ProviderRoute, ServerToolCall, ToolCall
from .writer import AnswerWriter

TranscriptPiece: TypeAlias = str | ErrorEvent | EndOfStream
ReplyPiece: TypeAlias = str | ToolCall | ServerToolCall | ErrorEvent | EndOfStream


def split_words(text: str) -> list[str]:
    """Split a text into words, each with the spaces before it; joined they are the text again.

    Args:
        text: Any text.

    Returns:
        The words. Spaces at the end are a piece of their own.
    """
    return re.findall(r"\s*\S+|\s+$", text)


async def send_meta(writer: AnswerWriter, route: ProviderRoute, meta: Mapping[str, Any]) -> None:
    """Open the event stream with `meta`; a JSON response begins with its result."""
    if not writer.json_answers:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        await writer.start(200, headers, route)
        await writer.event("meta", meta)


async def send_reply_piece(writer: AnswerWriter, piece: ReplyPiece) -> None:
    """Send one piece of a reply as its event or events.

    Raises:
        TypeError: It is not a piece of a reply.
    """
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


async def send_done(writer: AnswerWriter, route: ProviderRoute, done: Mapping[str, Any]) -> None:
    """Send the result, as the `done` event or as the JSON response."""
    if writer.json_answers:
        await writer.json(200, done, route=route)
    else:
        await writer.event("done", done)


async def send_early_end(
    writer: AnswerWriter, route: ProviderRoute, piece: ErrorEvent | EndOfStream
) -> None:
    """End the response without `done`; a JSON response has status 500 or an empty body instead."""
    if isinstance(piece, ErrorEvent):
        error = {"error": piece.error, "code": piece.code}
        if writer.json_answers:
            await writer.json(500, error, route=route)
        else:
            await writer.event("error", error)
    elif writer.json_answers:
        await writer.start(200, {"Content-Type": "application/json", "Content-Length": "0"}, route)
