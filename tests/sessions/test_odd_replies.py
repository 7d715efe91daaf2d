"""Whole sessions whose model sends replies that once cost a caller the rest of the call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from livekit.agents import Agent, function_tool, vad

from livekit_plugins_speko.testing import Reply, Transcript
from tests.helpers.llm_calls import Events, done
from tests.helpers.session_calls import INSTRUCTIONS, calling

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


class Caretaker(Agent):
    """An agent with one tool.

    Attributes:
        doors: The doors that it has locked, in order.
    """

    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTIONS)
        self.doors: list[str] = []

    @function_tool
    async def lock(self, door: str) -> str:
        """Lock a door."""
        self.doors.append(door)
        return f"{door} locked"


def lock_call(args: str) -> Mapping[str, str]:
    return {"id": "call-lock", "name": "lock", "args": args}


@pytest.mark.parametrize("first_words", ["off", "sentence", "clause"])
@pytest.mark.parametrize(
    ("reply", "requests"),
    [
        ("That is really great news for you!!", 1),
        ("(See you at ten o'clock tomorrow morning.)", 1),
        ("「ご予約は明日の午後三時に承りました。本当にありがとうございます。」", 1),
        ("You are welcome, it was a pleasure. 😊", 1),
        ("...", 0),
    ],
)
async def test_marks_without_a_word_cost_no_request_and_no_turn(
    voice_detector: vad.VAD, first_words: str, reply: str, requests: int
) -> None:
    async with calling(voice_detector, tts_options={"first_words": first_words}) as call:
        call.gateway.transcribe.script(Transcript("Thanks."))
        call.gateway.complete.script(Reply(list(reply)))
        call.caller.speak()
        await call.turn_over()
        assert len(call.gateway.requests_to("synthesize")) == requests
        assert call.history[-1] == ("assistant", reply)
        assert call.errors == []


@pytest.mark.parametrize("args", ["Front please", "   ", '{"door": NaN}'])
async def test_call_with_arguments_that_are_no_json_costs_no_later_turn(
    voice_detector: vad.VAD, args: str
) -> None:
    agent = Caretaker()
    async with calling(voice_detector, agent=agent) as call:
        call.gateway.transcribe.script(Transcript("Lock up."), Transcript("Are you there?"))
        call.gateway.complete.script(
            Events(done(text="", toolCalls=[lock_call(args)])), Reply("Which door?"), Reply("Yes.")
        )
        for _ in range(2):
            call.caller.speak()
            await call.turn_over()
        assert call.history[-1] == ("assistant", "Yes.")
        assert call.errors == []
    assert agent.doors == []
    for request in call.gateway.requests_to("complete")[1:]:
        asked, output = _tool_messages(request.json)
        assert asked["toolCalls"] == [lock_call("{}")]
        assert output["isError"] is True


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
async def test_calls_that_share_an_id_both_run_once(
    voice_detector: vad.VAD, separators: tuple[str, str]
) -> None:
    doors = [{"door": "front"}, {"door": "back"}]
    events = [("tool_call", lock_call(json.dumps(door))) for door in doors]
    again = [lock_call(json.dumps(door, separators=separators)) for door in doors]
    agent = Caretaker()
    async with calling(voice_detector, agent=agent) as call:
        call.gateway.transcribe.script(Transcript("Lock both doors."))
        call.gateway.complete.script(
            Events(*events, done(text="", toolCalls=again)), Reply("Both are locked.")
        )
        call.caller.speak()
        await call.turn_over()
        assert call.errors == []
    assert sorted(agent.doors) == ["back", "front"]
    asked, *outputs = _tool_messages(call.gateway.requests_to("complete")[1].json)
    doors_by_id = {each["id"]: json.loads(each["args"])["door"] for each in asked["toolCalls"]}
    assert {doors_by_id[each["toolCallId"]]: each["content"] for each in outputs} == {
        "front": "front locked",
        "back": "back locked",
    }


def _tool_messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [each for each in body["messages"] if each["role"] == "tool" or "toolCalls" in each]
