"""A fetch of the registered tools: a row about it, and the check that its turn is not lost."""

from __future__ import annotations

import logging
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from livekit_plugins_speko import Speko, SpekoAdapterError, SpekoLLM
from livekit_plugins_speko.testing import Answer, Latency, LocalGateway
from tests.faults.answers import Door, Raw
from tests.faults.rows import ALL, NOTHING, SOON_S
from tests.faults.stages import COMPLETE
from tests.faults.table import Seen
from tests.helpers.llm_calls import chat, texts
from tests.helpers.support import NO_RETRY
from tests.helpers.tools_calls import hang_up, make_agents_llm, sent_tools


@dataclass(frozen=True, kw_only=True)
class ToolsRow:
    """The response to the fetch, and the result expected of the first turn.

    Attributes:
        fault: Its name in the table.
        answer: What the service does. None: nobody listens.
        error: The cause of what is reported, as `_cause` has it; empty when nothing is.
        tools: The registered tools that the model is offered besides the call's own.
        bad_row: Whether the log says that a row was left out.
        bound_s: The longest fetch, where it isn't the package's own.
        latency: How slow the service is.
    """

    fault: str
    answer: Answer | None
    error: str = ""
    tools: tuple[str, ...] = ()
    bad_row: bool = False
    bound_s: float | None = None
    latency: Latency = field(default_factory=Latency)


def _cause(error: SpekoAdapterError | None) -> str:
    """The cause of a report in the table: status and code of the response, or the error's type."""
    if error is None:
        return ""
    assert error.code == "REGISTERED_TOOLS_FAILED"
    cause: Any = error.__cause__
    status = getattr(cause, "status", None)
    return type(cause).__name__ if status is None else f"{status} {cause.code}"


async def see_tools(row: ToolsRow, gateway: LocalGateway, caplog: pytest.LogCaptureFixture) -> Seen:
    """Run a turn and the one after it; return the first one's outcome."""
    answer = row.answer.fresh() if isinstance(row.answer, Raw) else row.answer
    _serve(row, gateway, answer)
    reported: list[Any] = []
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(Door(gateway.base_url))
        base_url = (gateway if answer else door).base_url

        def report(error: Exception) -> None:
            reported.append(error)
            door.open()

        speko = await stack.enter_async_context(Speko(base_url=base_url, api_key=gateway.api_key))
        model = make_agents_llm(speko, on_registered_tools_error=report)
        started = time.perf_counter()
        heard, offered = await _turn(model, gateway)
        seconds = time.perf_counter() - started
        # The next turn reuses the first one's result without a request.
        assert await _turn(model, gateway) == (heard, offered)
        await gateway.idle(connections=1, within_s=SOON_S)
        await model.aclose()
    assert len(reported) <= 1
    left_out = sum("skipping a registered tool" in record.message for record in caplog.records)
    return Seen(
        stage="tools",
        fault=row.fault,
        passes=False,
        error=_cause(reported[0] if reported else None),
        retries=0,
        requests=len(gateway.requests_to("tools")),
        seconds=seconds,
        heard=ALL if heard == COMPLETE.said else heard or NOTHING,
        note=", ".join(offered) + (f" ({left_out} row left out)" if left_out else ""),
    )


def _serve(row: ToolsRow, gateway: LocalGateway, answer: Answer | None) -> None:
    gateway.tools.latency = row.latency
    gateway.complete.always(Raw(COMPLETE.pieces, COMPLETE.content_type))
    if answer is not None:
        gateway.tools.script(answer)


async def _turn(model: SpekoLLM, gateway: LocalGateway) -> tuple[str, list[str]]:
    """The output of a turn, and the names of the tools that the model is offered."""
    chunks = await chat(model, tools=[hang_up], conn_options=NO_RETRY)
    return "".join(texts(chunks)), [tool["name"] for tool in sent_tools(gateway) or []]


async def check_tools(
    row: ToolsRow, gateway: LocalGateway, caplog: pytest.LogCaptureFixture
) -> Seen:
    """Check a row: the reply is complete with any result of the fetch."""
    caplog.set_level(logging.WARNING, logger="livekit.plugins.speko")
    seen = await see_tools(row, gateway, caplog)
    assert (seen.error, seen.heard) == (row.error, ALL)
    assert seen.requests == (1 if row.answer else 0)
    left_out = " (1 row left out)" if row.bad_row else ""
    assert seen.note == ", ".join(("hang_up", *row.tools)) + left_out
    if row.bound_s is not None:
        assert row.bound_s <= seen.seconds < SOON_S
    return seen
