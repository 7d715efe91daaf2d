"""A route's script, engine and latency, and the tools that are registered for agents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from livekit_plugins_speko.testing import (
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
from tests.helpers.gateway_requests import TOOL, completion, connect, synthesis, transcription


async def test_script_comes_first_and_the_engine_after_it(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    async def echo(request: GatewayRequest) -> Reply:
        return Reply([request.json["messages"][-1]["content"]])

    gateway.complete.json_answers = True
    gateway.complete.use(echo)
    gateway.complete.script(Reply("first"), Reply("second"))
    replies = [(await http_client.post(**completion())).json()["text"] for _ in range(3)]
    assert replies == ["first", "second", "Hello."]


async def test_always_gives_the_same_answer_every_time(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.synthesize.always(Speech([b"ab", b"c"]))
    assert [(await http_client.post(**synthesis())).content for _ in range(3)] == [b"abc"] * 3


async def test_requests_are_answered_concurrently(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gate = Gate()
    gateway.complete.script(Reply(["slow", gate]), Reply(["quick"]))
    slow = asyncio.create_task(http_client.post(**completion()))
    await gate.reached()
    assert "quick" in (await http_client.post(**completion())).text
    gate.open()
    assert "slow" in (await slow).text


@pytest.mark.parametrize("answer", [Reply("Hi"), "Hi", None])
def test_answer_for_another_route_is_refused_at_once(answer: Any) -> None:
    with pytest.raises(TypeError, match="Route transcribe: "):
        Route("transcribe").script(answer)


async def _speak() -> AsyncIterator[bytes]:
    yield b"ab"


@pytest.mark.parametrize(
    ("audio", "kind"), [(iter([b"ab"]), "list_iterator"), (_speak(), "async_generator")]
)
def test_always_refuses_content_that_can_be_read_only_once(audio: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"audio is {kind}, which can be read only once"):
        Route("synthesize").always(Speech(audio))


async def test_latency_delays_headers_first_piece_and_later_pieces(
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


async def test_first_piece_is_delayed_from_the_headers_of_a_slow_engine(
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


async def test_empty_and_json_answers_are_delayed_too(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.json_answers = True
    gateway.complete.latency = gateway.transcribe.latency = Latency(headers_s=0.01, first_s=0.03)
    gateway.complete.script(Reply(["Hi"]), Reply(""))
    gateway.transcribe.script(Transcript("hello"))
    for request in (completion(), completion(), transcription()):
        began = time.perf_counter()
        await http_client.post(**request)
        assert time.perf_counter() - began >= 0.04


async def test_scripted_tool_rows_come_before_the_registered_ones(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.register_tools("agent-1", [TOOL])
    gateway.tools.script(Refusal(503, "later", "UNAVAILABLE"), ToolRows([{"id": "t9"}]))
    responses = [await http_client.get("/v1/agents/agent-1/tools") for _ in range(3)]
    assert responses[0].status_code == 503
    assert responses[1].json() == [{"id": "t9"}]
    assert responses[2].json()[0]["name"] == "get_weather"


async def test_available_leaves_out_tools_that_could_not_run(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.register_tools("a/1 ü", [TOOL], unavailable=[{**TOOL, "name": "other"}])
    url = "/v1/agents/a%2F1%20%C3%BC/tools"
    for query, names in (("?available=1", ["get_weather"]), ("", ["get_weather", "other"])):
        rows = (await http_client.get(url + query)).json()
        assert [row["name"] for row in rows] == names
    assert gateway.requests[0].agent_id == "a/1 ü"


async def test_row_gets_the_fields_that_it_lacks(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    source = {"kind": "builtin", "name": "clock"}
    gateway.register_tools("agent-1", [{**TOOL, "id": "mine", "source": source}])
    (row,) = (await http_client.get("/v1/agents/agent-1/tools")).json()
    assert (row["id"], row["agentId"], row["source"]) == ("mine", "agent-1", source)
    assert row.keys() >= {"createdAt", "updatedAt"}


async def test_unknown_agent_is_not_found() -> None:
    async with LocalGateway() as gateway, connect(gateway) as client:
        response = await client.get("/v1/agents/ghost/tools?available=1")
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
