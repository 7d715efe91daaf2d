"""Turns of a call: the caller's words, the reply, and their order."""

from __future__ import annotations

import asyncio
from functools import partial

from livekit_plugins_speko.realtime.transcripts import LATE_S
from tests.helpers.realtime_calls import (
    INSTRUCTIONS,
    INTERRUPTION,
    USAGE,
    RealtimeCall,
    agent,
    calling,
    google_audio,
    google_words,
    speech,
    user,
)


def _has_lines(call: RealtimeCall, count: int) -> bool:
    return len(call.history) == count


async def test_reply_is_played_and_both_lines_are_in_the_history() -> None:
    async with calling() as call:
        await call.reply("It is noon.", question="What time is it?")
        assert call.history == [("user", "What time is it?"), ("assistant", "It is noon.")]
        assert call.speaker.played == speech()
        assert call.prompt == INSTRUCTIONS


async def test_late_line_is_before_its_reply() -> None:
    async with calling() as call:
        await call.line.say(speech(0.4), agent("It is noon."), user("What time is it?"), USAGE)
        await call.until(lambda: len(call.history) == 2)
        assert call.history == [("user", "What time is it?"), ("assistant", "It is noon.")]
        assert call.speaker.played == speech(0.4)


async def test_interims_grow_under_one_id_and_there_is_one_final() -> None:
    async with calling() as call:
        await call.line.say(user("What", False), user("What time", False), user("What time?"))
        await call.until(lambda: bool(call.finals))
        ids = {each.item_id for each in call.lines if each.transcript}
        assert len(ids) == 1
        assert [each.transcript for each in call.lines if each.transcript] == [
            *("What", "What time", "What time?"),
        ]
        assert call.user_states == ["speaking", "listening"]


async def test_empty_final_ends_the_line_with_its_words() -> None:
    async with calling() as call:
        await call.line.say(user(""), user("Hello", False), user(""), user(" "))
        await call.reply("Hi.")
        assert call.finals == ["Hello"]
        assert call.history == [("user", "Hello"), ("assistant", "Hi.")]


async def test_repeated_final_counts_once() -> None:
    async with calling() as call:
        await call.line.say(user("What time?"), user("What time"))
        await call.reply("Noon.")
        assert call.finals == ["What time?"]


async def test_same_words_in_the_next_turn_are_another_line() -> None:
    async with calling() as call:
        await call.reply("Noon.", question="And?")
        await call.reply("One.", question="And?")
        assert [text for _, text in call.history] == ["And?", "Noon.", "And?", "One."]


async def test_open_line_is_final_once_its_reply_ends() -> None:
    async with calling() as call:
        await call.line.say(user("What time", False))
        await call.reply("Noon.")
        await call.line.say(user("What time?"))
        await call.reply("One.", question="And in Rome?")
        assert call.finals == ["What time", "And in Rome?"]
        assert call.history[0] == ("user", "What time")


async def test_final_that_follows_the_reply_completes_its_line() -> None:
    async with calling() as call:
        await call.line.say(user("What time", False), speech(), user("What time is it?"))
        await call.line.say(agent("Noon."), USAGE)
        await call.until(lambda: len(call.history) == 2)
        assert call.finals == ["What time is it?"]
        assert call.history == [("user", "What time is it?"), ("assistant", "Noon.")]
        assert call.speaker.played == speech()


async def test_reply_ends_two_seconds_after_it_was_played_without_usage() -> None:
    async with calling() as call:
        await call.line.say(user("Well?"), speech(0.2), agent("Noon."))
        await call.until_state("speaking")
        await call.ends()
        assert call.history[-1] == ("assistant", "Noon.")


async def test_words_that_follow_the_usage_are_part_of_the_reply() -> None:
    async with calling() as call:
        await call.line.say(user("Well?"), speech(), agent("It is", False), USAGE)
        await call.line.say(agent("It is noon."))
        await call.until(lambda: len(call.history) == 2)
        assert call.history[-1] == ("assistant", "It is noon.")


async def test_audio_that_follows_the_usage_is_played() -> None:
    async with calling() as call:
        await call.line.say(speech(), agent("One."), USAGE, speech(0.1, 300), USAGE)
        await call.until(lambda: call.speaker.played == speech() + speech(0.1, 300))
        await call.until_state("listening")


async def test_each_reply_has_its_own_words_where_no_final_comes() -> None:
    async with calling() as call:
        for count, words in enumerate(("Noon.", "Monday."), 1):
            await call.line.say(user("When?"), speech(), agent(words, False), USAGE)
            await call.until(partial(_has_lines, call, 2 * count), words)
            await call.until_state("listening")
        assert [text for role, text in call.history if role == "assistant"] == ["Noon.", "Monday."]


async def test_each_line_has_its_own_words_where_no_final_comes() -> None:
    async with calling() as call:
        for question, answer in (("What time?", "Noon."), ("What day?", "Monday.")):
            await call.line.say(user(question, False))
            await call.reply(answer)
        assert call.finals == ["What time?", "What day?"]


async def test_two_calls_in_one_process_stay_apart() -> None:
    async with calling() as one, calling() as two:
        await one.reply("One.", question="First?")
        await two.reply("Two.", question="Second?")
        assert one.history == [("user", "First?"), ("assistant", "One.")]
        assert two.history == [("user", "Second?"), ("assistant", "Two.")]


async def test_noise_without_words_lets_the_caller_listen_again() -> None:
    async with calling() as call:
        await call.line.say(INTERRUPTION, INTERRUPTION)
        await call.until(lambda: call.user_states == ["speaking", "listening"])
        await call.reply("Noon.", question="What time?")
        assert call.finals == ["What time?"]


async def test_words_long_after_a_noise_are_a_line_of_their_own() -> None:
    async with calling() as call:
        await call.line.say(INTERRUPTION)
        await call.reply("Yes?")
        states = len(call.user_states)
        await asyncio.sleep(LATE_S + 0.2)
        await call.line.say(user("What time?"))
        await call.reply("Noon.")
        assert [text for _, text in call.history] == ["Yes?", "What time?", "Noon."]
        assert call.user_states[states:] == ["speaking", "listening"]


async def test_google_line_is_final_as_the_reply_begins() -> None:
    async with calling(form="google") as call:
        for piece in ("What ", "time?"):
            await call.line.say({"serverContent": {"inputTranscription": {"text": piece}}})
        await call.line.say(google_audio(speech()), google_words("Noon."))
        await call.until(lambda: bool(call.finals))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await call.until(lambda: len(call.history) == 2)
        assert call.history == [("user", "What time?"), ("assistant", "Noon.")]
        assert call.finals == ["What time?"]


async def test_google_usage_in_the_middle_does_not_end_the_reply() -> None:
    async with calling(form="google") as call:
        await call.line.say(google_audio(speech()), google_words("It is"))
        await call.line.say({"usageMetadata": {"promptTokenCount": 3, "responseTokenCount": 1}})
        await call.line.say(google_audio(speech(0.1, 300)), google_words(" noon."))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await call.until(lambda: call.history == [("assistant", "It is noon.")])
        await call.until_state("listening")
        assert call.speaker.played == speech() + speech(0.1, 300)
        replies = [each.metrics for each in call.metrics if each.metrics.request_id]
        assert [each.input_tokens for each in replies] == [3]
