"""Whole sessions with a fault that lasts, and with registered tools that come late."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import APIError, APIStatusError, APITimeoutError, CloseReason, vad

from livekit_plugins_speko.testing import Answer, Gate, Refusal, Reply, ToolRows, Transcript
from tests.faults.answers import Raw, silence
from tests.helpers.session_calls import ERROR_TYPES, IMPATIENT, IMPATIENT_TWICE, calling
from tests.helpers.session_faults import QUESTION, REPLY
from tests.helpers.tools_calls import filled_row

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


@pytest.mark.parametrize(
    ("route", "answer", "attempts", "expected"),
    [
        ("transcribe", Refusal(401, "wrong key", "AUTH_ERROR"), 1, APIStatusError),
        ("complete", Refusal(503, "later", "OVERLOADED"), 2, APIError),
        ("synthesize", Raw(status=None, then=silence), 2, APITimeoutError),
    ],
    ids=["wrong key", "overloaded", "silence"],
)
async def test_lasting_faults_close_the_session_with_livekits_own_error(
    voice_detector: vad.VAD,
    route: str,
    answer: Answer,
    attempts: int,
    expected: type[APIError],
) -> None:
    """The session closes one error after its limit, without a hang and without a retry too many."""
    async with calling(voice_detector, conn_options=IMPATIENT_TWICE, max_errors=1) as call:
        call.gateway.transcribe.always(Transcript(QUESTION))
        call.gateway.complete.always(Reply(REPLY))
        getattr(call.gateway, route).always(answer)
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


async def test_the_first_turn_waits_for_registered_tools_longer_than_for_the_model(
    voice_detector: vad.VAD,
) -> None:
    gate = Gate()
    async with calling(voice_detector, conn_options=IMPATIENT, agent_id="agent-1") as call:
        call.gateway.tools.script(ToolRows([filled_row("look_up"), gate]))
        call.gateway.transcribe.script(Transcript(QUESTION))
        call.gateway.complete.script(Reply(REPLY))
        call.caller.speak()
        await gate.reached()
        await asyncio.sleep(2 * IMPATIENT.timeout)  # time itself is what is tested
        assert call.gateway.requests_to("complete") == []
        gate.open()
        await call.turn_over()
        assert call.errors == []
        (asked,) = call.gateway.requests_to("complete")
        assert [tool["name"] for tool in asked.json["tools"]] == ["look_up"]
