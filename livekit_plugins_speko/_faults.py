"""From any fault to LiveKit's own error: one function, one table.

| fault | becomes | retried |
| --- | --- | --- |
| `Deadline` rang, httpx timed out | `APITimeoutError` | yes |
| refused, reset, broken off | `APIConnectionError` | yes |
| status 408, 429, 5xx | `APIStatusError` | yes, but for a 429 as `RetryAfter` says |
| any other status that is no success | `APIStatusError` | no |
| status 499, which LiveKit takes for the end of a call that went well | `APIError` | yes |
| a fault inside an answer with status 200 | `APIError` | yes |
| `SpekoAdapterError` | `APIError` | as its code says |
"""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Any

import httpx
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from pydantic import ValidationError

from .errors import RETRYABLE_ADAPTER_CODES, SpekoAdapterError

_RETRYABLE_STATUS = frozenset({408, 429})
_TAKEN_FOR_AN_END = 499


def to_livekit_error(fault: BaseException) -> APIError | None:
    """The error that LiveKit is to see, or None when `fault` is no fault of a call but a bug.

    Errors of the official SDK are known by their ``status`` and ``code``.
    """
    if isinstance(fault, APIError):
        return fault
    if isinstance(fault, SpekoAdapterError):
        retryable = fault.code in RETRYABLE_ADAPTER_CODES
        return APIError(str(fault), body={"code": fault.code}, retryable=retryable)
    if isinstance(fault, TimeoutError | asyncio.TimeoutError | httpx.TimeoutException):
        return APITimeoutError("Speko did not answer in time.")
    if isinstance(fault, httpx.HTTPStatusError):  # of a hook of the user's client
        status = fault.response.status_code
        return _from_answer(f"HTTP status {status}", status, "UNKNOWN")
    if isinstance(fault, httpx.HTTPError | httpx.StreamError | ssl.SSLError):
        return APIConnectionError("The connection to Speko failed.")
    if isinstance(fault, ValidationError):  # the official SDK's way to say that it can't read
        return APIError("Speko's answer can't be read.", retryable=True)
    told, code = getattr(fault, "status", None), getattr(fault, "code", None)
    if isinstance(told, int) and isinstance(code, str):
        return _from_answer(str(fault), told, code)
    return None


def _from_answer(message: str, status: int, code: str) -> APIError:
    body: dict[str, Any] = {"error": message, "code": code}
    if 200 <= status < 300:
        return APIError(f"Speko: {message} ({code})", body=body, retryable=True)
    if status == _TAKEN_FOR_AN_END:
        return APIError(f"Speko: {message} ({status} {code})", body=body, retryable=True)
    return APIStatusError(
        f"Speko: {message} ({status} {code})",
        status_code=status,
        body=body,
        retryable=status in _RETRYABLE_STATUS or status >= 500,
    )


class LiveKitErrors:
    """A ``with`` block out of which every fault of a call comes as LiveKit's own error."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            return
        error = to_livekit_error(exc)
        if error is None or error is exc:
            return
        # What can't be read is quoted there, and may hold what a caller said.
        raise error from (None if isinstance(exc, ValidationError) else exc)
