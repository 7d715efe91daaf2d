"""When a session hears of a text early: what its turns, its agent and LiveKit's limits allow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, StopResponse, llm, vad

from livekit_plugins_speko.testing import Transcript
from tests.cancel.answers import Held
from tests.helpers.eager_calls import facts
from tests.helpers.eager_sessions import (
    LEAD,
    MORE_WORDS,
    NOT_SOON,
    PAUSE,
    REST,
    WORDS,
    EagerCall,
    answer_to,
    eager_calling,
)
from tests.helpers.session_line import Ear, spoken

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


async def say_and_pause(call: EagerCall) -> None:
    """Say something, and pause until it is recognised."""
    recognised = asyncio.Event()
    call.adapter.on("metrics_collected", lambda _: recognised.set())
    call.caller.say(LEAD, WORDS, PAUSE)
    await recognised.wait()


async def take_a_manual_turn(call: EagerCall) -> None:
    """Commit a turn in a pause, and then one behind the end."""
    call.gateway.transcribe.script(Transcript("Thank you."))
    await say_and_pause(call)
    committed = call.session.commit_user_turn()
    call.caller.say(REST)
    assert await committed == "Thank you."
    await call.turn_over()
    assert (call.interim, call.final) == ([], ["Thank you."])
    call.assert_answered("Thank you.")
    assert facts(call.adapter) == (1, 1, 0)
    # None of it is left for the next turn.
    call.gateway.transcribe.script(Transcript("A story."))
    call.caller.say(LEAD, WORDS, PAUSE, REST)
    await call.finals(2)
    assert await call.session.commit_user_turn() == "A story."
    await call.turn_over()


@pytest.mark.parametrize(
    "manual",
    [
        {"turn_detection": "manual"},
        {"agent": Agent(instructions="Wait.", turn_detection="manual")},
    ],
    ids=["session", "agent"],
)
async def test_in_manual_mode_no_text_is_handed_on_before_the_final_one(
    voice_detector: vad.VAD, manual: dict[str, Any]
) -> None:
    async with eager_calling(voice_detector, **manual) as call:
        await take_a_manual_turn(call)


async def test_a_mode_that_is_set_during_the_call_stands_above_the_agents(
    voice_detector: vad.VAD,
) -> None:
    agent = Agent(instructions="Listen.", turn_detection="vad")
    async with eager_calling(voice_detector, agent=agent) as call:
        call.session.update_options(turn_detection="manual")
        await take_a_manual_turn(call)


async def test_a_session_that_closes_while_the_caller_goes_on_keeps_what_was_understood(
    voice_detector: vad.VAD,
) -> None:
    async with eager_calling(voice_detector) as call:
        call.gateway.transcribe.script(Transcript("Thank you."))
        call.caller.say(LEAD, WORDS, PAUSE)
        await call.interims(1)
        call.caller.say(MORE_WORDS)
        await call.interims(3)
        await call.session.aclose()
        assert call.final == ["Thank you."]
        assert call.history == [("user", "Thank you.")]


async def test_while_the_agent_speaks_the_model_is_asked_at_the_final_transcript(
    voice_detector: vad.VAD,
) -> None:
    """A preflight transcript would tell LiveKit the text when it begins no reply."""
    async with eager_calling(voice_detector) as call:
        call.session.options.interruption["min_duration"] = 10.0  # longer than the utterance
        held = Held("audio/pcm;rate=24000", spoken("Once", 1.0))
        call.gateway.synthesize.script(held)
        call.gateway.transcribe.script(Transcript("A story."), Transcript("Stop."))
        call.caller.say(LEAD, WORDS, PAUSE, REST)
        await held.settled()
        await call.until(lambda: call.session.agent_state == "speaking", "the story")
        call.session.update_options(endpointing_opts=NOT_SOON)
        call.caller.say(LEAD, MORE_WORDS, PAUSE, REST)
        await call.gateway.arrived("complete", count=2)
        assert (call.interim, call.final) == (["A story."], ["A story.", "Stop."])
        assert call.asked() == ["A story.", "Stop."]
        assert ("user", "Stop.") not in call.history
        await call.commit()
        assert call.history[-2:] == [("user", "Stop."), ("assistant", answer_to("Stop."))]


class SlowEar(Ear):
    """A loudspeaker that has not heard yet that it is to be silent.

    Attributes:
        has_heard: Whether it has.
    """

    has_heard = False

    def be_silent(self) -> None:
        self.has_heard = True
        self._end(interrupted=True)

    def _end(self, *, interrupted: bool) -> None:
        if self.has_heard:
            super()._end(interrupted=interrupted)


async def test_an_interrupted_agent_need_not_be_silent_yet(voice_detector: vad.VAD) -> None:
    async with eager_calling(voice_detector) as call:
        ear = SlowEar()
        call.session.output.audio = ear
        held = Held("audio/pcm;rate=24000", spoken("Once", 1.0))
        call.gateway.synthesize.script(held)
        call.gateway.transcribe.script(Transcript("A story."), Transcript("Stop."))
        call.caller.say(LEAD, WORDS, PAUSE, REST)
        await held.settled()
        await call.until(lambda: call.session.agent_state == "speaking", "the story")
        call.caller.say(LEAD, WORDS, MORE_WORDS, PAUSE)
        assert await call.interims(2) == ["A story.", "Stop."]
        await call.gateway.arrived("complete", count=2)
        assert call.final == ["A story."]
        ear.be_silent()
        call.caller.say(REST)
        await call.until(lambda: ("user", "Stop.") in call.history, "the second turn")
        await call.until(call._listens, "the end of the answer")


async def test_without_a_vad_the_agent_is_interrupted_in_the_callers_pause(
    voice_detector: vad.VAD,
) -> None:
    only_the_stt = Agent(instructions="Listen.", vad=None, turn_detection="stt")
    async with eager_calling(voice_detector, agent=only_the_stt) as call:
        held = Held("audio/pcm;rate=24000", spoken("Once", 1.0))
        call.gateway.synthesize.script(held)
        call.gateway.transcribe.script(Transcript("A story."), Transcript("Stop."))
        call.caller.say(LEAD, WORDS, PAUSE, REST)
        await held.settled()
        await call.until(lambda: call.session.agent_state == "speaking", "the story")
        call.caller.say(LEAD, MORE_WORDS, PAUSE)
        await call.until(lambda: call.session.agent_state == "listening", "the interruption")
        assert (call.interim, call.final) == (["A story.", "Stop."], ["A story."])
        call.caller.say(REST)
        await call.finals(2)
        await call.until(lambda: ("user", "Stop.") in call.history, "the second turn")
        await call.until(call._listens, "the end of the answer")


async def test_an_agent_who_speaks_in_one_session_holds_no_other_back(
    voice_detector: vad.VAD,
) -> None:
    async with (
        eager_calling(voice_detector) as busy,
        eager_calling(voice_detector, shared=busy.adapter) as call,
    ):
        held = Held("audio/pcm;rate=24000", spoken("Once", 1.0))
        busy.gateway.synthesize.script(held)
        busy.gateway.transcribe.script(Transcript("A story."), Transcript("Thank you."))
        busy.caller.say(LEAD, WORDS, PAUSE, REST)
        await held.settled()
        await busy.until(lambda: busy.session.agent_state == "speaking", "the story")
        call.caller.say(LEAD, WORDS, PAUSE)
        assert await call.interims(1) == ["Thank you."]
        call.caller.say(REST)
        await call.turn_over()
        call.assert_answered("Thank you.")


async def test_a_turn_of_many_utterances_leaves_livekit_a_reply_for_the_last(
    voice_detector: vad.VAD,
) -> None:
    async with eager_calling(voice_detector, endpointing_opts=NOT_SOON) as call:
        for times, each in enumerate(("One.", "Two.", "Three."), 1):
            call.gateway.transcribe.script(Transcript(each))
            call.caller.say(LEAD, WORDS, PAUSE)
            if times < 3:
                await call.interims(times)
            call.caller.say(REST)
            await call.finals(times)
        assert call.interim == ["One.", "Two."]
        await call.gateway.arrived("complete", count=3)
        assert call.asked() == ["One.", "One. Two.", "One. Two. Three."]
        await call.commit()
        call.assert_answered("One. Two. Three.")
        call.gateway.transcribe.script(Transcript("Four."))
        call.caller.say(LEAD, WORDS, PAUSE)
        assert await call.interims(3) == ["One.", "Two.", "Four."]


class Silent(Agent):
    """Answers nothing."""

    def __init__(self) -> None:
        super().__init__(instructions="Listen.")
        self.heard: asyncio.Queue[str | None] = asyncio.Queue()

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        self.heard.put_nowait(new_message.text_content)
        raise StopResponse


async def test_turns_that_leave_nothing_in_the_history_are_turns(voice_detector: vad.VAD) -> None:
    agent = Silent()
    async with eager_calling(voice_detector, agent=agent) as call:
        for times, each in enumerate(("One.", "Two.", "Three."), 1):
            call.gateway.transcribe.script(Transcript(each))
            call.caller.say(LEAD, WORDS, PAUSE)
            await call.interims(times)
            call.caller.say(REST)
            assert await agent.heard.get() == each
        assert call.interim == call.final == ["One.", "Two.", "Three."]
        assert call.history == []


@pytest.mark.parametrize("most", [0, 1])
async def test_the_replies_that_a_user_allows_are_for_final_transcripts_first(
    voice_detector: vad.VAD, most: int
) -> None:
    few: Any = {"preemptive_generation": {"max_retries": most}}
    agent = Agent(instructions="Listen.", turn_handling=few)
    async with eager_calling(voice_detector, agent=agent, endpointing_opts=NOT_SOON) as call:
        call.gateway.transcribe.script(Transcript("Thank you."))
        await say_and_pause(call)
        call.caller.say(REST)
        await call.finals(1)
        assert call.interim == []
        if most:
            await call.gateway.arrived("complete")
        await call.commit()
        assert call.asked() == ["Thank you."]
        call.assert_answered("Thank you.")
