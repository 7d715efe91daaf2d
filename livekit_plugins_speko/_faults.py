"""The one table from any fault to LiveKit's own error.

| fault | becomes | retried |
| --- | --- | --- |
| a `Deadline` expired, httpx timed out | `APITimeoutError` | yes |
| connection refused, reset, closed early; another `OSError` | `APIConnectionError` | yes |
| status 408, 429, 5xx | `APIStatusError` | yes; a 429 as `Calls` decides |
| any other status that is no success | `APIStatusError` | no |
| status 499, which LiveKit takes for a call that ended well | `APIError` | yes |
| a fault inside a response with status 200 | `APIError` | yes, but for an account without credits |
| `SpekoAdapterError` | `APIError` | as its code says |
| anything else | stays as it is: a bug | no |
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from pydantic import ValidationError

from .errors import INSUFFICIENT_CREDITS, RETRYABLE_ADAPTER_CODES, SpekoAdapterError

_RETRYABLE_STATUS = frozenset({408, 429})
_TAKEN_FOR_AN_END = 499


def to_livekit_error(fault: BaseException) -> APIError | None:
    """Map an exception to LiveKit's error; None for a programming error, which must propagate.

    Errors of the official SDK are recognised by their ``status`` and ``code``.
    """
    if isinstance(fault, APIError):
        return fault
    if isinstance(fault, SpekoAdapterError):
        retryable = fault.code in RETRYABLE_ADAPTER_CODES
        return APIError(str(fault), body={"code": fault.code}, retryable=retryable)
    if isinstance(fault, TimeoutError | asyncio.TimeoutError | httpx.TimeoutException):
        return APITimeoutError("Speko did not respond in time.")
    if isinstance(fault, httpx.HTTPStatusError):  # a hook of the user's client raises it
        status = fault.response.status_code
        return _from_response(f"HTTP status {status}", status, "UNKNOWN")
    if isinstance(fault, httpx.HTTPError | httpx.StreamError | OSError):
        return APIConnectionError("The connection to Speko failed.")
    if isinstance(fault, ValidationError):  # the official SDK cannot read a response
        return APIError("Speko's response can't be read.", retryable=True)
    found, code = getattr(fault, "status", None), getattr(fault, "code", None)
    if isinstance(found, int) and isinstance(code, str):
        return _from_response(str(fault), found, code)
    return None


def cause_to_show(fault: Exception) -> Exception | None:
    """Return the exception as a cause, or None where its text may quote what a caller said."""
    return None if isinstance(fault, ValidationError) else fault


@contextmanager
def livekit_errors() -> Iterator[None]:
    """Map what the block raises. For what precedes a call; `Calls.open` does so for the call."""
    try:
        yield
    except Exception as fault:
        error = to_livekit_error(fault)
        if error is None or error is fault:
            raise
        raise error from cause_to_show(fault)


def _from_response(message: str, status: int, code: str) -> APIError:
    body: dict[str, Any] = {"error": message, "code": code}
    if 200 <= status < 300:
        retryable = code != INSUFFICIENT_CREDITS
        return APIError(f"Speko: {message} ({code})", body=body, retryable=retryable)
    if status == _TAKEN_FOR_AN_END:
        return APIError(f"Speko: {message} ({status} {code})", body=body, retryable=True)
    return APIStatusError(
        f"Speko: {message} ({status} {code})",
        status_code=status,
        body=body,
        retryable=status in _RETRYABLE_STATUS or status >= 500,
    )
