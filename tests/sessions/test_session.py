"""Whole sessions without a fault: a caller's recorded voice in, the agent's voice out."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import Agent, function_tool, vad
from spekoai import AsyncSpeko

from livekit_plugins_speko import Speko, parse_wav
from livekit_plugins_speko.testing import (
    Gate,
    Reply,
    ServerToolCall,
    Speech,
    ToolCall,
    Transcript,
)
from tests.helpers.session_calls import INSTRUCTIONS, calling
from tests.helpers.session_line import spoken

QUESTION = "Who are you?"
REPLY = "I am the concierge."

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


class Concierge(Agent):
    """An agent with one tool."""

    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTIONS)
        self.cities: list[str] = []

    @function_tool
    async def get_weather(self, city: str) -> str:
        """Tell the weather in a city."""
        self.cities.append(city)
        return f"sunny in {city}"


@pytest.mark.parametrize("make_client", [Speko, AsyncSpeko])
async def test_a_spoken_question_is_answered_aloud(
    voice_detector: vad.VAD, make_client: Any
) -> None:
    async with calling(voice_detector, make_client=make_client) as call:
        call.gateway.transcribe.script(Transcript(QUESTION))
        call.gateway.complete.script(Reply(REPLY))
        call.caller.speak()
        await call.turn_over()
        assert call.ear.take() == spoken(REPLY)
        assert call.history == [("user", QUESTION), ("assistant", REPLY)]
        assert call.errors == []
    uploaded, asked, said = call.gateway.requests
    wav = parse_wav(uploaded.body)
    assert (wav.sample_rate, wav.channels) == (16_000, 1)
    assert 0.7 < wav.duration < 2.0  # the caller's words, and the pauses around them
    assert asked.json["messages"] == [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": QUESTION},
    ]
    assert said.json["text"] == REPLY


async def test_a_tool_call_runs_and_its_result_reaches_the_model(voice_detector: vad.VAD) -> None:
    agent = Concierge()
    async with calling(voice_detector, agent=agent) as call:
        call.gateway.transcribe.script(Transcript("What is the weather in Paris?"))
        call.gateway.complete.script(
            Reply(tool_calls=[ToolCall("get_weather", {"city": "Paris"}, id="call-1")]),
            Reply("It is sunny in Paris."),
        )
        call.caller.speak()
        await call.turn_over()
        assert call.ear.take() == spoken("It is sunny in Paris.")
    assert agent.cities == ["Paris"]
    first, second = (request.json for request in call.gateway.requests_to("complete"))
    assert [tool["name"] for tool in first["tools"]] == ["get_weather"]
    assert second["messages"][-2:] == [
        {
            "role": "assistant",
            "content": "",
            "toolCalls": [{"id": "call-1", "name": "get_weather", "args": '{"city": "Paris"}'}],
        },
        {"role": "tool", "toolCallId": "call-1", "content": "sunny in Paris"},
    ]


async def test_barge_in_ends_the_synthesis_and_the_next_question_is_answered(
    voice_detector: vad.VAD,
) -> None:
    story, gate = "Once upon a time there was a keeper.", Gate()
    async with calling(voice_detector) as call:
        call.gateway.transcribe.script(Transcript("Tell me a story."), Transcript(QUESTION))
        call.gateway.complete.script(Reply(story), Reply(REPLY))
        call.gateway.synthesize.script(Speech([spoken(story), gate]), Speech(spoken(REPLY)))
        call.caller.speak()
        await call.until(lambda: call.session.agent_state == "speaking", "the story")
        call.caller.speak()
        await call.until(lambda: ("assistant", REPLY) in call.history, "the second reply")
        assert call.ear.take().endswith(spoken(REPLY))
        assert [text for role, text in call.history if role == "user"] == [
            "Tell me a story.",
            QUESTION,
        ]
        assert call.history[-1] == ("assistant", REPLY)
        assert call.errors == []
    assert [request.cancelled for request in call.gateway.requests_to("synthesize")] == [
        True,
        False,
    ]


async def test_the_first_sentence_is_spoken_while_the_model_still_writes(
    voice_detector: vad.VAD,
) -> None:
    first = "The museum opens at nine in the morning and closes late in the evening."
    second = "On Mondays it stays closed for the whole day."
    third = "Enjoy your visit, and come back soon."
    held = Gate()
    async with calling(voice_detector) as call:
        call.gateway.transcribe.script(Transcript("When does the museum open?"))
        call.gateway.complete.script(Reply([first, f" {second}", held, f" {third}"]))
        call.caller.speak()
        await call.until(lambda: call.session.agent_state == "speaking", "the first sentence")
        assert [each.json["text"] for each in call.gateway.requests_to("synthesize")] == [first]
        held.open()
        await call.turn_over()
        assert call.ear.take() == b"".join(map(spoken, (first, second, third)))


async def test_words_before_a_tool_of_the_service_are_spoken_while_it_runs(
    voice_detector: vad.VAD,
) -> None:
    before, after = "One moment, I will look that up for you.", "It is in stock."
    tool_runs = Gate()
    async with calling(voice_detector) as call:
        call.gateway.transcribe.script(Transcript("Is it in stock?"))
        call.gateway.complete.script(Reply([before, ServerToolCall("stock"), tool_runs, after]))
        call.caller.speak()
        said = await call.gateway.arrived("synthesize")
        assert said.json["text"] == before
        tool_runs.open()
        await call.turn_over()
        assert call.ear.take() == spoken(before) + spoken(after)
        assert call.history[-1] == ("assistant", f"{before} {after}")
        assert call.errors == []


async def test_session_keyterms_reach_recognition(voice_detector: vad.VAD) -> None:
    async with calling(voice_detector, stt_options={"keywords": ["Speko"]}) as call:
        call.session.update_options(keyterms=["LiveKit"])
        await call.take_a_turn("the update")
    (request,) = call.gateway.requests_to("transcribe")
    assert request.stt_options == {"keywords": ["Speko", "LiveKit"]}
