"""From a fault to LiveKit's error: the table."""

from __future__ import annotations

import asyncio
import traceback

import httpx
import pytest
import spekoai
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from pydantic import TypeAdapter, ValidationError

from livekit_plugins_speko import (
    SpekoAdapterError,
    SpekoApiError,
    SpekoAuthError,
    SpekoRateLimitError,
)
from livekit_plugins_speko._faults import livekit_errors, to_livekit_error

RETRIED = (408, 429, 500, 502, 503, 504, 599)
NOT_RETRIED = (302, 400, 401, 403, 404, 409, 413, 422)


@pytest.mark.parametrize(
    ("fault", "expected", "retryable"),
    [
        (TimeoutError(), APITimeoutError, True),
        (asyncio.TimeoutError(), APITimeoutError, True),
        (httpx.ConnectTimeout(""), APITimeoutError, True),
        (httpx.ReadTimeout(""), APITimeoutError, True),
        (httpx.WriteTimeout(""), APITimeoutError, True),
        (httpx.PoolTimeout(""), APITimeoutError, True),
        (httpx.ConnectError(""), APIConnectionError, True),
        (httpx.ReadError(""), APIConnectionError, True),
        (httpx.WriteError(""), APIConnectionError, True),
        (httpx.RemoteProtocolError(""), APIConnectionError, True),
        (httpx.ProxyError(""), APIConnectionError, True),
        (httpx.DecodingError(""), APIConnectionError, True),
        (httpx.StreamClosed(), APIConnectionError, True),
        (httpx.TransportError(""), APIConnectionError, True),
        *((SpekoApiError("no", status, "X"), APIStatusError, True) for status in RETRIED),
        *((SpekoApiError("no", status, "X"), APIStatusError, False) for status in NOT_RETRIED),
        (SpekoAuthError("no"), APIStatusError, False),
        (SpekoRateLimitError("slow"), APIStatusError, True),
        (SpekoApiError("gone", 200, "STREAM_ENDED"), APIError, True),
        (SpekoApiError("all failed", 200, "ALL_PROVIDERS_FAILED"), APIError, True),
        (SpekoAdapterError("no", "INVALID_CONTEXT"), APIError, False),
        (SpekoAdapterError("no", "UNSUPPORTED_CONTENT_TYPE"), APIError, False),
        (SpekoAdapterError("no", "UNSUPPORTED_AUDIO_FORMAT"), APIError, False),
        (SpekoAdapterError("no", "UNSUPPORTED_CHANNELS"), APIError, False),
        (SpekoAdapterError("no", "SAMPLE_RATE_MISMATCH"), APIError, False),
        (SpekoAdapterError("no", "MALFORMED_AUDIO"), APIError, True),
        (SpekoAdapterError("no", "EMPTY_AUDIO"), APIError, True),
        (spekoai.SpekoApiError("no", 503, "X"), APIStatusError, True),
        (spekoai.SpekoApiError("no", 422, "X"), APIStatusError, False),
        (spekoai.SpekoAuthError(), APIStatusError, False),
        (spekoai.SpekoRateLimitError(), APIStatusError, True),
    ],
)
def test_each_fault_becomes_its_error(
    fault: Exception, expected: type[APIError], retryable: bool
) -> None:
    with pytest.raises(APIError) as raised:
        with livekit_errors():
            raise fault
    assert type(raised.value) is expected
    assert raised.value.retryable == retryable
    assert raised.value.__cause__ is fault


@pytest.mark.parametrize(
    "bug",
    [ValueError("a bug"), KeyError("a bug"), RuntimeError("a bug"), asyncio.CancelledError()],
)
def test_bugs_are_not_mapped(bug: BaseException) -> None:
    assert to_livekit_error(bug) is None
    with pytest.raises(type(bug)) as raised:
        with livekit_errors():
            raise bug
    assert raised.value is bug


def test_livekit_error_is_unchanged() -> None:
    error = APIStatusError("no", status_code=500)
    with pytest.raises(APIStatusError) as raised:
        with livekit_errors():
            raise error
    assert raised.value is error
    assert raised.value.__cause__ is None


def test_nothing_is_raised_without_a_fault() -> None:
    with livekit_errors():
        pass


@pytest.mark.parametrize("status", [200, 400, 503])
def test_error_of_a_response_has_its_message_body_and_code(status: int) -> None:
    error = to_livekit_error(SpekoApiError("no such voice", status, "BAD_VOICE"))
    assert error is not None
    assert error.body == {"error": "no such voice", "code": "BAD_VOICE"}
    assert "no such voice" in error.message and "BAD_VOICE" in error.message
    assert getattr(error, "status_code", 200) == status


def test_adapter_error_has_its_text_and_code() -> None:
    error = to_livekit_error(SpekoAdapterError("at 16000 Hz", "SAMPLE_RATE_MISMATCH"))
    assert error is not None
    assert (error.message, error.body) == ("at 16000 Hz", {"code": "SAMPLE_RATE_MISMATCH"})


def test_call_that_the_service_cancelled_is_an_error() -> None:
    """LiveKit takes an `APIStatusError` 499 for a call that succeeded: the line stays silent."""
    error = to_livekit_error(SpekoApiError("gone", 499, "CLIENT_CLOSED_REQUEST"))
    assert type(error) is APIError
    assert error.retryable


def test_unreadable_response_is_not_quoted() -> None:
    """The official SDK's error shows the response, and so the caller's words."""
    with pytest.raises(ValidationError) as unread:
        TypeAdapter(int).validate_python("my card is 4111")
    with pytest.raises(APIError) as raised:
        with livekit_errors():
            raise unread.value
    assert raised.value.retryable
    assert "4111" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("status", [200, 402])
def test_account_without_credits_is_not_retried(status: int) -> None:
    error = to_livekit_error(SpekoApiError("no credits", status, "INSUFFICIENT_CREDITS"))
    assert error is not None and not error.retryable


@pytest.mark.parametrize("error", [ConnectionResetError(), BrokenPipeError(), OSError("no route")])
def test_error_of_the_operating_system_is_a_failed_connection(error: OSError) -> None:
    found = to_livekit_error(error)
    assert type(found) is APIConnectionError and found.retryable
