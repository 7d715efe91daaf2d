"""Each scripted answer as it goes over the network."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httpx
import pytest

from livekit_plugins_speko.testing import (
    Answer,
    AnswerWriter,
    EndOfStream,
    ErrorEvent,
    Gate,
    Latency,
    LocalGateway,
    ProviderRoute,
    Refusal,
    Reply,
    ServerToolCall,
    Speech,
    ToolCall,
    Transcript,
)
from tests.helpers.gateway_requests import (
    ROUTE,
    ROUTE_DATA,
    completion,
    connect,
    read_events,
    synthesis,
    transcription,
)

CALL = ToolCall("get_weather", {"city": "Paris"}, id="c1")
CALL_DATA = {"id": "c1", "name": "get_weather", "args": '{"city": "Paris"}'}
META = {**ROUTE_DATA, "totalFailoverCount": 1, "hop": 0}
USAGE = {"promptTokens": 10, "completionTokens": 5}
DONE = {"text": "", **ROUTE_DATA, "usage": USAGE}
ERROR = ErrorEvent("all failed")
ERROR_DATA = {"error": "all failed", "code": "ALL_PROVIDERS_FAILED"}


async def complete(gateway: LocalGateway, *replies: Answer) -> list[httpx.Response]:
    """Script completions and request each of them."""
    gateway.complete.script(*replies)
    async with connect(gateway) as client:
        return [await client.post(**completion()) for _ in replies]


@pytest.mark.parametrize(
    ("reply", "events"),
    [
        (
            Reply("Hi  you\n", prompt_tokens=7, completion_tokens=2, route=ROUTE),
            [
                ("meta", META),
                ("delta", {"text": "Hi"}),
                ("delta", {"text": "  you"}),
                ("delta", {"text": "\n"}),
                (
                    "done",
                    {
                        **DONE,
                        "text": "Hi  you\n",
                        "usage": {"promptTokens": 7, "completionTokens": 2},
                    },
                ),
            ],
        ),
        (Reply("", route=ROUTE), [("meta", META), ("done", DONE)]),
        (
            Reply(tool_calls=[CALL, ToolCall("log", "{bad", id="c2")], route=ROUTE),
            [
                ("meta", META),
                ("tool_call", CALL_DATA),
                ("tool_call", {"id": "c2", "name": "log", "args": "{bad"}),
                (
                    "done",
                    {
                        **DONE,
                        "toolCalls": [CALL_DATA, {"id": "c2", "name": "log", "args": "{bad"}],
                    },
                ),
            ],
        ),
        (
            Reply(
                ["Hi"],
                server_tool_calls=[ServerToolCall("lookup", outcome="failed", id="s1")],
                route=ROUTE,
            ),
            [
                ("meta", META),
                ("server_tool_call", {"id": "s1", "name": "lookup", "status": "started"}),
                ("server_tool_call", {"id": "s1", "name": "lookup", "status": "failed"}),
                ("meta", {**META, "hop": 1}),
                ("delta", {"text": "Hi"}),
                ("done", {**DONE, "text": "Hi"}),
            ],
        ),
        (
            Reply(["Hi", ERROR, " you"], route=ROUTE),
            [("meta", META), ("delta", {"text": "Hi"}), ("error", ERROR_DATA)],
        ),
        (
            Reply(["Hi", EndOfStream(), " you"], route=ROUTE),
            [("meta", META), ("delta", {"text": "Hi"})],
        ),
    ],
    ids=["text", "empty", "tool_calls", "server_tool_calls", "error", "end_of_stream"],
)
async def test_reply_is_an_event_stream(
    gateway: LocalGateway, reply: Reply, events: list[tuple[str, Any]]
) -> None:
    (response,) = await complete(gateway, reply)
    assert response.headers["Content-Type"] == "text/event-stream"
    assert (response.status_code, read_events(response.text)) == (200, events)


@pytest.mark.parametrize(
    ("transcript", "events"),
    [
        (
            Transcript("hello there", interim=["hello"], route=ROUTE),
            [
                ("meta", ROUTE_DATA),
                ("transcript", {"text": "hello", "isFinal": False, "confidence": 0.9}),
                ("done", {"text": "hello there", "confidence": 0.9, **ROUTE_DATA}),
            ],
        ),
        (
            Transcript("", confidence=None, route=ROUTE),
            [("meta", ROUTE_DATA), ("done", {"text": "", "confidence": None, **ROUTE_DATA})],
        ),
        (
            Transcript("hello", interim=[ERROR], route=ROUTE),
            [("meta", ROUTE_DATA), ("error", ERROR_DATA)],
        ),
        (Transcript("hello", interim=[EndOfStream()], route=ROUTE), [("meta", ROUTE_DATA)]),
    ],
    ids=["interim", "silence", "error", "end_of_stream"],
)
async def test_transcript_is_an_event_stream(
    gateway: LocalGateway,
    http_client: httpx.AsyncClient,
    transcript: Transcript,
    events: list[tuple[str, Any]],
) -> None:
    gateway.transcribe.script(transcript)
    assert read_events((await http_client.post(**transcription())).text) == events


async def test_older_service_responds_with_one_json_object() -> None:
    async with LocalGateway(json_answers=True) as gateway, connect(gateway) as client:
        gateway.transcribe.script(Transcript("hello", interim=["he"], route=ROUTE))
        response = await client.post(**transcription())
        assert response.headers["Content-Type"] == "application/json"
        assert response.json() == {"text": "hello", "confidence": 0.9, **ROUTE_DATA}
        done, failed, empty = await complete(
            gateway,
            Reply("Hi", tool_calls=[CALL], server_tool_calls=[ServerToolCall("x")], route=ROUTE),
            Reply([ErrorEvent("bad", "X")]),
            Reply([EndOfStream()]),
        )
    assert done.json() == {**DONE, "text": "Hi", "toolCalls": [CALL_DATA]}
    assert (failed.status_code, failed.json()) == (500, {"error": "bad", "code": "X"})
    assert (empty.status_code, empty.content) == (200, b"")


async def test_one_route_alone_can_respond_in_json(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.json_answers = True
    (reply,) = await complete(gateway, Reply("Hi"))
    assert reply.json()["text"] == "Hi"
    gateway.transcribe.script(Transcript("hello"))
    response = await http_client.post(**transcription())
    assert response.headers["Content-Type"] == "text/event-stream"


async def test_characters_beyond_ascii_are_sent_unescaped(gateway: LocalGateway) -> None:
    (response,) = await complete(gateway, Reply(["Grüße\u2028🙂"]))
    assert "Grüße\u2028🙂".encode() in response.content


def test_tool_calls_without_an_id_get_different_ones() -> None:
    assert ToolCall("a").id != ToolCall("a").id


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (ProviderRoute(), ["local", "scripted", "0", "run-local"]),
        (ROUTE, ["acme", "acme-2", "1", None]),
    ],
)
async def test_headers_name_the_provider(
    gateway: LocalGateway,
    http_client: httpx.AsyncClient,
    route: ProviderRoute,
    expected: list[str | None],
) -> None:
    gateway.synthesize.script(Speech(b"ab", route=route))
    headers = (await http_client.post(**synthesis())).headers
    names = ("Provider", "Model", "Failover-Count", "Scores-Run-Id")
    assert [headers.get(f"X-Speko-{name}") for name in names] == expected
    assert int(headers["X-Speko-First-Byte-Ms"]) >= 0


@pytest.mark.parametrize(
    ("audio_format", "header"),
    [(None, "audio/wav"), ("audio/pcm;rate=8000", "audio/pcm;rate=8000"), ("", None)],
)
async def test_audio_format_is_the_content_type_by_default(
    gateway: LocalGateway,
    http_client: httpx.AsyncClient,
    audio_format: str | None,
    header: str | None,
) -> None:
    speech = Speech(b"", content_type="audio/wav", audio_format=audio_format)
    gateway.synthesize.script(speech)
    response = await http_client.post(**synthesis())
    headers = response.headers
    assert (headers["Content-Type"], headers.get("X-Speko-Audio-Format")) == ("audio/wav", header)
    assert (response.status_code, response.content) == (200, b"")


async def test_audio_is_sent_in_chunks_of_the_given_size(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.synthesize.latency = Latency(between_s=0.02)
    gateway.synthesize.script(Speech(bytes(7), chunk_bytes=3))
    async with http_client.stream("POST", **synthesis()) as response:
        assert [len(chunk) async for chunk in response.aiter_raw()] == [3, 3, 1]


async def test_chunk_can_be_read_while_a_gate_holds_the_next(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gate = Gate()
    gateway.synthesize.script(Speech([b"first", gate, b"second"]))
    async with http_client.stream("POST", **synthesis()) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        await gate.reached()
        assert not gateway.requests[0].done
        gate.open()
        assert await anext(chunks) == b"second"


async def test_gate_holds_a_json_response_whole() -> None:
    gate = Gate()
    async with LocalGateway(json_answers=True) as gateway:
        pending = asyncio.create_task(complete(gateway, Reply(["Hi", gate, " you"])))
        await gate.reached()
        assert gateway.requests[0].status is None
        gate.open()
        assert (await pending)[0].json()["text"] == "Hi you"


@pytest.mark.parametrize(
    ("refusal", "content_type", "body"),
    [
        (
            Refusal(429, "slow down", "RATE_LIMITED", headers={"Retry-After": "2"}),
            "application/json",
            b'{"error":"slow down","code":"RATE_LIMITED"}',
        ),
        (Refusal(502, body="<h1>Bad</h1>"), "text/html; charset=utf-8", b"<h1>Bad</h1>"),
        (Refusal(502, body=b"\xff\xfe"), "text/html; charset=utf-8", b"\xff\xfe"),
        (Refusal(502, body="", headers={"Content-Type": "text/plain"}), "text/plain", b""),
    ],
    ids=["json", "html", "bytes", "own_type"],
)
async def test_refusal_is_the_services_error_or_a_proxys(
    gateway: LocalGateway, refusal: Refusal, content_type: str, body: bytes
) -> None:
    (response,) = await complete(gateway, refusal)
    assert (response.status_code, response.content) == (refusal.status, body)
    assert response.headers["Content-Type"] == content_type
    assert response.headers.get("Retry-After") == refusal.headers.get("Retry-After")


async def test_own_answer_class_writes_any_response(gateway: LocalGateway) -> None:
    class Teapot(Answer):
        serves = frozenset({"complete"})

        async def write(self, writer: AnswerWriter) -> None:
            await writer.start(418, {"Content-Type": "text/plain"})
            await writer.send(b"tea")

    (response,) = await complete(gateway, Teapot())
    assert (response.status_code, response.text) == (418, "tea")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Refusal(200), "Refusal: status is 200, expected 400 to 599."),
        (lambda: Speech(b"", chunk_bytes=0), "Speech: chunk_bytes is 0, expected 1 or more."),
        (lambda: Speech(cast(Any, "ab")), "Speech: audio is str, expected bytes or an iterable"),
        (lambda: Latency(first_s=-1), "Latency: first_s is -1, expected seconds, zero or more."),
        (lambda: Latency(headers_s=float("inf")), "To hold an answer for good, use a Gate."),
    ],
)
def test_impossible_answer_is_refused_when_it_is_made(make: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)
