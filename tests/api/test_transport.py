"""Requests and responses at the socket: redirects, errors, malformed bodies, missing ends."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from livekit_plugins_speko import Speko, SpekoApiError, SpekoAuthError, SpekoRateLimitError
from livekit_plugins_speko.api.limits import MAX_JSON_BYTES
from livekit_plugins_speko.testing import LocalGateway, Refusal
from tests.helpers.client_calls import CALLS, Call, complete, stream, transcribe
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
async def test_redirect_is_an_error_and_the_key_is_not_forwarded(call: Call, status: int) -> None:
    async with RawServer(answer()) as elsewhere, httpx.AsyncClient(follow_redirects=True) as theirs:
        moved = answer(status=status, headers={"Location": elsewhere.base_url})
        async with RawServer(moved) as server:
            for http_client in (None, theirs):
                async with client_of(server, http_client=http_client) as speko:
                    with pytest.raises(SpekoApiError) as raised:
                        await call(speko)
                assert raised.value.status == status
    assert (elsewhere.heads, len(server.heads)) == ([], 2)


@pytest.mark.parametrize(
    "content_type",
    ["text/event-stream; charset=utf-8", "Text/Event-Stream", "text/event-stream;charset=UTF-8"],
)
async def test_type_of_a_stream_may_have_any_case_and_parameters(
    content_type: str,
) -> None:
    said = answer(as_events(REPLY), headers={"Content-Type": content_type})
    async with RawServer(said) as server, client_of(server) as speko:
        assert (await complete(speko)).text == "Grüße\u2028🙂 you"


LAST = f"event: done\ndata: {DONE}"


@pytest.mark.parametrize("end", ["\n", "", "\r\n", "\r"], ids=repr)
async def test_last_event_may_lack_its_blank_line(end: str) -> None:
    said = answer(events(("delta", '{"text":"Grüße"}')) + LAST + end, headers=EVENT_STREAM)
    async with RawServer(said) as server, client_of(server) as speko:
        for call in (complete, transcribe):
            assert (await call(speko)).text == "Grüße\u2028🙂 you"


async def test_error_event_may_be_the_last_event() -> None:
    said = answer('event: error\ndata: {"error":"no","code":"NO"}', headers=EVENT_STREAM)
    async with RawServer(said) as server, client_of(server) as speko:
        for call in (complete, transcribe):
            with pytest.raises(SpekoApiError, match="^no$"):
                await call(speko)


@pytest.mark.parametrize("cut", range(1, len(LAST.encode()), 5))
async def test_cut_last_event_is_dropped(cut: int) -> None:
    body = events(("delta", '{"text":"Grüße"}')).encode() + LAST.encode()[:-cut]
    async with RawServer(answer(body, headers=EVENT_STREAM)) as server, client_of(server) as speko:
        for call in (complete, transcribe):
            with pytest.raises(SpekoApiError) as raised:
                await call(speko)
            assert raised.value.code == "STREAM_ENDED"


async def test_last_event_without_its_blank_line_is_dropped_from_a_cut_body() -> None:
    said = answer(LAST, headers=EVENT_STREAM, whole=False)
    async with RawServer(said) as server, client_of(server) as speko:
        with pytest.raises(httpx.RemoteProtocolError):
            await complete(speko)


@pytest.mark.parametrize("data", ["pong", "[1]", "null", ""])
async def test_unknown_event_is_ignored_with_any_data(data: str) -> None:
    body = events(("ping", data), ("done", DONE))
    async with RawServer(answer(body, headers=EVENT_STREAM)) as server, client_of(server) as speko:
        assert (await complete(speko)).text == (await transcribe(speko)).text


async def test_events_after_done_are_ignored() -> None:
    body = events(("done", DONE), ("delta", '{"text":"more"}'), ("error", "{}"))
    async with RawServer(answer(body, headers=EVENT_STREAM)) as server, client_of(server) as speko:
        assert [event.type async for event in stream(speko)] == ["done"]


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
async def test_type_of_a_json_response_may_have_any_case_and_parameters(
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
        (answer("", headers=JSON), "the response is not JSON"),
        (answer("<html>", headers=JSON), "the response is not JSON"),
        (answer("[]", headers=JSON), "expected an object"),
        (answer(events(("done", "{")), headers=EVENT_STREAM), "the done event is not JSON"),
        (answer(events(("done", "[]")), headers=EVENT_STREAM), "expected an object"),
    ],
)
async def test_response_of_another_type_is_named(said: bytes, message: str) -> None:
    async with RawServer(said) as server, client_of(server) as speko:
        for call in (complete, transcribe):
            with pytest.raises(SpekoApiError, match=message) as raised:
                await call(speko)
            assert (raised.value.status, raised.value.code) == (200, "MALFORMED_RESPONSE")


async def test_response_of_another_type_frees_its_connection_at_once() -> None:
    said = answer("<html>", headers={"Content-Type": "text/html"}, whole=False)
    async with RawServer(said, hold=True) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError, match="got text/html"):
            await complete(speko)
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_json_response_at_the_limit_is_read() -> None:
    text = "a" * (MAX_JSON_BYTES - len('{"text":""}'))
    said = answer(f'{{"text":"{text}"}}', headers=JSON)
    async with RawServer(said) as server, client_of(server) as speko:
        assert (await complete(speko)).text == text


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
async def test_error_status_raises_its_class(
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


async def test_event_stream_with_an_error_status_is_an_error() -> None:
    said = answer(events(("done", DONE)), status=500, headers=EVENT_STREAM)
    async with RawServer(said) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError, match="HTTP status 500"):
            await complete(speko)


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "7"}, 7.0), ({}, None)])
async def test_rate_limit_error_has_the_wait(
    gateway: LocalGateway, speko: Speko, headers: dict[str, str], seconds: float | None
) -> None:
    gateway.complete.script(Refusal(429, "slow", "RATE_LIMITED", headers=headers))
    with pytest.raises(SpekoRateLimitError) as raised:
        await complete(speko)
    assert raised.value.retry_after == seconds


async def test_wrong_key_is_an_authentication_error(gateway: LocalGateway) -> None:
    async with Speko(api_key="sk-wrong", base_url=gateway.base_url) as speko:
        with pytest.raises(SpekoAuthError) as raised:
            await complete(speko)
    assert (raised.value.status, raised.value.code) == (401, "UNAUTHORIZED")


@CALLS
async def test_every_request_has_the_key_and_the_user_agent(call: Call) -> None:
    async with RawServer(answer(status=500)) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError):
            await call(speko)
    (head,) = server.heads
    assert f"\r\nAuthorization: Bearer {KEY}\r\n" in head
    assert "\r\nUser-Agent: livekit-plugins-speko/" in head


async def test_path_of_the_base_url_comes_first() -> None:
    async with RawServer(answer(status=500)) as server:
        async with Speko(api_key=KEY, base_url=f"{server.base_url}/speko/") as speko:
            with pytest.raises(SpekoApiError):
                await complete(speko)
    assert server.heads[0].startswith("POST /speko/v1/complete HTTP/1.1\r\n")


@pytest.mark.parametrize("call", [transcribe, complete])
async def test_response_does_not_wait_for_a_delayed_end(call: Call) -> None:
    """Its last event has arrived; the connection is closed."""
    held = answer(as_events(REPLY), headers=EVENT_STREAM, whole=False)
    async with RawServer(held, hold=True) as server, client_of(server) as speko:
        assert (await asyncio.wait_for(call(speko), 5)).text == "Grüße\u2028🙂 you"
        await asyncio.wait_for(server.gone.wait(), 5)


@pytest.mark.parametrize("hold", [False, True], ids=["breaks off", "never ends"])
@CALLS
async def test_error_has_its_status_without_its_body(call: Call, hold: bool) -> None:
    body = answer('{"error":"no', status=401, headers=JSON, whole=False)
    async with RawServer(body, hold=hold) as server, client_of(server, timeout=10.0) as speko:
        with pytest.raises(SpekoAuthError, match="HTTP status 401"):
            await asyncio.wait_for(call(speko), 5)
