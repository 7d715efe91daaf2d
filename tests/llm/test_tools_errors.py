"""Tools registered with Speko: fetches that are shared, fail or time out."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from livekit_plugins_speko import Speko, SpekoAdapterError, SpekoApiError
from livekit_plugins_speko.llm import tools
from livekit_plugins_speko.testing import Gate, LocalGateway, Refusal, Reply, ToolRows
from tests.helpers.llm_calls import chat
from tests.helpers.support import NO_RETRY, conversation, errors_of
from tests.helpers.tools_calls import (
    filled_row,
    hang_up,
    make_agents_llm,
    make_loader,
    names,
    sent_tools,
)

# Calls and turns at the same time


async def test_concurrent_first_calls_share_one_fetch(gateway: LocalGateway, client: Any) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([filled_row("a"), gate]))
    loader = make_loader(client)
    loads = [asyncio.create_task(loader.load()) for _ in range(3)]
    await gate.reached()
    gate.open()
    assert [names(found) for found in await asyncio.gather(*loads)] == [["a"]] * 3
    assert len(gateway.requests) == 1


async def test_cancelled_first_waiter_does_not_cancel_the_fetch(
    gateway: LocalGateway, client: Any
) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([filled_row("a"), gate]))
    failures: list[Exception] = []
    loader = make_loader(client, on_error=failures.append)
    first = asyncio.create_task(loader.load())
    await gate.reached()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(loader.load())
    gate.open()
    assert names(await second) == ["a"]
    assert (len(gateway.requests), failures) == (1, [])


async def test_turn_cancelled_while_waiting_leaves_the_tools_to_the_next(
    gateway: LocalGateway, client: Any
) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([filled_row("a"), gate]))
    gateway.complete.script(Reply("Hi."))
    model = make_agents_llm(client)
    stream = model.chat(chat_ctx=conversation())
    await gate.reached()
    await stream.aclose()
    gate.open()
    await chat(model)
    assert [each["name"] for each in sent_tools(gateway) or []] == ["a"]
    assert [request.route for request in gateway.requests] == ["tools", "complete"]


# Failures


async def test_failed_fetch_is_reported_once_and_the_conversation_continues(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.tools.script(Refusal(503, "tired", "BUSY"))
    gateway.complete.always(Reply("Hi."))
    failures: list[Exception] = []
    model = make_agents_llm(client, on_registered_tools_error=failures.append)
    errors = errors_of(model)
    for _ in range(2):
        assert await chat(model, tools=[hang_up])
        assert [each["name"] for each in sent_tools(gateway) or []] == ["hang_up"]
    assert len(gateway.requests_to("tools")) == 1
    assert errors == []
    (failure,) = failures
    assert isinstance(failure, SpekoAdapterError)
    assert failure.code == "REGISTERED_TOOLS_FAILED"
    assert "failed to fetch agent tools" in str(failure) and "tired" in str(failure)
    status: int = getattr(failure.__cause__, "status", 0)
    assert status == 503


async def test_concurrent_replies_report_a_failure_once(gateway: LocalGateway, client: Any) -> None:
    gateway.tools.script(Refusal(404, "no such agent", "NOT_FOUND"))
    failures: list[Exception] = []
    loader = make_loader(client, on_error=failures.append)
    assert await asyncio.gather(*[loader.load() for _ in range(3)]) == [None] * 3
    assert len(failures) == 1


async def test_response_that_is_not_a_list_is_a_failure(
    gateway: LocalGateway, speko: Speko
) -> None:
    class NoList(ToolRows):
        async def write(self, writer: Any) -> None:
            await writer.json(200, {"tools": []})

    gateway.tools.script(NoList())
    failures: list[Exception] = []
    assert await make_loader(speko, on_error=failures.append).load() is None
    assert isinstance(failures[0].__cause__, SpekoApiError)
    assert failures[0].__cause__.code == "MALFORMED_RESPONSE"


async def test_refused_connection_is_a_failure(gateway: LocalGateway) -> None:
    failures: list[Exception] = []
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        await gateway.aclose()
        assert await make_loader(speko, on_error=failures.append).load() is None
    assert "The connection to Speko failed." in str(failures[0])


def test_fetch_timeout_is_five_seconds() -> None:
    assert tools.REGISTERED_TOOLS_TIMEOUT_S == 5.0


async def test_slow_fetch_times_out(
    gateway: LocalGateway, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "REGISTERED_TOOLS_TIMEOUT_S", 0.5)
    gateway.tools.script(ToolRows([Gate()]))
    gateway.complete.script(Reply("Hi."))
    failures: list[Exception] = []
    model = make_agents_llm(client, on_registered_tools_error=failures.append)
    assert await chat(model)
    assert sent_tools(gateway) is None
    assert isinstance(failures[0].__cause__, asyncio.TimeoutError)
    request = gateway.requests_to("tools")[0]
    await request.finished()
    assert request.cancelled


async def test_error_of_the_callback_is_logged_and_the_conversation_continues(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(error: Exception) -> None:
        raise RuntimeError("broken callback")

    gateway.tools.script(Refusal(500, "tired"))
    gateway.complete.script(Reply("Hi."))
    assert await chat(make_agents_llm(client, on_registered_tools_error=fail))
    assert "broken callback" in caplog.text


async def test_failure_is_logged_without_a_callback(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.tools.script(Refusal(500, "tired"))
    loader = make_loader(client)
    assert (await loader.load(), await loader.load()) == (None, None)
    (record,) = [r for r in caplog.records if r.name == "livekit.plugins.speko"]
    assert record.levelno == logging.WARNING
    assert vars(record)["agent_id"] == "agent-1" and "tired" in vars(record)["reason"]


# Closing


async def test_closing_the_model_stops_the_fetch(gateway: LocalGateway, client: Any) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([gate]))
    model = make_agents_llm(client)
    stream = model.chat(chat_ctx=conversation())
    await gate.reached()
    await stream.aclose()
    await model.aclose()
    await gateway.idle(within_s=2)  # before the fetch would give up by itself
    assert gateway.requests[0].cancelled


async def test_model_may_be_closed_twice_and_before_its_first_reply(client: Any) -> None:
    model = make_agents_llm(client)
    await model.aclose()
    await model.aclose()


async def test_reply_waiting_for_the_tools_continues_when_the_model_is_closed(
    gateway: LocalGateway, client: Any
) -> None:
    """It must not end as an empty reply would."""
    gate = Gate()
    gateway.tools.script(ToolRows([gate]))
    gateway.complete.script(Reply("Hi."))
    model = make_agents_llm(client)
    stream = model.chat(chat_ctx=conversation(), conn_options=NO_RETRY)
    await gate.reached()
    await model.aclose()
    async with stream:
        assert [chunk async for chunk in stream]
