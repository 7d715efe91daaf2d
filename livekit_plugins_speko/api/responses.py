"""The wire in: the Speko API's JSON and headers, parsed into typed results. No I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypedDict

from ..errors import (
    INSUFFICIENT_CREDITS,
    MALFORMED_RESPONSE,
    SpekoApiError,
    SpekoAuthError,
    SpekoRateLimitError,
)
from .types import (
    CompleteEvent,
    DeltaEvent,
    DoneEvent,
    ErrorEvent,
    MetaEvent,
    Route,
    ServerToolCallEvent,
    ToolCall,
    ToolCallEvent,
    TranscribeResult,
    Usage,
)


def parse_json(text: str | bytes, what: str) -> object:
    """Parse JSON.

    Args:
        text: The JSON.
        what: Its name in the error's text.

    Raises:
        SpekoApiError: It is no JSON; status 200, code ``MALFORMED_RESPONSE``. The text doesn't
            quote it: it may hold what a caller said.
    """
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
        value = json.loads(plain)
        if "\\ud" in plain.lower():
            # Half of a surrogate pair can be written as JSON and as nothing else.
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        return value
    except (ValueError, RecursionError):
        pass
    # Outside of the handler: json's own error holds the whole text.
    raise malformed(f"{what} is not JSON")


def as_object(value: object, what: str) -> dict[str, object]:
    """Return `value` if it is a JSON object.

    Raises:
        SpekoApiError: It isn't; status 200, code ``MALFORMED_RESPONSE``.
    """
    if not isinstance(value, dict):
        raise malformed(f"{what} is a JSON {type(value).__name__}, expected an object")
    return value


def malformed(found: str) -> SpekoApiError:
    """Make the error of a response that does not match the service's documentation."""
    return SpekoApiError(f"Speko's response can't be read: {found}.", 200, MALFORMED_RESPONSE)


TRANSCRIBE_EVENTS = frozenset({"transcript", "done", "error"})
"""Events of a transcription that are parsed; others are skipped unseen."""

COMPLETE_EVENTS = frozenset({"meta", "delta", "tool_call", "server_tool_call", "done", "error"})
"""Events of a completion that are parsed; others are skipped unseen."""


def parse_transcript(payload: Mapping[str, object]) -> TranscribeResult:
    """Parse the ``done`` object of a transcription.

    Raises:
        SpekoApiError: It has no text. An empty text is silence, and valid.
    """
    text = payload.get("text")
    if not isinstance(text, str):
        raise malformed("the transcript has no text")
    return TranscribeResult(
        text=text, confidence=_number(payload.get("confidence")), **_route(payload)
    )


def parse_interim(payload: Mapping[str, object]) -> str:
    """Parse the text of a ``transcript`` event."""
    return _text(payload.get("text"))


def parse_complete_event(name: str, payload: Mapping[str, object]) -> CompleteEvent | None:
    """Parse one event of a completion; None for one that this version does not know."""
    if name == "delta":
        return DeltaEvent(text=_text(payload.get("text")))
    if name == "done":
        return parse_completion(payload)
    if name == "tool_call":
        call = _tool_call(payload)
        return ToolCallEvent(id=call.id, name=call.name, args=call.args)
    if name == "server_tool_call":
        return ServerToolCallEvent(
            id=_text(payload.get("id")),
            name=_text(payload.get("name")),
            status=_text(payload.get("status")),
        )
    if name == "meta":
        return MetaEvent(
            hop=_count(payload.get("hop")),
            total_failover_count=_count(payload.get("totalFailoverCount")),
            **_route(payload),
        )
    if name == "error":
        return parse_error_event(payload)
    return None


def parse_completion(payload: Mapping[str, object]) -> DoneEvent:
    """Parse the ``done`` object of a completion. One that only calls tools may lack its text.

    Raises:
        SpekoApiError: A tool call without id, name or arguments.
    """
    usage = payload.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    calls = payload.get("toolCalls")
    return DoneEvent(
        text=_text(payload.get("text")),
        usage=Usage(
            prompt_tokens=_count(usage.get("promptTokens")),
            completion_tokens=_count(usage.get("completionTokens")),
        ),
        tool_calls=tuple(_tool_call(call) for call in calls) if isinstance(calls, list) else (),
        **_route(payload),
    )


def parse_error_event(payload: Mapping[str, object]) -> ErrorEvent:
    """Parse an ``error`` event."""
    code = _text(payload.get("code")) or "STREAM_ERROR"
    message = _text(payload.get("error")) or "no reason given"
    return ErrorEvent(error=_explained(message, code), code=code)


def parse_route_headers(headers: Mapping[str, str]) -> Route:
    """Parse the route out of the headers of a response."""
    return Route(
        **_route(
            {
                "provider": headers.get("x-speko-provider"),
                "model": headers.get("x-speko-model"),
                "failoverCount": headers.get("x-speko-failover-count"),
                "scoresRunId": headers.get("x-speko-scores-run-id"),
            }
        )
    )


def parse_error_body(body: str | bytes) -> dict[str, Any]:
    """Parse an error's body; empty for a proxy's HTML, or nothing."""
    try:
        return as_object(parse_json(body, "the error"), "the error")
    except SpekoApiError:
        return {}


def parse_error_response(
    status: int, headers: Mapping[str, str], payload: Mapping[str, object]
) -> SpekoApiError:
    """Parse a response whose status is no success.

    Args:
        status: The HTTP status.
        headers: The response's headers, looked up in lower case.
        payload: Its body, as `Redaction.error` returned it.
    """
    code = _text(payload.get("code")) or (INSUFFICIENT_CREDITS if status == 402 else "")
    message = _explained(_text(payload.get("error")) or f"HTTP status {status}", code)
    if issues := _text(payload.get("issues")):
        message = f"{message} ({issues})"
    if status == 401:
        return SpekoAuthError(message, code or "AUTH_ERROR")
    if status == 429:
        retry_after = _retry_after(headers.get("retry-after"))
        return SpekoRateLimitError(message, retry_after, code or "RATE_LIMITED")
    return SpekoApiError(message, status, code or "UNKNOWN")


def _explained(message: str, code: str) -> str:
    """Add the remedy to the message of an error that needs one."""
    if code == INSUFFICIENT_CREDITS:
        return f"the Speko account is out of credits. Add some and call again ({message})"
    return message


def _retry_after(value: str | None) -> float | None:
    seconds = (value or "").strip()
    return float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else None


def _tool_call(payload: object) -> ToolCall:
    fields = payload if isinstance(payload, Mapping) else {}
    call_id, name, args = (fields.get(key) for key in ("id", "name", "args"))
    if not (isinstance(call_id, str) and isinstance(name, str) and isinstance(args, str)):
        raise malformed("a tool call lacks its id, name or args")
    return ToolCall(id=call_id, name=name, args=args)


class _RouteFields(TypedDict):
    provider: str
    model: str
    failover_count: int
    scores_run_id: str | None


def _route(payload: Mapping[str, object]) -> _RouteFields:
    return {
        "provider": _text(payload.get("provider")) or "unknown",
        "model": _text(payload.get("model")) or "unknown",
        "failover_count": _count(payload.get("failoverCount")),
        "scores_run_id": _text(payload.get("scoresRunId")) or None,
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
