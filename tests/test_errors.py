"""The tree of errors, their codes, and their texts."""

from __future__ import annotations

from typing import get_args

from livekit_plugins_speko import (
    SpekoAdapterError,
    SpekoApiError,
    SpekoAuthError,
    SpekoRateLimitError,
)
from livekit_plugins_speko.errors import RETRYABLE_ADAPTER_CODES, AdapterErrorCode


def test_only_audio_that_another_provider_could_fix_is_retried() -> None:
    assert RETRYABLE_ADAPTER_CODES == {"MALFORMED_AUDIO", "EMPTY_AUDIO"}
    assert set(get_args(AdapterErrorCode)) >= RETRYABLE_ADAPTER_CODES


def test_classes_of_the_services_errors_are_one_tree() -> None:
    auth, limit = SpekoAuthError("no"), SpekoRateLimitError("slow", 3.0)
    assert isinstance(auth, SpekoApiError) and isinstance(limit, SpekoApiError)
    assert (auth.status, auth.code) == (401, "AUTH_ERROR")
    assert (limit.status, limit.code, limit.retry_after) == (429, "RATE_LIMITED", 3.0)
    assert SpekoRateLimitError("slow").retry_after is None
    assert SpekoApiError("no", 500).code == "UNKNOWN"


def test_error_text_is_the_message_and_the_repr_has_the_rest() -> None:
    error = SpekoApiError("no", 500, "X")
    assert str(error) == error.message == "no"
    assert repr(error) == "SpekoApiError('no', status=500, code='X')"
    assert repr(SpekoAuthError("no")) == "SpekoAuthError('no', status=401, code='AUTH_ERROR')"


def test_adapter_error_is_a_value_error_with_a_code() -> None:
    error = SpekoAdapterError("no", "INVALID_CONTEXT")
    assert isinstance(error, ValueError)
    assert (str(error), error.code) == ("no", "INVALID_CONTEXT")
