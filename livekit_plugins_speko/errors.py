"""Exceptions of this package, and the codes they carry.

```
SpekoApiError              the service reported a fault, or its response can't be read
├── SpekoAuthError         401
└── SpekoRateLimitError    429, with ``retry_after``
SpekoAdapterError          an input, or audio that a provider sent, can't be used (a ValueError)
```

Inside a session neither leaves an adapter as it is: everything that leaves ``recognize``, ``chat``
and ``synthesize`` is one of LiveKit's own errors with one of these as its cause.
"""

from __future__ import annotations

from typing import Literal

AdapterErrorCode = Literal[
    "INVALID_CONTEXT",
    "UNSUPPORTED_CONTENT_TYPE",
    "UNSUPPORTED_AUDIO_FORMAT",
    "UNSUPPORTED_CHANNELS",
    "SAMPLE_RATE_MISMATCH",
    "MALFORMED_AUDIO",
    "EMPTY_AUDIO",
    "REGISTERED_TOOLS_FAILED",
]
"""Every code of a `SpekoAdapterError`."""

RETRYABLE_ADAPTER_CODES: frozenset[AdapterErrorCode] = frozenset({"MALFORMED_AUDIO", "EMPTY_AUDIO"})
"""Codes of faults that a retry, and so another provider, can fix."""

STREAM_ENDED = "STREAM_ENDED"
"""Code of an event stream that ended without its ``done`` event."""

MALFORMED_RESPONSE = "MALFORMED_RESPONSE"
"""Code of a response that does not match the service's documentation."""

EMPTY_COMPLETION = "EMPTY_COMPLETION"
"""Code of a completion with neither text nor tool calls, a fault of the router."""

CLIENT_CLOSED = "CLIENT_CLOSED"
"""Code of a call on a closed client. Its status is 0: the service never saw it."""

INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
"""The service's code for an account that is out of credits (402). A retry can't help."""

CONNECTION_LOST = "CONNECTION_LOST"
"""Code of a streaming recognition that gave up: no connection lasts. Its status is 0."""

CONNECTION_CLOSED = "CONNECTION_CLOSED"
"""Code of a speech-to-speech connection that could not be made, or is closed. Its status is 0."""

NOT_SUPPORTED = "NOT_SUPPORTED"
"""Code of what a speech-to-speech session can't do. A retry can't help. Its status is 0."""

UNSAFE_ENDPOINT = "UNSAFE_ENDPOINT"
"""Code of an address that must not be sent a credential. A retry can't help. Its status is 0."""


class SpekoApiError(Exception):
    """The service reported a fault, or its response can't be read.

    Attributes:
        message: The service's message, without the API key should it have echoed it.
        status: The HTTP status. 200 when the fault came inside a response that began well (an
            ``error`` event, a stream that ended early).
        code: The service's code (``ALL_PROVIDERS_FAILED``, ``VALIDATION_ERROR``, ...), or one of
            this module's.
    """

    def __init__(self, message: str, status: int, code: str = "UNKNOWN") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self.message!r}, status={self.status}, code={self.code!r})"


class SpekoAuthError(SpekoApiError):
    """The API key is missing, wrong or revoked (401). A retry can't help."""

    def __init__(self, message: str, code: str = "AUTH_ERROR") -> None:
        super().__init__(message, 401, code)


class SpekoRateLimitError(SpekoApiError):
    """Too many requests (429).

    Attributes:
        retry_after: Seconds to wait, as the service requested, or None when it did not say.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, code: str = "RATE_LIMITED"
    ) -> None:
        super().__init__(message, 429, code)
        self.retry_after = retry_after


class SpekoAdapterError(ValueError):
    """An input of an adapter, or audio that a provider sent, can't be used.

    Attributes:
        code: One of `AdapterErrorCode`. LiveKit retries ``MALFORMED_AUDIO`` and ``EMPTY_AUDIO``
            and none of the others.
    """

    def __init__(self, message: str, code: AdapterErrorCode) -> None:
        super().__init__(message)
        self.code: AdapterErrorCode = code
