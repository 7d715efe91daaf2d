"""The wire in: any JSON is a typed result or an error that says so, and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import SpekoApiError, SpekoAuthError, SpekoRateLimitError
from livekit_plugins_speko.api.responses import (
    as_object,
    parse_complete_event,
    parse_error_body,
    parse_error_response,
    parse_json,
    parse_route_headers,
    parse_transcript,
)
from livekit_plugins_speko.api.types import (
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

ROUTE = {"provider": "acme", "model": "m2", "failoverCount": 2, "scoresRunId": "run-1"}
ROUTED: dict[str, Any] = {
    "provider": "acme",
    "model": "m2",
    "failover_count": 2,
    "scores_run_id": "run-1",
}
UNKNOWN: dict[str, Any] = {
    "provider": "unknown",
    "model": "unknown",
    "failover_count": 0,
    "scores_run_id": None,
}
CALL: dict[str, Any] = {"id": "c1", "name": "get_weather", "args": '{"city":"Paris"}'}
KEYS = st.sampled_from(
    [*ROUTE, *CALL, "text", "confidence", "usage", "promptTokens", "toolCalls", "error", "code"]
)
NUMBERS = st.integers() | st.integers(10**300, 10**400) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=10)
EVENTS = ["meta", "delta", "tool_call", "server_tool_call", "done", "error", "", "ping"]


@pytest.mark.parametrize("text", ["", "{", "<html>", b"\xff\xfe\xfd", "[" * 200_000, '{"a":'])
def test_invalid_json_is_a_malformed_response(text: str | bytes) -> None:
    with pytest.raises(SpekoApiError, match="the response is not JSON") as raised:
        parse_json(text, "the response")
    assert (raised.value.status, raised.value.code) == (200, "MALFORMED_RESPONSE")
    assert raised.value.__cause__ is None


def test_error_about_json_does_not_quote_what_a_caller_said() -> None:
    with pytest.raises(SpekoApiError) as raised:
        parse_json('{"text": "my pin is 1234', "the response")
    assert "1234" not in str(raised.value)


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE42"])
def test_lone_surrogate_is_replaced(half: str) -> None:
    read = as_object(parse_json(f'{{"text": "a{half}b"}}', "the response"), "the response")
    assert read == {"text": "a?b"}


@given(st.text() | st.binary())
def test_any_text_is_json_or_a_malformed_response(text: str | bytes) -> None:
    try:
        parse_json(text, "the response")
    except SpekoApiError as error:
        assert error.code == "MALFORMED_RESPONSE"


@pytest.mark.parametrize("value", [None, [], "text", 1, True])
def test_json_other_than_an_object_is_a_malformed_response(value: Any) -> None:
    with pytest.raises(SpekoApiError, match="expected an object") as raised:
        as_object(value, "the transcript")
    assert (raised.value.status, raised.value.code) == (200, "MALFORMED_RESPONSE")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            {"text": "hi", "confidence": 0.5, **ROUTE},
            TranscribeResult(text="hi", confidence=0.5, **ROUTED),
        ),
        ({"text": ""}, TranscribeResult(text="", confidence=None, **UNKNOWN)),
        ({"text": "hi", "confidence": None}, TranscribeResult(text="hi")),
        ({"text": "hi", "confidence": 1}, TranscribeResult(text="hi", confidence=1.0)),
        ({"text": "hi", "confidence": "high"}, TranscribeResult(text="hi")),
        ({"text": "hi", "confidence": True}, TranscribeResult(text="hi")),
        ({"text": "hi", "confidence": math.nan}, TranscribeResult(text="hi")),
        ({"text": "hi", "confidence": math.inf}, TranscribeResult(text="hi")),
        ({"text": "hi", "confidence": 10**400}, TranscribeResult(text="hi")),
        ({"text": "hi", "provider": 3, "model": None}, TranscribeResult(text="hi")),
        ({"text": "hi", "failoverCount": -1, "scoresRunId": ""}, TranscribeResult(text="hi")),
    ],
)
def test_transcript_has_its_text_and_every_readable_field(
    payload: dict[str, Any], expected: TranscribeResult
) -> None:
    assert parse_transcript(payload) == expected


@pytest.mark.parametrize("payload", [{}, {"text": None}, {"text": 5}])
def test_transcript_without_text_is_a_malformed_response(payload: dict[str, Any]) -> None:
    with pytest.raises(SpekoApiError, match="the transcript has no text") as raised:
        parse_transcript(payload)
    assert raised.value.code == "MALFORMED_RESPONSE"


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        (
            "meta",
            {**ROUTE, "hop": 1, "totalFailoverCount": 3},
            MetaEvent(hop=1, total_failover_count=3, **ROUTED),
        ),
        ("meta", {}, MetaEvent(hop=0, total_failover_count=0, **UNKNOWN)),
        ("delta", {"text": "Hi"}, DeltaEvent(text="Hi")),
        ("delta", {"text": " "}, DeltaEvent(text=" ")),
        ("delta", {}, DeltaEvent(text="")),
        ("tool_call", CALL, ToolCallEvent(**CALL)),
        (
            "server_tool_call",
            {"id": "s1", "name": "lookup", "status": "started"},
            ServerToolCallEvent(id="s1", name="lookup", status="started"),
        ),
        (
            "done",
            {
                "text": "Hi",
                "usage": {"promptTokens": 7, "completionTokens": 2},
                "toolCalls": [CALL],
                **ROUTE,
            },
            DoneEvent(
                text="Hi",
                usage=Usage(prompt_tokens=7, completion_tokens=2),
                tool_calls=(ToolCall(**CALL),),
                **ROUTED,
            ),
        ),
        ("done", {"usage": None, "toolCalls": None}, DoneEvent()),
        (
            "done",
            {"text": None, "usage": {"promptTokens": "7"}},
            DoneEvent(usage=Usage(prompt_tokens=7)),
        ),
        ("error", {"error": "no", "code": "X"}, ErrorEvent(error="no", code="X")),
        ("error", {}, ErrorEvent(error="no reason given", code="STREAM_ERROR")),
        ("ping", {"text": "Hi"}, None),
        ("", {}, None),
    ],
)
def test_each_event_becomes_its_type(name: str, payload: dict[str, Any], expected: Any) -> None:
    event = parse_complete_event(name, payload)
    assert event == expected
    assert event is None or event.type == name


@pytest.mark.parametrize("missing", ["id", "name", "args"])
@pytest.mark.parametrize("wrong", [None, 1, {}])
def test_tool_call_lacking_a_part_is_a_malformed_response(missing: str, wrong: Any) -> None:
    call = {**CALL, missing: wrong}
    for name, payload in (("tool_call", call), ("done", {"toolCalls": [CALL, call]})):
        with pytest.raises(SpekoApiError, match="a tool call lacks its id, name or args"):
            parse_complete_event(name, payload)


@given(OBJECTS)
def test_any_object_is_a_result_or_a_malformed_response(payload: Any) -> None:
    parsers: list[Callable[[Any], Any]] = [partial(parse_complete_event, name) for name in EVENTS]
    for parse in (parse_transcript, *parsers):
        try:
            parse(payload)
        except SpekoApiError as error:
            assert error.code == "MALFORMED_RESPONSE"


@given(st.floats() | NUMBERS)
def test_confidence_is_a_finite_number_or_none(confidence: float) -> None:
    read = parse_transcript({"text": "hi", "confidence": confidence}).confidence
    assert read is None or math.isfinite(read)


@pytest.mark.parametrize(
    ("headers", "route"),
    [
        ({}, Route(**UNKNOWN)),
        (
            {
                "x-speko-provider": "acme",
                "x-speko-model": "m2",
                "x-speko-failover-count": "2",
                "x-speko-scores-run-id": "run-1",
            },
            Route(**ROUTED),
        ),
        ({"x-speko-failover-count": "two"}, Route()),
        ({"x-speko-failover-count": "-1"}, Route()),
        ({"x-speko-failover-count": "²"}, Route()),
        ({"x-speko-failover-count": "9" * 5000}, Route()),
    ],
)
def test_headers_name_the_route(headers: dict[str, str], route: Route) -> None:
    assert parse_route_headers(headers) == route


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, SpekoApiError),
        (400, SpekoApiError),
        (401, SpekoAuthError),
        (429, SpekoRateLimitError),
        (503, SpekoApiError),
    ],
)
def test_error_carries_message_status_and_code(status: int, kind: type) -> None:
    error = parse_error_response(status, {}, parse_error_body('{"error": "no", "code": "BAD"}'))
    assert type(error) is kind
    assert (str(error), error.message, error.status, error.code) == ("no", "no", status, "BAD")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"error": "Top up", "code": "INSUFFICIENT_CREDITS"}', "Top up"),
        ('{"error": "Payment required"}', "Payment required"),
        ("<html>", "HTTP status 402"),
    ],
)
def test_402_says_that_the_account_is_out_of_credits(body: str, reason: str) -> None:
    error = parse_error_response(402, {}, parse_error_body(body))
    assert error.message == (
        f"the Speko account is out of credits. Add some and call again ({reason})"
    )
    assert (error.status, error.code) == (402, "INSUFFICIENT_CREDITS")


def test_error_event_says_that_the_account_is_out_of_credits() -> None:
    event = parse_complete_event("error", {"error": "Top up", "code": "INSUFFICIENT_CREDITS"})
    assert isinstance(event, ErrorEvent) and "out of credits" in event.error


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        (" 0 ", 0.0),
        (None, None),
        ("", None),
        ("-1", None),
        ("²", None),
        ("soon", None),
        ("9999999999", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_429_has_the_wait_in_seconds(header: str | None, seconds: float | None) -> None:
    headers = {} if header is None else {"retry-after": header}
    error = parse_error_response(429, headers, {})
    assert isinstance(error, SpekoRateLimitError)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "code"), [(401, "AUTH_ERROR"), (429, "RATE_LIMITED"), (502, "UNKNOWN")]
)
@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html><h1>502 Bad Gateway</h1></html>",
        "null",
        '["no"]',
        '{"error": {"message": "no"}, "code": 5}',
    ],
)
def test_error_without_json_of_the_service_names_its_status(
    status: int, code: str, body: str
) -> None:
    error = parse_error_response(status, {}, parse_error_body(body))
    assert (error.message, error.status, error.code) == (f"HTTP status {status}", status, code)


@given(st.integers(300, 599), st.text() | JSON.map(json.dumps), st.text())
def test_any_error_body_becomes_an_error_with_its_status(
    status: int, body: str, retry_after: str
) -> None:
    error = parse_error_response(status, {"retry-after": retry_after}, parse_error_body(body))
    assert error.status == status
    assert isinstance(error.message, str) and error.message
    assert isinstance(error.code, str) and error.code
