"""Barge-in: the reply ends at once, its late rest is dropped, and the next one is complete."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from livekit_plugins_speko.realtime.late_rest import QUIET_S
from tests.helpers.realtime_calls import (
    INTERRUPTION,
    USAGE,
    RealtimeCall,
    agent,
    calling,
    clock,
    google_audio,
    google_words,
    speech,
    tool_call,
    user,
    xai_audio,
)


def _google_heard(text: str) -> dict[str, Any]:
    return {"serverContent": {"inputTranscription": {"text": text}}}


async def _speak(call: RealtimeCall, seconds: float = 3.0) -> None:
    """Have the model begin a long reply, and wait until it is heard."""
    await call.line.say(user("Tell me."), speech(seconds), agent("Once upon a time", False))
    await call.until_state("speaking")
    await asyncio.sleep(0.3)


async def _barge_in(call: RealtimeCall) -> None:
    await call.line.say(INTERRUPTION)
    await call.until_state("listening")


async def _next_reply_is_whole(call: RealtimeCall) -> None:
    heard = len(call.speaker.played)
    await call.reply("Noon.", question="What time?")
    assert call.speaker.played[heard:] == speech(0.2)
    assert call.history[-2:] == [("user", "What time?"), ("assistant", "Noon.")]


async def test_interruption_silences_the_reply_at_once() -> None:
    async with calling() as call:
        await _speak(call)
        began = time.monotonic()
        await _barge_in(call)
        assert time.monotonic() - began < 0.1
        heard = call.speaker.played
        await call.line.say(speech(0.5), agent("Once upon a time there was"), speech(0.5), USAGE)
        await _next_reply_is_whole(call)
        assert call.speaker.played[: len(heard)] == heard
        assert not call.line.messages, "the service's interruption needs no interrupt of ours"


async def test_interruption_of_a_reply_without_usage_drops_its_rest() -> None:
    async with calling() as call:
        await _speak(call)
        await _barge_in(call)
        await call.line.say(speech(0.5), INTERRUPTION, speech(0.5))
        await _next_reply_is_whole(call)


async def test_usage_of_an_interrupted_reply_does_not_end_the_next() -> None:
    async with calling() as call:
        await _speak(call)
        await _barge_in(call)
        await call.line.say(user("Wait."), speech(0.1), USAGE, speech(0.1), agent("Yes?"), USAGE)
        await call.until(lambda: call.history[-1] == ("assistant", "Yes?"))
        await call.until_state("listening")
        assert call.speaker.played.endswith(speech(0.1) * 2)
        assert [each.metrics.cancelled for each in call.metrics if each.metrics.request_id] == [
            *(True, False),
        ]


async def test_next_reply_is_heard_although_nothing_marks_the_old_ones_end() -> None:
    async with calling() as call:
        await _speak(call)
        await _barge_in(call)
        await asyncio.sleep(1.1)
        heard = len(call.speaker.played)
        await call.line.say(speech(0.2), agent("Yes?"), USAGE)
        await call.until(lambda: call.history[-1] == ("assistant", "Yes?"))
        assert call.speaker.played[heard:] == speech(0.2)


async def test_first_words_of_the_caller_interrupt() -> None:
    async with calling() as call:
        await _speak(call)
        await call.line.say(user("Stop", False))
        await call.until_state("listening")
        await call.line.say(user("Stop it."))
        await call.reply("Fine.")
        assert call.finals == ["Tell me.", "Stop it."]


async def test_reply_that_begins_like_the_interrupted_one_is_whole_in_the_history() -> None:
    async with calling() as call:
        await call.line.say(user("Tell me."), speech(3.0), agent("I", False))
        await call.until_state("speaking")
        await _barge_in(call)
        await call.line.say(user("What time?"), speech(), agent("It", False), agent("It is noon."))
        await call.line.say(USAGE)
        await call.until(lambda: call.history[-1] == ("assistant", "It is noon."))


async def test_interruption_of_a_complete_reply_ends_its_playing() -> None:
    async with calling() as call:
        await _speak(call)
        await call.line.say(agent("Once upon a time."), USAGE)
        await _barge_in(call)
        assert len(call.speaker.played) < len(speech(3.0))
        await _next_reply_is_whole(call)
        assert not call.line.messages


async def test_interruption_without_a_reply_is_harmless() -> None:
    async with calling() as call:
        await call.line.say(INTERRUPTION, INTERRUPTION, user("What time?"))
        await call.reply("Noon.")
        assert call.history == [("user", "What time?"), ("assistant", "Noon.")]


async def test_author_interrupts_with_one_message() -> None:
    async with calling() as call:
        await _speak(call)
        await call.session.interrupt()
        await call.line.until_message("interrupt")
        await call.until_state("listening")
        await call.line.say(speech(0.5), agent("Once upon a time there was"), USAGE)
        await _next_reply_is_whole(call)
        assert [each["t"] for each in call.line.messages] == ["interrupt"]


async def test_history_has_what_was_heard() -> None:
    async with calling(synchronized=True) as call:
        await call.line.say(user("Tell me."), speech(3.0))
        await call.line.say(agent("Once upon a time there lived a king in a castle by the sea."))
        await call.until_state("speaking")
        await asyncio.sleep(0.5)
        await _barge_in(call)
        await call.until(lambda: len(call.history) == 2)
        heard = call.history[-1][1]
        assert "Once upon a time there lived a king".startswith(heard[:10])
        assert "sea" not in heard


async def test_gemini_interruption_is_the_callers() -> None:
    async with calling(form="google") as call:
        await call.line.say(google_audio(speech(3.0)))
        await call.until_state("speaking")
        await call.line.say({"serverContent": {"interrupted": True}})
        await call.until_state("listening")
        assert len(call.speaker.played) < len(speech(1.0))


@pytest.mark.parametrize("early", [(), ("What ",)])
async def test_words_that_gemini_sends_late_leave_the_reply_alone(early: tuple[str, ...]) -> None:
    async with calling(form="google") as call:
        await call.line.say(*map(_google_heard, early), google_audio(speech()))
        await call.line.say(_google_heard("time "), _google_heard("is it?"))
        await call.line.say(google_audio(speech()), google_words("Noon."))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await call.until(lambda: call.history[-1:] == [("assistant", "Noon.")])
        assert call.speaker.played == speech() * 2
        lines = [*(each.strip() for each in early), "time is it?"]
        assert call.history[:-1] == [("user", each) for each in lines]


async def test_words_that_gemini_sends_before_the_interruption_come_once() -> None:
    async with calling(form="google") as call:
        await call.line.say(google_audio(speech(3.0)))
        await call.until_state("speaking")
        await call.line.say(_google_heard("Wait"), {"serverContent": {"interrupted": True}})
        await call.until_state("listening")
        await call.line.say(_google_heard(" a bit."), google_audio(speech()), google_words("Yes?"))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await call.until(lambda: call.history[-1:] == [("assistant", "Yes?")])
        assert call.finals == ["Wait", "a bit."]


async def test_second_line_that_xai_sends_late_leaves_the_reply_alone() -> None:
    async with calling(form="xai") as call:
        spoke = {"type": "input_audio_buffer.speech_started"}
        await call.line.say(spoke, spoke, xai_audio(speech()))
        for item, text in (("i1", "So."), ("i2", "What time is it?")):
            heard = {"item_id": item, "transcript": text}
            kind = "conversation.item.input_audio_transcription.completed"
            await call.line.say({"type": kind, **heard})
        await call.line.say(xai_audio(speech()), {"type": "response.done", "response": {}})
        await call.until(lambda: len(call.speaker.played) == 2 * len(speech()))
        assert call.finals == ["So.", "What time is it?"]


async def test_reply_to_a_caller_who_barged_in_on_a_request_is_heard_before_its_line() -> None:
    async with calling(form="xai") as call:
        call.session.generate_reply(instructions="Greet.")
        await call.line.until_message("response.create")
        await call.line.say({"type": "input_audio_buffer.speech_started"})
        await asyncio.sleep(QUIET_S + 0.3)
        await call.line.say(xai_audio(speech()), {"type": "response.done", "response": {}})
        await call.until(lambda: call.speaker.played == speech())


async def test_words_without_an_interruption_overtake_a_request() -> None:
    async with calling(form="google") as call:
        call.session.generate_reply(instructions="Greet.")
        await call.until(lambda: len(call.line.messages) == 1)
        await call.line.say(_google_heard("Hello?"), google_audio(speech()), google_words("Hi."))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await call.until(lambda: call.history[-1:] == [("assistant", "Hi.")])
        assert len(call.line.messages) == 1, "the reply to the caller must not be cancelled"


async def test_call_that_an_interruption_overtakes_is_answered_once() -> None:
    async with calling(agent=clock()) as call:
        await call.line.say(user("Time?"), tool_call(), INTERRUPTION)
        await call.line.until_message("tool_result")
        await _next_reply_is_whole(call)
        assert len(call.line.messages) == 1


async def test_tool_that_runs_during_an_interruption_is_answered_once() -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        started.set()
        await may_end.wait()
        return "noon"

    async with calling(agent=clock(slow)) as call:
        await call.line.say(user("Time?"), speech(2.0), agent("Let me see."), tool_call())
        await started.wait()
        await call.line.say(INTERRUPTION)
        await call.until(lambda: call.user_states[-1] == "speaking")
        may_end.set()
        result = await call.line.until_message("tool_result")
        assert result["output"] == "noon"
        await _next_reply_is_whole(call)
        assert len(call.line.messages) == 1
