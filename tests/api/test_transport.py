"""What the network can do to an answer: redirects, errors, streams cut anywhere, no end to it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from livekit_plugins_speko import Speko, SpekoApiError, SpekoAuthError, SpekoRateLimitError
from livekit_plugins_speko.api.limits import MAX_ERROR_BYTES, MAX_JSON_BYTES
from livekit_plugins_speko.testing import LocalGateway, Refusal
from tests.helpers.client_calls import CALLS, Call, complete, stream, synthesize, transcribe
from tests.helpers.raw_server import EVENT_STREAM, RawServer, answer, events

KEY = "sk-secret/1"
DONE = '{"text":"Grüße\u2028🙂 you","confidence":0.5}'
JSON = {"Content-Type": "application/json"}


def client_of(server: RawServer, **options: Any) -> Speko:
    return Speko(api_key=KEY, base_url=server.base_url, **options)


def as_events(text: str, newline: str = "\n") -> bytes:
    return text.replace("\n", newline).encode()


REPLY = (
    ": keepalive\n\n"
    "event: meta\ndata: {}\n\n"
    'event: ping\ndata: {"now":1}\n\n'
    'event: delta\ndata: {"text":"Grüße\u2028🙂"}\n\n'
    ": keepalive\n\n"
    'event: delta\ndata: {"text":" you"}\n\n'
    f"event: done\ndata: {DONE}\n\n"
)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@CALLS
async def test_a_redirect_is_an_error_and_the_key_does_not_travel(call: Call, status: int) -> None:
    async with RawServer(answer()) as elsewhere, httpx.AsyncClient(follow_redirects=True) as theirs:
        moved = answer(status=status, headers={"Location": elsewhere.base_url})
        async with RawServer(moved) as server:
            for http_client in (None, theirs):
                async with client_of(server, http_client=http_client) as speko:
                    with pytest.raises(SpekoApiError) as raised:
                        await call(speko)
                assert raised.value.status == status
    assert (elsewhere.heads, len(server.heads)) == ([], 2)


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
async def test_a_stream_may_be_cut_anywhere(size: int, newline: str) -> None:
    body = as_events(REPLY, newline)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    async with (
        RawServer(answer(pieces, headers=EVENT_STREAM)) as server,
        client_of(server) as speko,
    ):
        told = [event async for event in stream(speko)]
        assert [event.type for event in told] == ["meta", "delta", "delta", "done"]
        assert [event.text for event in told[1:]] == ["Grüße\u2028🙂", " you", "Grüße\u2028🙂 you"]
        assert (await transcribe(speko)).text == "Grüße\u2028🙂 you"


@pytest.mark.parametrize("size", [1, 2, 10_000])
async def test_a_byte_order_mark_costs_no_event(size: int) -> None:
    body = "\ufeff".encode() + as_events(f"event: done\ndata: {DONE}\n\n")
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    async with (
        RawServer(answer(pieces, headers=EVENT_STREAM)) as server,
        client_of(server) as speko,
    ):
        assert (await complete(speko)).text == "Grüße\u2028🙂 you"


@pytest.mark.parametrize(
    "content_type",
    ["text/event-stream; charset=utf-8", "Text/Event-Stream", "text/event-stream;charset=UTF-8"],
)
async def test_a_stream_s_type_may_be_spelt_in_any_case_and_have_parameters(
    content_type: str,
) -> None:
    said = answer(as_events(REPLY), headers={"Content-Type": content_type})
    async with RawServer(said) as server, client_of(server) as speko:
        assert (await complete(speko)).text == "Grüße\u2028🙂 you"


@pytest.mark.parametrize("data", ["pong", "[1]", "null", ""])
async def test_an_event_that_nobody_knows_is_ignored_whatever_its_data(data: str) -> None:
    body = events(("ping", data), ("done", DONE))
    async with RawServer(answer(body, headers=EVENT_STREAM)) as server, client_of(server) as speko:
        assert (await complete(speko)).text == (await transcribe(speko)).text


async def test_what_comes_after_done_is_not_read_as_a_part_of_the_reply() -> None:
    body = events(("done", DONE), ("delta", '{"text":"more"}'), ("error", "{}"))
    async with RawServer(answer(body, headers=EVENT_STREAM)) as server, client_of(server) as speko:
        assert [event.type async for event in stream(speko)] == ["done"]


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
async def test_an_older_service_s_type_may_be_spelt_in_any_case_and_have_parameters(
    content_type: str,
) -> None:
    said = answer(DONE, headers={"Content-Type": content_type})
    async with RawServer(said) as server, client_of(server) as speko:
        assert (await complete(speko)).text == (await transcribe(speko)).text


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            answer("<html>", headers={"Content-Type": "text/html"}),
            "expected text/event-stream, got text/html",
        ),
        (answer(DONE), "expected text/event-stream, got no content type"),
        (answer("", headers=JSON), "the answer is not JSON"),
        (answer("<html>", headers=JSON), "the answer is not JSON"),
        (answer("[]", headers=JSON), "expected an object"),
        (answer(events(("done", "{")), headers=EVENT_STREAM), "the done event is not JSON"),
        (answer(events(("done", "[]")), headers=EVENT_STREAM), "expected an object"),
    ],
)
async def test_an_answer_that_cannot_be_read_says_what_it_is(said: bytes, message: str) -> None:
    async with RawServer(said) as server, client_of(server) as speko:
        for call in (complete, transcribe):
            with pytest.raises(SpekoApiError, match=message) as raised:
                await call(speko)
            assert (raised.value.status, raised.value.code) == (200, "MALFORMED_RESPONSE")


async def test_an_answer_that_is_not_worth_reading_frees_its_connection_at_once() -> None:
    said = answer("<html>", headers={"Content-Type": "text/html"}, whole=False)
    async with RawServer(said, hold=True) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError, match="got text/html"):
            await complete(speko)
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_a_json_answer_without_an_end_is_read_to_the_limit_and_no_further() -> None:
    body = b'{"text":"' + bytes([97]) * MAX_JSON_BYTES
    async with (
        RawServer(answer(body, headers=JSON, whole=False), hold=True) as server,
        client_of(server) as speko,
    ):
        with pytest.raises(SpekoApiError, match=f"larger than {MAX_JSON_BYTES} bytes"):
            await complete(speko)
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_a_json_answer_at_the_limit_is_read() -> None:
    text = "a" * (MAX_JSON_BYTES - len('{"text":""}'))
    said = answer(f'{{"text":"{text}"}}', headers=JSON)
    async with RawServer(said) as server, client_of(server) as speko:
        assert (await complete(speko)).text == text


async def test_an_error_without_an_end_is_read_to_the_limit_and_no_further() -> None:
    body = b"<html>" + bytes([97]) * MAX_ERROR_BYTES
    async with (
        RawServer(answer(body, status=503, whole=False), hold=True) as server,
        client_of(server) as speko,
    ):
        with pytest.raises(SpekoApiError, match="HTTP status 503"):
            await synthesize(speko)
        await asyncio.wait_for(server.gone.wait(), 5)


@CALLS
@pytest.mark.parametrize(
    ("refusal", "kind", "told"),
    [
        (Refusal(400, "bad", "VALIDATION_ERROR"), SpekoApiError, ("bad", 400, "VALIDATION_ERROR")),
        (Refusal(401, "no", "UNAUTHORIZED"), SpekoAuthError, ("no", 401, "UNAUTHORIZED")),
        (Refusal(429, "slow", "RATE"), SpekoRateLimitError, ("slow", 429, "RATE")),
        (
            Refusal(500, "down", "ALL_PROVIDERS_FAILED"),
            SpekoApiError,
            ("down", 500, "ALL_PROVIDERS_FAILED"),
        ),
        (
            Refusal(502, body="<h1>Bad Gateway</h1>"),
            SpekoApiError,
            ("HTTP status 502", 502, "UNKNOWN"),
        ),
        (Refusal(503, body=b""), SpekoApiError, ("HTTP status 503", 503, "UNKNOWN")),
        (Refusal(401, body=b""), SpekoAuthError, ("HTTP status 401", 401, "AUTH_ERROR")),
        (Refusal(500, body=b"\xff\xfe"), SpekoApiError, ("HTTP status 500", 500, "UNKNOWN")),
    ],
)
async def test_an_error_status_raises_its_class(
    gateway: LocalGateway,
    speko: Speko,
    call: Call,
    refusal: Refusal,
    kind: type[SpekoApiError],
    told: tuple[str, int, str],
) -> None:
    for route in (gateway.transcribe, gateway.complete, gateway.synthesize):
        route.always(refusal)
    with pytest.raises(SpekoApiError) as raised:
        await call(speko)
    assert type(raised.value) is kind
    assert (raised.value.message, raised.value.status, raised.value.code) == told


async def test_an_event_stream_with_an_error_status_is_an_error() -> None:
    said = answer(events(("done", DONE)), status=500, headers=EVENT_STREAM)
    async with RawServer(said) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError, match="HTTP status 500"):
            await complete(speko)


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "7"}, 7.0), ({}, None)])
async def test_a_rate_limit_says_how_long_to_wait(
    gateway: LocalGateway, speko: Speko, headers: dict[str, str], seconds: float | None
) -> None:
    gateway.complete.script(Refusal(429, "slow", "RATE_LIMITED", headers=headers))
    with pytest.raises(SpekoRateLimitError) as raised:
        await complete(speko)
    assert raised.value.retry_after == seconds


async def test_a_wrong_key_is_an_authentication_error(gateway: LocalGateway) -> None:
    async with Speko(api_key="sk-wrong", base_url=gateway.base_url) as speko:
        with pytest.raises(SpekoAuthError) as raised:
            await complete(speko)
    assert (raised.value.status, raised.value.code) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("written", [KEY, KEY.replace("/", "\\/")], ids=["plain", "escaped"])
async def test_a_key_that_the_service_echoes_is_not_in_the_error(written: str) -> None:
    echo = f'{{"error":"unknown key {written}","code":"{written}"}}'
    refused = answer(echo, status=401, headers=JSON)
    failed = answer(events(("error", echo)), headers=EVENT_STREAM)
    async with RawServer(refused, failed) as server, client_of(server) as speko:
        for call in (complete, complete, transcribe):
            with pytest.raises(SpekoApiError, match="unknown key") as raised:
                await call(speko)
            error = raised.value
            told = f"{error} {error!r} {error.message} {error.code} {error.__context__!r}"
            assert KEY not in told


async def test_a_key_that_the_service_echoes_is_not_in_the_error_event() -> None:
    body = events(("error", json.dumps({"error": f"unknown key {KEY}", "code": KEY})))
    async with RawServer(answer(body, headers=EVENT_STREAM)) as server, client_of(server) as speko:
        (event,) = [event async for event in stream(speko)]
    assert KEY not in repr(event)


@CALLS
async def test_a_service_that_is_not_there_is_a_connection_error(call: Call) -> None:
    async with RawServer(answer()) as server:
        pass
    async with client_of(server) as speko:
        with pytest.raises(httpx.ConnectError):
            await call(speko)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (transcribe, answer(events(("meta", "{}")), headers=EVENT_STREAM, whole=False)),
        (complete, answer('{"text":', headers=JSON, whole=False)),
        (complete, answer(events(("delta", "{}")), headers=EVENT_STREAM, whole=False)),
        (synthesize, answer(b"abc", headers={"Content-Type": "audio/pcm"}, whole=False)),
        (synthesize, b""),
        (synthesize, b"220 mail.example ESMTP\r\n"),
    ],
)
async def test_an_answer_that_breaks_off_is_a_protocol_error(call: Call, said: bytes) -> None:
    async with RawServer(said) as server, client_of(server) as speko:
        with pytest.raises(httpx.RemoteProtocolError):
            await call(speko)


@CALLS
async def test_every_request_tells_its_key_and_who_it_is(call: Call) -> None:
    async with RawServer(answer(status=500)) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError):
            await call(speko)
    (head,) = server.heads
    assert f"\r\nAuthorization: Bearer {KEY}\r\n" in head
    assert "\r\nUser-Agent: livekit-plugins-speko/" in head


async def test_a_base_url_s_own_path_comes_first() -> None:
    async with RawServer(answer(status=500)) as server:
        async with Speko(api_key=KEY, base_url=f"{server.base_url}/speko/") as speko:
            with pytest.raises(SpekoApiError):
                await complete(speko)
    assert server.heads[0].startswith("POST /speko/v1/complete HTTP/1.1\r\n")


@pytest.mark.parametrize("call", [transcribe, complete])
async def test_a_service_that_keeps_the_end_back_does_not_keep_the_answer(call: Call) -> None:
    """Its last event has come; the connection is given up, for nobody can use it again."""
    held = answer(as_events(REPLY), headers=EVENT_STREAM, whole=False)
    async with RawServer(held, hold=True) as server, client_of(server) as speko:
        assert (await asyncio.wait_for(call(speko), 5)).text == "Grüße\u2028🙂 you"
        await asyncio.wait_for(server.gone.wait(), 5)


@pytest.mark.parametrize("hold", [False, True], ids=["breaks off", "never ends"])
@CALLS
async def test_an_error_s_status_counts_whatever_becomes_of_its_body(
    call: Call, hold: bool
) -> None:
    body = answer('{"error":"no', status=401, headers=JSON, whole=False)
    async with RawServer(body, hold=hold) as server, client_of(server, timeout=10.0) as speko:
        with pytest.raises(SpekoAuthError, match="HTTP status 401"):
            await asyncio.wait_for(call(speko), 5)


@pytest.mark.parametrize("call", [transcribe, complete])
async def test_a_key_that_comes_back_in_a_header_is_not_in_the_error(call: Call) -> None:
    echo = answer("hello", headers={"Content-Type": f"text/{KEY}"})
    async with RawServer(echo) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError) as raised:
            await call(speko)
    assert KEY not in str(raised.value) and "[redacted]" in str(raised.value)
