"""A session that closes waits for its caller's last words, and no longer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import vad

from livekit_plugins_speko.stt.last_words import LastWords
from livekit_plugins_speko.testing import Transcript
from tests.helpers.eager_calls import window
from tests.helpers.eager_sessions import LEAD, WORDS, eager_calling, quiet
from tests.helpers.streaming_sessions import Stretches, streaming_calling
from tests.helpers.support import frame, tone

# LiveKit waits so long for a transcript that does not come: longer than any test may take.
HANGS_S = 300.0
WITHIN_S = 30.0
SILENCE = frame(quiet(0.2))


async def closes(call: Any) -> None:
    """Let the session hear its caller, and close it."""
    await asyncio.wait_for(call.caller.heard(), WITHIN_S)
    await asyncio.wait_for(call.session.aclose(), WITHIN_S)


async def test_silent_caller_is_not_waited_for(voice_detector: vad.VAD) -> None:
    async with eager_calling(voice_detector, close_timeout_s=HANGS_S) as call:
        call.caller.say(LEAD)
        await closes(call)
        assert call.final == []


async def test_last_words_are_waited_for(voice_detector: vad.VAD) -> None:
    async with eager_calling(voice_detector, close_timeout_s=HANGS_S) as call:
        call.gateway.transcribe.always(Transcript("Thank you."))
        call.caller.say(LEAD, WORDS)
        await closes(call)
        assert call.history == [("user", "Thank you.")]


async def test_words_that_nobody_understands_are_not_waited_for(voice_detector: vad.VAD) -> None:
    async with eager_calling(voice_detector, close_timeout_s=HANGS_S) as call:
        call.gateway.transcribe.always(Transcript(""))
        call.caller.say(LEAD, WORDS)
        await closes(call)
        assert call.history == []


async def test_silent_caller_of_a_streaming_recognition_is_not_waited_for(
    voice_detector: vad.VAD,
) -> None:
    options: dict[str, Any] = {"eager": True, "close_timeout_s": HANGS_S}
    async with streaming_calling(voice_detector, Stretches(()), **options) as call:
        call.caller.say(LEAD)
        await closes(call)
        assert call.final == []


async def test_last_words_of_a_streaming_recognition_are_waited_for(
    voice_detector: vad.VAD,
) -> None:
    options: dict[str, Any] = {"eager": True, "close_timeout_s": HANGS_S}
    async with streaming_calling(voice_detector, Stretches(("Thank you.",)), **options) as call:
        call.caller.say(LEAD, WORDS)
        await closes(call)
        assert call.history == [("user", "Thank you.")]


def at(seconds: float) -> vad.VADEvent:
    event = window(probability=0.0)
    event.timestamp = seconds
    return event


def test_silence_that_comes_at_once_is_a_question() -> None:
    words = LastWords()
    for _ in range(10):
        words.pushed(SILENCE, 5.0)
    assert not words.answers(at(0.5))
    assert words.answers(at(2.0))
    assert not words.answers(at(2.1))


@pytest.mark.parametrize("pushed", [SILENCE, frame(tone(0.2, rate=16_000))])
def test_audio_in_its_time_is_none(pushed: Any) -> None:
    words = LastWords()
    for number in range(30):
        words.pushed(pushed, 0.2 * number)
    assert not words.answers(at(6.0))


def test_sound_that_comes_at_once_is_none() -> None:
    words = LastWords()
    for _ in range(10):
        words.pushed(frame(tone(0.2, rate=16_000)), 5.0)
    assert not words.answers(at(2.0))


def test_flush_takes_the_question_back() -> None:
    words = LastWords()
    for _ in range(10):
        words.pushed(SILENCE, 5.0)
    words.flushed()
    assert not words.answers(at(2.0))
