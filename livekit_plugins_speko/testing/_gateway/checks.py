"""What the service demands of a request, route by route.

The fields, their names, types and choices, and the codes are the service's. Unknown fields are
refused, which finds misspelt ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from .chat_checks import check_messages, check_tool_choice, check_tools
from .limits import MAX_KEYWORDS, MAX_PROMPT_CHARS, MAX_TEXT_CHARS
from .shapes import (
    Check,
    InvalidRequest,
    boolean,
    list_of,
    number,
    one_of,
    parse_json,
    record,
    string,
    text,
    text_up_to,
    whole,
    wrong,
)
from .wav import check_wav

INTENT = record(
    {
        "language": text,
        "region": text,
        "optimizeFor": one_of("balanced", "accuracy", "latency", "cost"),
    },
    required=("language",),
)
_PROVIDERS = list_of(text, most=100)
CONSTRAINTS = record(
    {"allowedProviders": record({"stt": _PROVIDERS, "llm": _PROVIDERS, "tts": _PROVIDERS})}
)
STT_OPTIONS = record(
    {
        "keywords": list_of(text, most=MAX_KEYWORDS),
        "language": text,
        "prompt": text_up_to(MAX_PROMPT_CHARS),
    }
)

COMPLETE = record(
    {
        "messages": check_messages,
        "intent": INTENT,
        "systemPrompt": string,
        "temperature": number(0, 2),
        "maxTokens": whole(1),
        "reasoningEffort": one_of("none", "minimal", "low", "medium", "high", "xhigh"),
        "constraints": CONSTRAINTS,
        "tools": check_tools,
        "toolChoice": check_tool_choice,
        "parallelToolCalls": boolean,
        "maxToolHops": whole(1),
    },
    required=("messages", "intent"),
)
SYNTHESIZE = record(
    {
        "text": text_up_to(MAX_TEXT_CHARS),
        "intent": INTENT,
        "voice": text,
        "model": text,
        "speed": number(0.25, 4),
        "instructions": string,
        "spokenForm": boolean,
        "constraints": CONSTRAINTS,
    },
    required=("text", "intent"),
)


def check_transcribe(headers: Mapping[str, str], body: bytes) -> None:
    """Checks an upload.

    Args:
        headers: The headers; names are found in any case.
        body: The audio.

    Raises:
        InvalidRequest: Status 400, code `VALIDATION_ERROR` or `INVALID_AUDIO`.
    """
    _check_content_type(headers, "audio/wav", "audio/x-wav", "audio/wave")
    _check_header(headers, "X-Speko-Intent", INTENT, required=True)
    _check_header(headers, "X-Speko-Constraints", CONSTRAINTS)
    _check_header(headers, "X-Speko-Stt-Options", STT_OPTIONS)
    check_wav(body)


def check_json(headers: Mapping[str, str], body: bytes, shape: Check) -> None:
    """Checks a JSON request.

    Args:
        headers: The headers; names are found in any case.
        body: The JSON text, in UTF-8.
        shape: `COMPLETE` or `SYNTHESIZE`.

    Raises:
        InvalidRequest: Status 400, code `VALIDATION_ERROR`.
    """
    _check_content_type(headers, "application/json")
    try:
        value = parse_json(body)
    except ValueError as error:
        raise InvalidRequest(f"body: found no JSON ({error}), expected a JSON object") from None
    shape(value, "body")


def check_tools_query(query: Mapping[str, str]) -> None:
    """Checks the query of a request for an agent's tools.

    Args:
        query: The query, decoded.

    Raises:
        InvalidRequest: Status 400, code `VALIDATION_ERROR`.
    """
    record({"available": one_of("1", "0")})(dict(query), "query")


def check_session_id(headers: Mapping[str, str]) -> None:
    """Checks that a session id, when there is one, is not blank.

    Args:
        headers: The headers; names are found in any case.

    Raises:
        InvalidRequest: Status 400, code `VALIDATION_ERROR`.
    """
    if "x-session-id" in headers:
        text(headers["x-session-id"], "header x-session-id")


def _check_content_type(headers: Mapping[str, str], *expected: str) -> None:
    found = headers.get("Content-Type")
    if found is None or found.split(";")[0].strip().lower() not in expected:
        raise wrong("header Content-Type", found, " or ".join(expected))


def _check_header(
    headers: Mapping[str, str], name: str, shape: Check, *, required: bool = False
) -> None:
    """Checks a header that holds JSON; characters beyond ASCII must be escaped there."""
    value = headers.get(name)
    if value is None:
        if required:
            raise wrong(f"header {name}", None, "JSON (required)")
        return
    if not value.isascii():
        raise wrong(f"header {name}", value, "ASCII only, with \\u escapes for all else")
    try:
        parsed = parse_json(value)
    except ValueError:
        raise wrong(f"header {name}", value, "a JSON object") from None
    shape(parsed, f"header {name}")
