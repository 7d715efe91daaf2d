"""Whole sessions: a caller's recorded voice goes in, the agent's voice comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, AgentStateChangedEvent, function_tool, vad
from spekoai import AsyncSpeko

from livekit_plugins_speko import Speko, SpekoComponents, create_speko_components, parse_wav
from livekit_plugins_speko.testing import (
    CallLine,
    Gate,
    LocalGateway,
    ProviderRoute,
    Reply,
    Speech,
    ToolCall,
    Transcript,
)
from tests.helpers.support import FIXTURES, tone

QUESTION = FIXTURES / "question.wav"
BARGE_IN = FIXTURES / "barge_in.wav"
HEARD_WITHIN_S = 10.0


class Concierge(Agent):
    """An agent with one tool."""

    def __init__(self) -> None:
        super().__init__(instructions="You are a concierge.")
        self.cities: list[str] = []

    @function_tool
    async def get_weather(self, city: str) -> str:
        """Tell the weather in a city."""
        self.cities.append(city)
        return f"sunny in {city}"


@dataclass
class Call:
    """A running session, its line, and what it reported."""

    session: AgentSession[None]
    line: CallLine
    components: SpekoComponents
    agent: Concierge
    transcripts: list[str] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    listening: asyncio.Event = field(default_factory=asyncio.Event)

    def note_state(self, event: AgentStateChangedEvent) -> None:
        """Hear of the agent's state, as the session does."""
        if event.new_state == "listening":
            self.listening.set()
        else:
            self.listening.clear()

    async def reply_heard(self, after_s: float) -> None:
        """Wait until the agent has begun a reply, ended it, and listens again."""
        await asyncio.wait_for(self.line.agent_started_speaking(after_s=after_s), HEARD_WITHIN_S)
        await asyncio.wait_for(self.line.agent_finished(after_s=after_s), HEARD_WITHIN_S)
        await asyncio.wait_for(self.listening.wait(), HEARD_WITHIN_S)

    def said(self, role: str) -> list[str]:
        """The texts of one side in the session's history."""
        return [m.text_content or "" for m in self.session.history.messages() if m.role == role]


@asynccontextmanager
async def calling(speko: Any, voice_detector: vad.VAD, **options: Any) -> AsyncIterator[Call]:
    """A call with a started session; it is hung up and closed in the end."""
    options = {"intent": {"language": "en-US"}, **options}
    components = create_speko_components(speko=speko, vad=voice_detector, **options)
    session = AgentSession[None](
        stt=components.stt,
        llm=components.llm,
        tts=components.tts,
        vad=voice_detector,
        turn_handling={"turn_detection": "vad", "interruption": {"mode": "vad"}},
        aec_warmup_duration=None,
    )
    agent = Concierge()
    async with CallLine() as line:
        call = Call(session, line, components, agent)
        session.on("user_input_transcribed", lambda e: call.transcripts.append(e.transcript))
        session.on("agent_state_changed", call.note_state)
        session.on("error", lambda e: call.errors.append(e.error))
        session.input.audio = line.input
        session.output.audio = line.output
        await session.start(agent=agent)
        try:
            yield call
        finally:
            await session.aclose()
            await components.aclose()


