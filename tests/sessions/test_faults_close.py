"""Whole sessions that a lasting fault ends, and those whose registered tools can't be had."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import APIError, APIStatusError, APITimeoutError, CloseReason, vad
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import SpekoAdapterError
from livekit_plugins_speko.testing import Answer, Gate, Refusal, Reply, ToolRows, Transcript
from tests.helpers.session_calls import (
    ERROR_TYPES,
    IMPATIENT,
    IMPATIENT_TWICE,
    calling,
)
from tests.helpers.session_faults import REPLY, ROUTES, NoAnswer, whole
from tests.helpers.tools_calls import filled_row

AGENT = "agent-1"

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("fault", "conn_options", "attempts", "expected"),
    [
        ("wrong key", IMPATIENT_TWICE, 1, APIStatusError),
        ("overloaded", IMPATIENT_TWICE, 2, APIError),
        ("silence", IMPATIENT, 1, APITimeoutError),
    ],
    ids=["wrong key", "overloaded", "silence"],
)
async def test_faults_that_last_close_the_session_with_livekit_s_own_error(
    voice_detector: vad.VAD,
    route: str,
    fault: str,
    conn_options: APIConnectOptions,
    attempts: int,
    expected: type[APIError],
) -> None:
    """After one more than it was told to bear, without a hang and without a rest."""
    answers: dict[str, Answer] = {
        "wrong key": Refusal(401, "wrong key", "AUTH_ERROR"),
        "overloaded": Refusal(503, "later", "OVERLOADED"),
        "silence": NoAnswer(Gate()),
    }
    async with calling(voice_detector, conn_options=conn_options, max_errors=1) as call:
        call.gateway.transcribe.always(Transcript("Who are you?"))
        call.gateway.complete.always(Reply(REPLY))
        getattr(call.gateway, route).always(answers[fault])
        call.caller.speak()
        await call.failed(1)
        if route != "transcribe":
            await call.turn_over()
        assert call.closed == []
        call.caller.speak()
        await call.until(lambda: bool(call.closed), "the close")
    (closed,) = call.closed
    assert (closed.reason, call.final_errors) == (CloseReason.ERROR, 2)
    assert isinstance(closed.error, ERROR_TYPES[route])
    assert closed.error is call.errors[-1].error
    assert isinstance(closed.error.error, expected)
    assert len(call.gateway.requests_to(route)) == 2 * attempts


@pytest.mark.parametrize("fault", ["refused", "broken off", "no rows"])
async def test_tools_that_can_t_be_fetched_are_told_once_and_cost_no_turn(
    voice_detector: vad.VAD, fault: str
) -> None:
    answers: dict[str, Answer] = {
        "refused": Refusal(503, "later", "OVERLOADED"),
        "broken off": NoAnswer(),
        "no rows": whole("application/json", b"<html>"),
    }
    reports: list[Exception] = []
    options: dict[str, Any] = {"agent_id": AGENT, "on_registered_tools_error": reports.append}
    async with calling(voice_detector, **options) as call:
        call.gateway.tools.script(answers[fault])
        await call.take_a_turn("the fetch")
        await call.take_a_turn("the first turn")
        assert call.errors == []
    (report,) = reports
    assert isinstance(report, SpekoAdapterError) and report.code == "REGISTERED_TOOLS_FAILED"
    assert len(call.gateway.requests_to("tools")) == 1
    assert all("tools" not in each.json for each in call.gateway.requests_to("complete"))


async def test_tools_that_never_come_are_given_up_and_the_first_turn_goes_on(
    voice_detector: vad.VAD,
) -> None:
    """They have five seconds of their own, whatever the session grants the model."""
    reports: list[Exception] = []
    options: dict[str, Any] = {"agent_id": AGENT, "on_registered_tools_error": reports.append}
    async with calling(voice_detector, conn_options=IMPATIENT, **options) as call:
        call.gateway.tools.script(NoAnswer(Gate()))
        await call.take_a_turn("the fetch")
        await call.take_a_turn("the first turn")
        assert call.errors == []
        (fetch,) = call.gateway.requests_to("tools")
        assert fetch.cancelled
    assert len(reports) == 1


async def test_tools_that_come_late_are_waited_for(voice_detector: vad.VAD) -> None:
    gate = Gate()
    async with calling(voice_detector, conn_options=IMPATIENT, agent_id=AGENT) as call:
        call.gateway.tools.script(ToolRows([filled_row("look_up"), gate]))
        call.gateway.transcribe.script(Transcript("Who are you?"))
        call.gateway.complete.script(Reply(REPLY))
        call.caller.speak()
        await gate.reached()
        assert call.gateway.requests_to("complete") == []
        gate.open()
        await call.turn_over()
        assert call.errors == []
        (asked,) = call.gateway.requests_to("complete")
        assert [tool["name"] for tool in asked.json["tools"]] == ["look_up"]
