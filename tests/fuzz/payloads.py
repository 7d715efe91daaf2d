"""The JSON of an event or of a response: a typed result, or a `SpekoApiError`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from livekit.agents import llm

from livekit_plugins_speko import SpekoApiError
from livekit_plugins_speko.api.responses import (
    as_object,
    parse_complete_event,
    parse_completion,
    parse_error_body,
    parse_error_response,
    parse_interim,
    parse_json,
    parse_transcript,
)
from livekit_plugins_speko.llm.reply import Reply

EVENTS = ("meta", "delta", "tool_call", "server_tool_call", "done", "error", "ping")
FAULTS = {"MALFORMED_RESPONSE", "EMPTY_COMPLETION"}


def check(name: str, text: bytes) -> None:
    """Parse JSON as everything that it could be."""
    payload = parse_error_body(text)
    assert parse_error_response(500, {}, payload).message
    assert parse_error_response(429, {"retry-after": text.decode("latin-1")}, payload).message
    try:
        read(name, as_object(parse_json(text, "the event"), "the event"))
    except SpekoApiError as error:
        assert error.code in FAULTS


def read(name: str, payload: Mapping[str, Any]) -> None:
    """Parse an object by each parser, and as an event of a reply."""
    parsers: tuple[Callable[[Mapping[str, Any]], Any], ...] = (
        parse_transcript,
        parse_completion,
        parse_interim,
    )
    for parse in parsers:
        try:
            parse(payload)
        except SpekoApiError as error:
            assert error.code in FAULTS
    event = parse_complete_event(name, payload)
    if event is not None and event.type != "error":
        for chunk in Reply("reply-1").push(event):
            if isinstance(chunk, llm.ChatChunk):
                chunk.model_dump_json()