async def test_a_question_is_heard_answered_and_spoken(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    audio = tone(0.8)
    gateway.transcribe.script(Transcript("Who are you?"))
    gateway.complete.script(Reply("I am the concierge."))
    gateway.synthesize.script(Speech(audio))
    async with calling(speko, voice_detector) as call:
        said = await call.line.say(QUESTION)
        await call.reply_heard(said.started_s)
        assert call.transcripts == ["Who are you?"]
        assert call.said("user") == ["Who are you?"]
        assert call.said("assistant") == ["I am the concierge."]
        reply = [s for s in call.line.segments if s.speaker == "agent"]
        assert len(reply) == 1 and reply[0].ended_s is not None
        assert reply[0].ended_s - reply[0].started_s == pytest.approx(0.8, abs=0.1)
        assert call.errors == []
    (uploaded,) = gateway.requests_to("transcribe")
    wav = parse_wav(uploaded.body)
    assert (wav.sample_rate, wav.channels) == (16_000, 1)
    assert wav.duration == pytest.approx(parse_wav(QUESTION.read_bytes()).duration, abs=1.0)
    (asked,) = gateway.requests_to("complete")
    assert asked.json["messages"] == [
        {"role": "system", "content": "You are a concierge."},
        {"role": "user", "content": "Who are you?"},
    ]
    (spoken,) = gateway.requests_to("synthesize")
    assert spoken.json["text"] == "I am the concierge."


async def test_a_tool_call_is_run_and_its_result_is_told(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript("What is the weather in Paris?"))
    gateway.complete.script(
        Reply(tool_calls=[ToolCall("get_weather", {"city": "Paris"}, id="call-1")]),
        Reply("It is sunny in Paris."),
    )
    gateway.synthesize.script(Speech(tone(0.5)))
    async with calling(speko, voice_detector) as call:
        said = await call.line.say(FIXTURES / "weather.wav")
        await call.reply_heard(said.started_s)
        assert call.agent.cities == ["Paris"]
        assert call.said("assistant") == ["It is sunny in Paris."]
    first, second = (request.json for request in gateway.requests_to("complete"))
    assert [tool["name"] for tool in first["tools"]] == ["get_weather"]
    assert second["messages"][-2:] == [
        {
            "role": "assistant",
            "content": "",
            "toolCalls": [{"id": "call-1", "name": "get_weather", "args": '{"city": "Paris"}'}],
        },
        {"role": "tool", "toolCallId": "call-1", "content": "sunny in Paris"},
    ]


async def test_a_caller_who_barges_in_stops_the_agent_and_is_answered(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript("Tell me a story."), Transcript("When are you open?"))
    gateway.complete.script(Reply("Once upon a time there was a keeper."), Reply("From nine."))
    gateway.synthesize.script(Speech(tone(12.0)), Speech(tone(0.5)))
    async with calling(speko, voice_detector) as call:
        asked = await call.line.say(FIXTURES / "story.wav")
        await asyncio.wait_for(
            call.line.agent_started_speaking(after_s=asked.started_s), HEARD_WITHIN_S
        )
        barged = await call.line.say(BARGE_IN)
        await call.reply_heard(barged.started_s + 2.0)
        story, answer = (s for s in call.line.segments if s.speaker == "agent")
        assert story.interrupted and story.ended_s is not None
        assert story.ended_s - barged.started_s < 2.0
        assert not answer.interrupted
        assert call.transcripts == ["Tell me a story.", "When are you open?"]
        assert call.errors == []


async def test_the_first_sentence_is_spoken_while_the_model_still_writes(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    held = Gate()
    first = "The museum opens at nine in the morning and closes late in the evening."
    second = " On Mondays it stays closed for the whole day."
    gateway.transcribe.script(Transcript("When does the museum open?"))
    gateway.complete.script(Reply([first, second, held, " Enjoy your visit, and come back soon."]))
    gateway.synthesize.always(Speech(tone(0.4)))
    async with calling(speko, voice_detector) as call:
        said = await call.line.say(QUESTION)
        await asyncio.wait_for(
            call.line.agent_started_speaking(after_s=said.started_s), HEARD_WITHIN_S
        )
        assert [r.json["text"] for r in gateway.requests_to("synthesize")] == [first]
        held.open()
        await asyncio.wait_for(call.line.agent_finished(after_s=said.started_s), HEARD_WITHIN_S)
    spoken = [request.json["text"] for request in gateway.requests_to("synthesize")]
    assert spoken == [first, second.strip(), "Enjoy your visit, and come back soon."]


async def test_a_session_runs_on_the_official_sdk(
    gateway: LocalGateway, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript("Who are you?"))
    gateway.complete.script(Reply("I am the concierge."))
    gateway.synthesize.script(Speech(tone(0.4)))
    async with (
        AsyncSpeko(api_key=gateway.api_key, base_url=gateway.base_url) as speko,
        calling(speko, voice_detector) as call,
    ):
        said = await call.line.say(QUESTION)
        await call.reply_heard(said.started_s)
        assert call.said("assistant") == ["I am the concierge."]


async def test_a_failover_to_another_rate_is_not_heard_with_convert_audio(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.synthesize.script(
        Speech(tone(0.4)),
        Speech(
            tone(0.6, rate=48_000),
            content_type="audio/pcm;rate=48000",
            route=ProviderRoute(provider="spare", failover_count=1),
        ),
    )
    options = {"tts_options": {"convert_audio": True}}
    async with calling(speko, voice_detector, **options) as call:
        for seconds in (0.4, 0.6):
            began = call.line.now_s
            call.session.say("Hello.")
            await call.reply_heard(began)
            heard = call.line.segments[-1]
            assert heard.ended_s is not None
            assert heard.ended_s - heard.started_s == pytest.approx(seconds, abs=0.1)
        assert call.errors == []


async def test_session_keyterms_reach_recognition(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript("Who are you?"))
    gateway.complete.script(Reply("I am the concierge."))
    gateway.synthesize.script(Speech(tone(0.4)))
    async with calling(speko, voice_detector, stt_options={"keywords": ["Speko"]}) as call:
        call.session.update_options(keyterms=["LiveKit"])
        said = await call.line.say(QUESTION)
        await call.reply_heard(said.started_s)
    (request,) = gateway.requests_to("transcribe")
    assert request.stt_options == {"keywords": ["Speko", "LiveKit"]}
