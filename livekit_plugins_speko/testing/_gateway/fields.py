"""Parts of requests that several endpoints share: the intent, constraints, headers, JSON bodies.

Field names, types, ranges and codes are the service's. Unknown fields are refused, which finds
misspelt ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from .shapes import (
    Check,
    InvalidRequest,
    list_of,
    matching,
    one_of,
    parse_json,
    record,
    text,
    wrong,
)

LANGUAGE_PATTERN = r"[a-z]{2,3}(-[A-Z]{2})?"
LANGUAGE = matching(LANGUAGE_PATTERN, 'a language such as "en" or "en-US"')
INTENT = record(
    {
        "language": LANGUAGE,
        "region": text,
        "optimizeFor": one_of("balanced", "accuracy", "latency", "cost"),
    },
    required=("language",),
)
_PROVIDERS = list_of(text, most=100)
CONSTRAINTS = record(
    {"allowedProviders": record({"stt": _PROVIDERS, "llm": _PROVIDERS, "tts": _PROVIDERS})}
)


def check_content_type(headers: Mapping[str, str], *expected: str) -> None:
    """Check the media type; its parameters may be any.

    Args:
        headers: The headers; names are found in any case.
        expected: The types to accept, in lower case.

    Raises:
        InvalidRequest: Status 400, code `VALIDATION_ERROR`.
    """
    found = headers.get("Content-Type")
    if found is None or found.split(";")[0].strip().lower() not in expected:
        raise wrong("header Content-Type", found, " or ".join(expected))


def check_json_header(
    headers: Mapping[str, str], name: str, shape: Check, *, required: bool = False
) -> None:
    """Check a header that holds JSON; characters beyond ASCII must be escaped in it.

    Args:
        headers: The headers; names are found in any case.
        name: The header's name.
        shape: The shape of its value.
        required: Whether it must be there.

    Raises:
        InvalidRequest: Status 400, code `VALIDATION_ERROR`.
    """
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


def check_json_body(headers: Mapping[str, str], body: bytes, shape: Check) -> None:
    """Check a JSON request.

    Args:
        headers: The headers; names are found in any case.
        body: The JSON text, in UTF-8.
        shape: The shape of the body.

    Raises:
        InvalidRequest: Status 400, code `VALIDATION_ERROR`.
    """
    check_content_type(headers, "application/json")
    try:
        value = parse_json(body)
    except ValueError as error:
        raise InvalidRequest(f"body: found no JSON ({error}), expected a JSON object") from None
    shape(value, "body")


def check_session_id(headers: Mapping[str, str]) -> None:
    """Check that a session id, where there is one, is not blank.

    Args:
        headers: The headers; names are found in any case.

    Raises:
        InvalidRequest: Status 400, code `VALIDATION_ERROR`.
    """
    if "x-session-id" in headers:
        text(headers["x-session-id"], "header x-session-id")


def check_upgrade(headers: Mapping[str, str]) -> None:
    """Check that a request wants a WebSocket.

    Args:
        headers: The headers; names are found in any case.

    Raises:
        InvalidRequest: Status 426, code `UPGRADE_REQUIRED`.
    """
    if headers.get("Upgrade", "").lower() != "websocket":
        raise InvalidRequest(
            f"header Upgrade: found {headers.get('Upgrade')}, expected websocket",
            status=426,
            code="UPGRADE_REQUIRED",
        )
