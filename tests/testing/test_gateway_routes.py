"""What any route of the gateway can be told: refusals, latencies, engines, registered tools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest

from livekit_plugins_speko.testing import (
    Answer,
    AnswerWriter,
    Gate,
    GatewayRequest,
    Latency,
    LocalGateway,
    Refusal,
    Reply,
    Route,
    Speech,
    ToolRows,
    Transcript,
)
from tests.helpers.gateway_requests import (
    TOOL,
    completion,
    connect,
    read_events,
    synthesis,
    transcription,
)


async def test_a_refusal_has_the_services_error_body_and_its_own_headers(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Refusal(429, "slow down", "RATE_LIMITED", headers={"Retry-After": "2"}))
    response = await http_client.post(**completion())
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "2"
    assert response.json() == {"error": "slow down", "code": "RATE_LIMITED"}


@pytest.mark.parametrize("body", ["<h1>Bad gateway</h1>", b"\xff\xfe", ""])
async def test_a_refusal_can_be_what_a_proxy_sends(
    gateway: LocalGateway, http_client: httpx.AsyncClient, body: str | bytes
) -> None:
    gateway.synthesize.script(Refusal(502, body=body))
    response = await http_client.post(**synthesis())
    assert response.status_code == 502
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.content == (body.encode() if isinstance(body, str) else body)


async def test_the_headers_of_a_refusal_stand_above_its_own(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.synthesize.script(Refusal(502, body="gone", headers={"Content-Type": "text/plain"}))
    response = await http_client.post(**synthesis())
    assert (response.headers["Content-Type"], response.text) == ("text/plain", "gone")


async def test_latencies_hold_back_headers_first_piece_and_the_pieces_after(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.synthesize.latency = Latency(headers_s=0.05, first_s=0.05, between_s=0.1)
    gateway.synthesize.script(Speech([b"a", b"b", b"c"]))
    began = time.perf_counter()
    async with http_client.stream("POST", **synthesis()) as response:
        headers_s = time.perf_counter() - began
        arrived_s = [time.perf_counter() - began async for _ in response.aiter_raw()]
    assert headers_s >= 0.05
    assert arrived_s[0] >= 0.1
    assert arrived_s[2] >= 0.3
    assert int(response.headers["X-Speko-First-Byte-Ms"]) >= 50


async def test_the_first_piece_waits_from_the_headers_on(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    async def slow(request: GatewayRequest) -> Speech:
        await asyncio.sleep(0.05)
        return Speech(b"ab")

    gateway.synthesize.latency = Latency(first_s=0.05)
    gateway.synthesize.use(slow)
    began = time.perf_counter()
    await http_client.post(**synthesis())
    assert time.perf_counter() - began >= 0.1


async def test_a_transcript_without_interim_texts_takes_its_time_too(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.transcribe.latency = Latency(first_s=0.05)
    gateway.transcribe.script(Transcript("hello"))
    began = time.perf_counter()
    await http_client.post(**transcription())
    assert time.perf_counter() - began >= 0.05


async def test_a_json_answer_and_an_empty_reply_take_their_time_too() -> None:
    async with LocalGateway(json_answers=True) as gateway, connect(gateway) as client:
        gateway.complete.latency = Latency(headers_s=0.02, first_s=0.05)
        gateway.complete.script(Reply(["Hi"]), Reply(""))
        for _ in range(2):
            began = time.perf_counter()
            await client.post(**completion())
            assert time.perf_counter() - began >= 0.07


async def test_tool_rows_can_be_scripted_before_the_registered_ones(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.register_tools("agent-1", [TOOL])
    gateway.tools.script(Refusal(503, "later", "UNAVAILABLE"), ToolRows([{"id": "t9"}]))
    answers = [await http_client.get("/v1/agents/agent-1/tools") for _ in range(3)]
    assert answers[0].status_code == 503
    assert answers[1].json() == [{"id": "t9"}]
    assert answers[2].json()[0]["name"] == "get_weather"


async def test_the_script_comes_first_and_the_engine_after_it(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    async def echo(request: GatewayRequest) -> Reply:
        return Reply([request.json["messages"][-1]["content"]])

    gateway.complete.use(echo)
    gateway.complete.script(Reply(["scripted"]))
    replies = [read_events((await http_client.post(**completion())).text)[-1] for _ in range(2)]
    assert [data["text"] for _, data in replies] == ["scripted", "Hello."]


async def test_an_answer_given_for_always_is_given_every_time(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.synthesize.always(Speech([b"ab", b"c"]))
    assert [(await http_client.post(**synthesis())).content for _ in range(3)] == [b"abc"] * 3


async def test_requests_are_answered_side_by_side(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gate = Gate()
    gateway.complete.script(Reply(["slow", gate]), Reply(["quick"]))
    slow = asyncio.create_task(http_client.post(**completion()))
    await gate.reached()
    assert "quick" in (await http_client.post(**completion())).text
    gate.open()
    assert "slow" in (await slow).text


async def test_an_answer_of_ones_own_writes_what_no_other_can(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    class Teapot(Answer):
        serves = frozenset({"complete"})

        async def write(self, writer: AnswerWriter) -> None:
            await writer.start(418, {"Content-Type": "text/plain"})
            await writer.send(b"tea")

    gateway.complete.script(Teapot())
    response = await http_client.post(**completion())
    assert (response.status_code, response.text) == (418, "tea")


async def test_available_tools_leave_out_those_that_could_not_run(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.register_tools("a/1 ü", [TOOL], unavailable=[{**TOOL, "name": "other"}])
    url = "/v1/agents/a%2F1%20%C3%BC/tools"
    available = (await http_client.get(url, params={"available": "1"})).json()
    everything = (await http_client.get(url)).json()
    assert [row["name"] for row in available] == ["get_weather"]
    assert [row["name"] for row in everything] == ["get_weather", "other"]


async def test_a_row_gets_what_the_service_adds_and_keeps_what_it_has(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    source = {"kind": "builtin", "name": "clock"}
    gateway.register_tools("agent-1", [{**TOOL, "id": "mine", "source": source}])
    (row,) = (await http_client.get("/v1/agents/agent-1/tools")).json()
    assert (row["id"], row["agentId"], row["source"]) == ("mine", "agent-1", source)
    assert row.keys() >= {"createdAt", "updatedAt"}


async def test_an_agent_that_nobody_registered_is_not_found(http_client: httpx.AsyncClient) -> None:
    response = await http_client.get("/v1/agents/ghost/tools?available=1")
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("answer", [Reply("Hi"), "Hi", None])
def test_an_answer_for_another_route_is_refused_at_once(answer: Any) -> None:
    with pytest.raises(TypeError, match="Route transcribe: "):
        Route("transcribe").script(answer)


async def _speaking() -> AsyncIterator[bytes]:
    yield b"ab"


@pytest.mark.parametrize(
    ("audio", "kind"), [(iter([b"ab"]), "list_iterator"), (_speaking(), "async_generator")]
)
def test_an_answer_that_can_be_read_only_once_is_refused_for_always(audio: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"audio is {kind}, which can be read only once"):
        Route("synthesize").always(Speech(audio))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Refusal(200), "Refusal: status is 200, expected 400 to 599."),
        (lambda: Speech(b"", chunk_bytes=0), "Speech: chunk_bytes is 0, expected 1 or more."),
        (
            lambda: Speech(cast(Any, "ab")),
            "Speech: audio is str, expected bytes or an iterable of bytes.",
        ),
        (lambda: Latency(first_s=-1), "Latency: first_s is -1, expected seconds, zero or more."),
        (lambda: Latency(headers_s=float("inf")), "To hold an answer for good, use a Gate."),
    ],
)
def test_an_impossible_answer_cannot_be_made(make: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)
