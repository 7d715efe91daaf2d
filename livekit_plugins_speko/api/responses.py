"""What comes in: the Speko API's JSON and headers, as typed results. No I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..errors import (
    MALFORMED_RESPONSE,
    SpekoApiError,
    SpekoAuthError,
    SpekoRateLimitError,
)
from .types import (
    ChatTool,
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


def parse_json(text: str | bytes, what: str) -> Any:
    """Read JSON.

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


def as_object(value: Any, what: str) -> dict[str, Any]:
    """Return `value` if it is a JSON object.

    Raises:
        SpekoApiError: It isn't; status 200, code ``MALFORMED_RESPONSE``.
    """
    if not isinstance(value, dict):
        raise malformed(f"{what} is a JSON {type(value).__name__}, expected an object")
    return value


def malformed(found: str) -> SpekoApiError:
    """The error of an answer that isn't what the service's documentation says."""
    return SpekoApiError(f"Speko's answer can't be read: {found}.", 200, MALFORMED_RESPONSE)


TRANSCRIBE_EVENTS = frozenset({"transcript", "done", "error"})
"""Events of a transcription that are read; others are skipped unseen."""

COMPLETE_EVENTS = frozenset({"meta", "delta", "tool_call", "server_tool_call", "done", "error"})
"""Events of a completion that are read; others are skipped unseen."""


def parse_transcript(payload: Mapping[str, Any]) -> TranscribeResult:
    """Read the ``done`` object of a transcription.

    Raises:
        SpekoApiError: It has no text. An empty text is silence, and fine.
    """
    text = payload.get("text")
    if not isinstance(text, str):
        raise malformed("the transcript has no text")
    return TranscribeResult(
        text=text, confidence=_number(payload.get("confidence")), **_route(payload)
    )


def parse_interim(payload: Mapping[str, Any]) -> str:
    """Read the text of a ``transcript`` event."""
    return _text(payload.get("text"))


def parse_complete_event(name: str, payload: Mapping[str, Any]) -> CompleteEvent | None:
    """Read one event of a completion, or None for one that this version doesn't know."""
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


def parse_completion(payload: Mapping[str, Any]) -> DoneEvent:
    """Read the ``done`` object of a completion. Its text may be missing when it only calls tools.

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


def parse_error_event(payload: Mapping[str, Any]) -> ErrorEvent:
    """Read an ``error`` event."""
    return ErrorEvent(
        error=_text(payload.get("error")) or "no reason given",
        code=_text(payload.get("code")) or "STREAM_ERROR",
    )


def parse_route_headers(headers: Mapping[str, str]) -> Route:
    """Read which provider answered from the headers of an answer."""
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
    """Read an error's body; empty for a proxy's HTML, or nothing."""
    try:
        return as_object(parse_json(body, "the error"), "the error")
    except SpekoApiError:
        return {}


def parse_error_response(
    status: int, headers: Mapping[str, str], payload: Mapping[str, Any]
) -> SpekoApiError:
    """Read an answer with a status that isn't a success.

    Args:
        status: The HTTP status.
        headers: The answer's headers, looked up in lower case.
        payload: What `parse_error_body` made of its body.
    """
    message = _text(payload.get("error")) or f"HTTP status {status}"
    code = _text(payload.get("code"))
    if status == 401:
        return SpekoAuthError(message, code or "AUTH_ERROR")
    if status == 429:
        retry_after = _retry_after(headers.get("retry-after"))
        return SpekoRateLimitError(message, retry_after, code or "RATE_LIMITED")
    return SpekoApiError(message, status, code or "UNKNOWN")


def parse_tool(row: Any) -> ChatTool:
    """Read one row of an agent's registered tools.

    Raises:
        ValueError: A field that is missing or has another type. The text names it.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"expected an object, got {type(row).__name__}")
    name, parameters, source = (row.get(key) for key in ("name", "parameters", "source"))
    if not isinstance(name, str) or not name:
        raise ValueError("its name is missing")
    if not isinstance(parameters, Mapping):
        raise ValueError(f'the parameters of "{name}" are no JSON Schema object')
    kind = source.get("kind") if isinstance(source, Mapping) else None
    if not isinstance(kind, str) or not isinstance(source, Mapping):
        raise ValueError(f'the source of "{name}" has no kind')
    _check_json(name, parameters, source)
    return ChatTool(
        name=name,
        description=_text(row.get("description")),
        parameters=parameters,
        execution_mode=kind,
        source=source,
        pre_tool_speech=_text(row.get("preToolSpeech")) or None,
    )


_CHAT_TOOL_TYPES: dict[str, type] = {
    "description": str,
    "executionMode": str,
    "source": Mapping,
    "preToolSpeech": str,
}
_CHAT_TOOL_KEYS = {"name", "parameters", *_CHAT_TOOL_TYPES}


def parse_chat_tool(tool: Any) -> ChatTool:
    """Read a tool in the spelling of ``POST /v1/complete``.

    Raises:
        ValueError: A field that is missing, has another type, or doesn't exist.
    """
    if not isinstance(tool, Mapping):
        raise ValueError(
            "SpekoAdapter: a tool must be a ChatTool or a mapping with name, description and "
            f"parameters, got {type(tool).__name__}."
        )
    unknown = sorted(str(key) for key in set(tool) - _CHAT_TOOL_KEYS)
    if unknown:
        raise ValueError(
            f'SpekoAdapter: unknown tool key "{unknown[0]}". '
            f"Expected: {', '.join(sorted(_CHAT_TOOL_KEYS))}."
        )
    name, parameters = tool.get("name"), tool.get("parameters", {})
    if not isinstance(name, str) or not name or not isinstance(parameters, Mapping):
        raise ValueError(
            "SpekoAdapter: a tool must have a name, and parameters that are a JSON Schema object."
        )
    _check_json(name, parameters, tool.get("source"))
    for key, kind in _CHAT_TOOL_TYPES.items():
        if tool.get(key) is not None and not isinstance(tool[key], kind):
            raise ValueError(
                f'SpekoAdapter: "{key}" of the tool "{name}" has the wrong type: '
                f"{type(tool[key]).__name__}."
            )
    return ChatTool(
        name=name,
        description=tool.get("description") or "",
        parameters=parameters,
        execution_mode=tool.get("executionMode"),
        source=tool.get("source"),
        pre_tool_speech=tool.get("preToolSpeech"),
    )


def _check_json(name: str, *parts: Any) -> None:
    """Raise ValueError for a tool of which no JSON can be made: it would spoil every request."""
    try:
        json.dumps(parts, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f'SpekoAdapter: the tool "{name}" is no JSON: {error}.') from None


def _retry_after(value: str | None) -> float | None:
    seconds = (value or "").strip()
    return float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else None


def _tool_call(payload: Any) -> ToolCall:
    fields = payload if isinstance(payload, Mapping) else {}
    call_id, name, args = (fields.get(key) for key in ("id", "name", "args"))
    if not (isinstance(call_id, str) and isinstance(name, str) and isinstance(args, str)):
        raise malformed("a tool call lacks its id, name or args")
    return ToolCall(id=call_id, name=name, args=args)


def _route(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "provider": _text(payload.get("provider")) or "unknown",
        "model": _text(payload.get("model")) or "unknown",
        "failover_count": _count(payload.get("failoverCount")),
        "scores_run_id": _text(payload.get("scoresRunId")) or None,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
