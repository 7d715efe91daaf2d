"""Barge-in while a retry is waiting, and while the registered tools are being fetched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import (
    Gate,
    LocalGateway,
    Refusal,
    Reply,
    Speech,
    ToolRows,
    Transcript,
)
from tests.cancel.calls import (
    FEW_TURNS,
    SOON_S,
    Call,
    Watch,
    assert_nothing_left,
    assert_only_idle,
    cancel,
    chat,
    client_tasks,
    nothing_reported,
    recognize,
    speak,
)
from tests.helpers import llm_calls
from tests.helpers.support import NO_RETRY, conversation, errors_of, tone
from tests.helpers.tools_calls import filled_row, make_agents_llm, sent_tools

CALLS: dict[str, tuple[str, Call, Any]] = {
    "recognize": ("transcribe", recognize, Transcript("hello")),
    "chat": ("complete", chat, Reply("Hi.")),
    "speak": ("synthesize", speak, Speech(tone())),
}
ADAPTERS = pytest.mark.parametrize("name", list(CALLS))
PATIENT = APIConnectOptions(max_retry=3, retry_interval=60.0, timeout=30.0)
# How long LiveKit waits before its first retry, in seconds, whatever its options say.
FIRST_INTERVAL_S = 0.1


async def cancel_the_wait(
    speko: Speko, name: str, *, failures: int, waited_s: float = 0.0
) -> list[Any]:
    """Cancel a call that waits for its next attempt; return the events of those before it.

    Args:
        speko: The client.
        name: The call.
        failures: How many attempts fail first.
        waited_s: How long it has waited already, in seconds.
    """
    watch, before = Watch(PATIENT), client_tasks()
    with nothing_reported():
        task = asyncio.create_task(CALLS[name][1](speko, watch))
        while len(watch.errors) < failures:
            watch.failed.clear()
            await asyncio.wait_for(watch.failed.wait(), 5)
        done, _ = await asyncio.wait([task], timeout=waited_s)
        assert not done
        assert await cancel(task) <= FEW_TURNS
        await assert_nothing_left(speko, before)
    return watch.errors


@ADAPTERS
@pytest.mark.parametrize("failures", [1, 2])
async def test_a_call_that_waits_for_its_next_attempt_ends_at_once(
    gateway: LocalGateway, speko: Speko, name: str, failures: int
) -> None:
    route, call, well = CALLS[name]
    getattr(gateway, route).script(*[Refusal(503, "later")] * failures, well)
    errors = await cancel_the_wait(speko, name, failures=failures)
    assert [event.recoverable for event in errors] == [True] * failures
    assert len(gateway.requests) == failures
    await call(speko, Watch())


@ADAPTERS
async def test_a_call_that_waits_as_long_as_a_rate_limit_asks_ends_at_once(
    gateway: LocalGateway, speko: Speko, name: str
) -> None:
    route, call, well = CALLS[name]
    getattr(gateway, route).script(Refusal(429, "later", headers={"Retry-After": "20"}), well)
    errors = await cancel_the_wait(speko, name, failures=1, waited_s=3 * FIRST_INTERVAL_S)
    assert [event.recoverable for event in errors] == [True]
    assert len(gateway.requests) == 1
    await call(speko, Watch())  # another adapter, which nobody told to wait


# While the tools are being fetched


async def read(stream: Any) -> None:
    async with stream as chunks:
        async for _ in chunks:
            pass


@pytest.mark.parametrize("every_turn", [False, True], ids=["once", "in_every_turn"])
async def test_a_turn_that_waits_for_the_tools_ends_at_once_and_leaves_them_to_the_next(
    gateway: LocalGateway, speko: Speko, every_turn: bool
) -> None:
    gate, failures = Gate(), list[Exception]()
    gateway.tools.script(ToolRows([filled_row("a"), gate]))
    gateway.complete.script(Reply("Hi."))
    model = make_agents_llm(speko, on_registered_tools_error=failures.append)
    errors = errors_of(model)
    with nothing_reported():
        stream = model.chat(chat_ctx=conversation(), conn_options=NO_RETRY)
        task = asyncio.create_task(read(stream))
        await gate.reached()
        assert await cancel(task, every_turn=every_turn) <= FEW_TURNS
        gate.open()
        await llm_calls.chat(model)
    assert [tool["name"] for tool in sent_tools(gateway) or []] == ["a"]
    assert (len(gateway.requests_to("tools")), errors, failures) == (1, [], [])
    assert_only_idle(speko)


async def test_closing_the_model_after_a_turn_was_cancelled_ends_the_fetch(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate, failures = Gate(), list[Exception]()
    gateway.tools.script(ToolRows([gate]))
    model = make_agents_llm(speko, on_registered_tools_error=failures.append)
    before = client_tasks()
    with nothing_reported():
        stream = model.chat(chat_ctx=conversation(), conn_options=NO_RETRY)
        task = asyncio.create_task(read(stream))
        await gate.reached()
        await cancel(task)
        await model.aclose()
        await assert_nothing_left(speko, before)
    await gateway.idle(connections=0, within_s=SOON_S)
    assert (failures, gateway.requests[0].cancelled) == ([], True)
