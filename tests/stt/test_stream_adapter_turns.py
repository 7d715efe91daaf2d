"""Preflight transcripts in a session: its turns, its agent and LiveKit's limits."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import Agent, stt, vad
from livekit.agents.voice import audio_recognition

from livekit_plugins_speko import SpekoSTTAdapter
from livekit_plugins_speko.testing import Transcript
from tests.cancel.answers import Held
from tests.helpers.eager_calls import counts
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
    """Commit a turn in a pause, and then one after the end."""
    call.gateway.transcribe.script(Transcript("Thank you."))
    await say_and_pause(call)
    committed = call.session.commit_user_turn()
    call.caller.say(REST)
    assert await committed == "Thank you."
    await call.turn_over()
    assert (call.interim, call.final) == ([], ["Thank you."])
    call.assert_answered("Thank you.")
    assert counts(call.adapter) == (1, 1, 0)
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
async def test_manual_mode_has_no_preflight(
    voice_detector: vad.VAD, manual: dict[str, Any]
) -> None:
    async with eager_calling(voice_detector, **manual) as call:
        await take_a_manual_turn(call)


async def test_manual_mode_has_no_preflight_inside_another_adapter(
    voice_detector: vad.VAD,
) -> None:
    async with eager_calling(
        voice_detector, wrap=lambda adapter: stt.FallbackAdapter([adapter]), turn_detection="manual"
    ) as call:
        await take_a_manual_turn(call)


async def test_mode_set_during_the_call_overrides_the_agents(
    voice_detector: vad.VAD,
) -> None:
    agent = Agent(instructions="Listen.", turn_detection="vad")
    async with eager_calling(voice_detector, agent=agent) as call:
        call.session.update_options(turn_detection="manual")
        await take_a_manual_turn(call)


async def test_session_closed_after_a_retraction_keeps_the_plain_text(
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


async def test_no_preflight_while_the_agent_speaks(
    voice_detector: vad.VAD,
) -> None:
    """LiveKit begins no reply to a preflight then, and none to a final one with its text."""
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
    """A loudspeaker that ignores the session and plays on until `be_silent`."""

    # True after `be_silent`.
    _silenced = False

    def be_silent(self) -> None:
        self._silenced = True
        self._end(interrupted=True)

    def _end(self, *, interrupted: bool) -> None:
        if self._silenced:
            super()._end(interrupted=interrupted)


async def test_interrupted_agent_allows_a_preflight_before_it_is_silent(
    voice_detector: vad.VAD,
) -> None:
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
        await call.until(call._listens, "the end of the reply")


async def test_preflight_interrupts_the_agent_without_a_vad(
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
        await call.until(call._listens, "the end of the reply")


async def test_sessions_that_share_the_adapter_do_not_affect_each_other(
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


async def test_last_allowed_reply_of_a_turn_is_for_the_final_transcript(
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


async def test_single_allowed_reply_is_for_the_final_transcript(voice_detector: vad.VAD) -> None:
    one: Any = {"preemptive_generation": {"max_retries": 1}}
    agent = Agent(instructions="Listen.", turn_handling=one)
    async with eager_calling(voice_detector, agent=agent, endpointing_opts=NOT_SOON) as call:
        call.gateway.transcribe.script(Transcript("Thank you."))
        await say_and_pause(call)
        call.caller.say(REST)
        await call.finals(1)
        assert call.interim == []
        await call.gateway.arrived("complete")
        await call.commit()
        assert call.asked() == ["Thank you."]
        call.assert_answered("Thank you.")


# Names of LiveKit's that are missing


def without_the_variable(adapter: SpekoSTTAdapter) -> SpekoSTTAdapter:
    """Make an adapter where LiveKit does not have the variable that leads to a session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(audio_recognition, "_STTPipelineContextVar")
        return SpekoSTTAdapter(stt=adapter.wrapped_stt, vad=adapter._vad, eager=True)


def with_a_node_that_is_no_method() -> Agent:
    """Make an agent whose STT node does not lead to it."""
    agent: Any = Agent(instructions="Listen.")
    node = agent.stt_node
    agent.stt_node = lambda audio, settings: node(audio, settings)
    return agent  # type: ignore[no-any-return]


HIDDEN = pytest.mark.parametrize(
    "hidden",
    [
        lambda: {"wrap": without_the_variable},
        lambda: {"agent": with_a_node_that_is_no_method()},
    ],
    ids=["no variable", "no method"],
)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = [each for each in caplog.records if each.name == "livekit.plugins.speko"]
    return [vars(each)["missing"] for each in records if each.levelno == logging.WARNING]


@HIDDEN
async def test_manual_turns_work_when_the_session_is_hidden(
    voice_detector: vad.VAD, hidden: Callable[[], dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    async with eager_calling(voice_detector, **hidden(), turn_detection="manual") as call:
        await take_a_manual_turn(call)
    assert len(warnings_in(caplog)) == 1


@HIDDEN
async def test_hidden_session_has_final_transcripts_and_one_warning(
    voice_detector: vad.VAD, hidden: Callable[[], dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    async with eager_calling(voice_detector, **hidden()) as call:
        for each in ("One.", "Two."):
            call.gateway.transcribe.script(Transcript(each))
            call.caller.say(LEAD, WORDS, PAUSE, REST)
            await call.turn_over(each)
        assert (call.interim, call.final) == ([], ["One.", "Two."])
        call.assert_answered("One.", "Two.")
        assert counts(call.adapter) == (2, 2, 0)
    (missing,) = warnings_in(caplog)
    assert re.match(r"livekit-agents \S+ has no ", missing)
