"""The errors of this package, and the codes they carry.

```
SpekoApiError              the service answered with a fault, or its answer was no answer
├── SpekoAuthError         401
└── SpekoRateLimitError    429, with ``retry_after``
SpekoAdapterError          what was handed in, or what came back, can't be used (a ValueError)
```

Inside a session neither reaches the caller as it is: everything that leaves ``recognize``,
``chat`` and ``synthesize`` is one of LiveKit's own errors with one of these as its cause.
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
"""Codes of faults that another try, and so another provider, can mend."""

STREAM_ENDED = "STREAM_ENDED"
"""Code of an event stream that ended without its ``done`` event."""

MALFORMED_RESPONSE = "MALFORMED_RESPONSE"
"""Code of an answer that isn't what the service's documentation says."""

EMPTY_COMPLETION = "EMPTY_COMPLETION"
"""Code of a completion with neither text nor tool calls, a fault of the router."""

CLIENT_CLOSED = "CLIENT_CLOSED"
"""Code of a call on a client that is closed. Its status is 0: the service never saw it."""


class SpekoApiError(Exception):
    """The service answered with a fault, or its answer can't be understood.

    Attributes:
        message: What the service said, without the API key should it have echoed it.
        status: The HTTP status. 200 when the fault came inside an answer that began well (an
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
    """The API key is missing, wrong or revoked (401). Another try can't help."""

    def __init__(self, message: str, code: str = "AUTH_ERROR") -> None:
        super().__init__(message, 401, code)


class SpekoRateLimitError(SpekoApiError):
    """Too many requests (429).

    Attributes:
        retry_after: Seconds that the service asks to wait, or None when it didn't say.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, code: str = "RATE_LIMITED"
    ) -> None:
        super().__init__(message, 429, code)
        self.retry_after = retry_after


class SpekoAdapterError(ValueError):
    """Something handed to the adapter, or sent by a provider, can't be used.

    Attributes:
        code: One of `AdapterErrorCode`. LiveKit retries ``MALFORMED_AUDIO`` and ``EMPTY_AUDIO``
            and none of the others.
    """

    def __init__(self, message: str, code: AdapterErrorCode) -> None:
        super().__init__(message)
        self.code: AdapterErrorCode = code
