"""Complete sessions through the eager adapter: one reply to each turn, with pauses anywhere."""

from __future__ import annotations

import pytest
from livekit.agents import Agent, llm, vad

from livekit_plugins_speko.stt.open_text import CONTINUES
from livekit_plugins_speko.testing import Refusal, Reply, Transcript
from tests.cancel.answers import Held
from tests.helpers.eager_calls import counts
from tests.helpers.eager_sessions import (
    HESITATION,
    LEAD,
    MORE_WORDS,
    PAUSE,
    REST,
    WORDS,
    answer_to,
    eager_calling,
)
from tests.helpers.session_line import spoken

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


async def test_utterance_without_a_pause_has_one_request_and_one_reply(
    voice_detector: vad.VAD,
) -> None:
    async with eager_calling(voice_detector) as call:
        call.gateway.transcribe.script(Transcript("Thank you."))
        call.caller.say(LEAD, WORDS, PAUSE)
        await call.interims(1)
        await call.gateway.arrived("complete")  # long before the end
        assert call.final == []
        call.caller.say(REST)
        await call.turn_over()
        assert (call.interim, call.final) == (["Thank you."], ["Thank you."])
        assert call.asked() == ["Thank you."]
        call.assert_answered("Thank you.")
        assert counts(call.adapter) == (1, 1, 0)


async def test_short_pauses_only_cost_requests(voice_detector: vad.VAD) -> None:
    async with eager_calling(voice_detector) as call:
        call.gateway.transcribe.always(Transcript("Thank you. A story."))
        call.caller.say(LEAD, *[WORDS, HESITATION] * 3, MORE_WORDS, PAUSE, REST)
        await call.turn_over()
        assert call.final == ["Thank you. A story."]
        call.assert_answered("Thank you. A story.")
        requests, used, wasted = counts(call.adapter)
        assert requests == used + wasted <= 2
        # At most one more, for the complete text. A cancelled request may not have arrived.
        assert len(call.gateway.requests_to("transcribe")) <= requests + 1 - used


async def test_resumed_speech_stops_the_reply_and_the_complete_text_gets_one(
    voice_detector: vad.VAD,
) -> None:
    async with eager_calling(voice_detector) as call:
        call.gateway.transcribe.script(Transcript("Thank you."), Transcript("Thank you. A story."))
        held = Held("text/event-stream", headers=False)
        call.gateway.complete.script(held)
        call.caller.say(LEAD, WORDS, PAUSE)
        await held.settled()
        call.caller.say(MORE_WORDS)
        (outdated,) = call.gateway.requests_to("complete")
        await outdated.finished()
        call.caller.say(PAUSE)
        assert await call.interims(4) == [
            "Thank you.",
            f"Thank you.{CONTINUES}",
            "Thank you.",
            "Thank you. A story.",
        ]
        call.caller.say(REST)
        await call.turn_over()
        assert call.final == ["Thank you. A story."]
        assert call.asked() == ["Thank you.", "Thank you. A story."]
        call.assert_answered("Thank you. A story.")
        assert counts(call.adapter) == (2, 1, 1)


async def test_failed_early_request_is_no_session_error(voice_detector: vad.VAD) -> None:
    async with eager_calling(voice_detector, max_errors=0) as call:
        for each in ("One.", "Two."):
            call.gateway.transcribe.script(Refusal(500, "broken"), Transcript(each))
            call.caller.say(LEAD, WORDS, PAUSE, REST)
            await call.turn_over(each)
        assert call.final == ["One.", "Two."]
        call.assert_answered("One.", "Two.")
        assert (call.closed, counts(call.adapter)) == ([], (2, 0, 2))


class Editor(Agent):
    """Adds to the context after the model has begun."""

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        turn_ctx.add_message(role="assistant", content="It is Monday.")


async def test_reply_with_an_outdated_context_is_not_spoken(voice_detector: vad.VAD) -> None:
    async with eager_calling(voice_detector, agent=Editor(instructions="Help.")) as call:
        call.gateway.transcribe.script(Transcript("Thank you."))
        call.gateway.complete.script(Reply("Too early."))
        call.caller.say(LEAD, WORDS, PAUSE)
        await call.gateway.arrived("complete")
        call.caller.say(REST)
        await call.turn_over()
        early, late = call.gateway.requests_to("complete")
        told = [each["content"] for each in late.json["messages"]]
        assert "It is Monday." in told
        assert "It is Monday." not in [each["content"] for each in early.json["messages"]]
        assert call.final == ["Thank you."]
        call.assert_answered("Thank you.")


async def test_barge_in_has_a_preflight(voice_detector: vad.VAD) -> None:
    async with eager_calling(voice_detector) as call:
        call.gateway.transcribe.script(Transcript("A story."), Transcript("Stop."))
        held = Held("audio/pcm;rate=24000", spoken("Once", 1.0))
        call.gateway.synthesize.script(held)
        call.caller.say(LEAD, WORDS, PAUSE, REST)
        await held.settled()
        await call.until(lambda: call.session.agent_state == "speaking", "the story")
        call.caller.say(LEAD, MORE_WORDS)
        # A pause that the agent talks over, as on a busy machine, has none.
        await call.until(lambda: call.session.agent_state != "speaking", "the interruption")
        call.caller.say(PAUSE)
        await call.until(lambda: "Stop." in call.interim, "the preflight transcript")
        call.caller.say(REST)
        await call.finals(2)
        await call.until(lambda: ("user", "Stop.") in call.history, "the second turn")
        await call.until(call._listens, "the end of the reply")
        assert call.final == ["A story.", "Stop."]
        assert call.history[-1] == ("assistant", answer_to("Stop."))
        assert call.ear.take().endswith(spoken(answer_to("Stop.")))
        assert counts(call.adapter) == (2, 2, 0)


async def test_turn_ended_by_the_stt_has_one_reply(voice_detector: vad.VAD) -> None:
    only_the_stt = Agent(instructions="Listen.", vad=None, turn_detection="stt")
    async with eager_calling(voice_detector, agent=only_the_stt) as call:
        for each in ("One.", "Two."):
            call.gateway.transcribe.script(Transcript(each))
            call.caller.say(LEAD, WORDS, PAUSE)
            await call.gateway.arrived("complete", count=len(call.final) + 1)
            call.caller.say(REST)
            await call.turn_over(each)
        assert call.final == ["One.", "Two."]
        call.assert_answered("One.", "Two.")
