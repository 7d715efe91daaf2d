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
    assert_no_task_left,
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
PATIENT = APIConnectOptions(max_retry=3, retry_interval=60.0, timeout=30.0)
OVERLOADED = Refusal(503, "later")
RATE_LIMITED = Refusal(429, "later", headers={"Retry-After": "20"})


@pytest.mark.parametrize("name", list(CALLS))
@pytest.mark.parametrize(
    ("refusals", "waited_s"),
    # LiveKit's first retry comes after 0.1 s whatever is set, and then waits for the rate limit.
    [([OVERLOADED, OVERLOADED], 0.0), ([RATE_LIMITED], 0.3)],
    ids=["between_attempts", "as_a_rate_limit_says"],
)
async def test_a_call_that_waits_for_its_next_attempt_is_cancelled_at_once(
    gateway: LocalGateway, speko: Speko, name: str, refusals: list[Refusal], waited_s: float
) -> None:
    route, call, healthy = CALLS[name]
    getattr(gateway, route).script(*refusals, healthy)
    watch, before = Watch(PATIENT), client_tasks()
    with nothing_reported():
        task = asyncio.create_task(call(speko, watch))
        while len(watch.errors) < len(refusals):
            watch.failed.clear()
            await asyncio.wait_for(watch.failed.wait(), SOON_S)
        done, _ = await asyncio.wait([task], timeout=waited_s)
        assert not done
        assert await cancel(task) <= FEW_TURNS
        await assert_no_task_left(before)
    assert [event.recoverable for event in watch.errors] == [True] * len(refusals)
    assert len(gateway.requests) == len(refusals)
    await call(speko, Watch())  # another adapter of the same client does not wait


# While the tools are being fetched


async def read(stream: Any) -> None:
    async with stream as chunks:
        async for _ in chunks:
            pass


async def test_a_cancelled_turn_leaves_the_fetched_tools_to_the_next(
    gateway: LocalGateway, speko: Speko
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
        assert await cancel(task, every_turn=True) <= FEW_TURNS
        gate.open()
        await llm_calls.chat(model)
    assert [tool["name"] for tool in sent_tools(gateway) or []] == ["a"]
    assert (len(gateway.requests_to("tools")), errors, failures) == (1, [], [])


async def test_closing_the_model_after_a_cancelled_turn_ends_the_fetch(
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
        await assert_no_task_left(before)
    await gateway.idle(connections=0, within_s=SOON_S)
    assert (failures, gateway.requests[0].cancelled) == ([], True)
