from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from livekit import rtc

from examples.engines import Recogniser, RulesModel, StreamingRecogniser, Voice
from examples.engines.rules import (
    ABILITIES,
    GREETING,
    NOT_UNDERSTOOD,
    NOTHING_ASKED,
    NOTHING_KNOWN,
    STORY,
    WHICH_CITY,
    answer,
)
from examples.engines.sums import find_sum
from livekit_plugins_speko import Speko, frames_to_wav, parse_wav
from livekit_plugins_speko.testing import LocalGateway, StreamedTranscript, ToolCall
from tests.helpers.support import FIXTURES

TEXTS: dict[str, str] = json.loads((FIXTURES / "fixtures.json").read_text())
NOW = datetime(2025, 3, 7, 9, 5)
INTENT = {"language": "en-US"}

GET_WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Look up the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
GET_TIME = {
    **GET_WEATHER,
    "name": "get_local_time",
    "description": "Tell the current local time in a city.",
}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def tool_result(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "toolCallId": "1", "content": content, **more}


# Rules


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Hello!", GREETING),
        ("Good evening.", GREETING),
        ("Who are you?", "I am the demo assistant, made of a few rules."),
        ("Hello, what is your name?", "I am the demo assistant"),
        ("What can you do?", ABILITIES),
        ("When are you open on Saturday?", "We are open from nine to five, Monday to Friday."),
        ("What are your opening hours?", "We are open from nine to five"),
        ("What time is it?", "It is 9:05 AM."),
        ("What day is it today?", "Today is Friday, March 7."),
        ("What is seven times six?", "That is 42."),
        ("Tell me a story.", STORY),
        ("Thanks.", "You are welcome."),
        ("Thank you very much. Goodbye.", "You are welcome. Goodbye!"),
        ("Wait a moment.", "All right, I am listening."),
        ("Purple bicycles dream.", NOT_UNDERSTOOD),
        ("", NOT_UNDERSTOOD),
        ("What is the weather in Paris?", "I have no way to look at the weather."),
    ],
)
def test_rules_answer_each_kind_of_question(said: str, expected: str) -> None:
    chosen = answer([user(said)], now=NOW)
    assert isinstance(chosen, str)
    assert chosen.startswith(expected)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "system", "content": "You are helpful."}],
        [{"role": "system", "content": "Greet the caller."}, {"role": "assistant", "content": "x"}],
    ],
)
def test_conversation_without_a_user_message_begins_with_a_greeting(
    messages: list[dict[str, Any]],
) -> None:
    assert answer(messages) == GREETING


def test_rules_tell_what_was_asked_before() -> None:
    again = user("What did I ask you before?")
    said = [user("Are you open?"), {"role": "assistant", "content": "Yes."}, again]
    assert answer(said) == "You asked me: Are you open?"
    assert answer([again]) == NOTHING_ASKED


def test_rules_answer_the_last_user_message() -> None:
    reply = {"role": "assistant", "content": STORY}
    assert answer([user("Tell me a story."), reply, user("Thanks.")]) == "You are welcome."


@pytest.mark.parametrize(
    ("said", "city"),
    [
        ("What is the weather in Paris today?", "Paris"),
        ("Will it rain in New York tomorrow?", "New York"),
        ("Give me the forecast for Rio de Janeiro.", "Rio"),
    ],
)
def test_weather_question_calls_the_tool_with_the_city(said: str, city: str) -> None:
    call = answer([user(said)], [GET_WEATHER])
    assert isinstance(call, ToolCall)
    assert (call.name, call.args) == ("get_weather", {"city": city})


def test_tool_is_found_by_its_description_and_called_with_its_parameter() -> None:
    tools: list[dict[str, Any]] = [
        {"name": "end_call", "description": "Hang up."},
        {
            "name": "lookup",
            "description": "Current weather.",
            "parameters": {"properties": {"location": {}}},
        },
    ]
    call = answer([user("How is the weather in Oslo?")], tools)
    assert isinstance(call, ToolCall)
    assert (call.name, call.args) == ("lookup", {"location": "Oslo"})


def test_time_of_a_city_calls_the_tool_and_local_time_does_not() -> None:
    call = answer([user("What time is it in Tokyo?")], [GET_WEATHER, GET_TIME])
    assert isinstance(call, ToolCall)
    assert (call.name, call.args) == ("get_local_time", {"city": "Tokyo"})
    assert answer([user("What time is it?")], [GET_TIME], now=NOW) == "It is 9:05 AM."
    assert answer([user("What time is it in Tokyo?")], [GET_WEATHER], now=NOW) == "It is 9:05 AM."


def test_weather_question_without_a_city_asks_for_one() -> None:
    assert answer([user("How is the weather?")], [GET_WEATHER]) == WHICH_CITY


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (tool_result("It is sunny in Paris"), "It is sunny in Paris."),
        (tool_result('{"city": "Paris", "wind_speed": 3}'), "City: paris, wind speed: 3."),
        (tool_result('"Sunny!"'), "Sunny!"),
        (tool_result("boom", isError=True), "Sorry, that did not work."),
    ],
)
def test_tool_result_is_put_into_words(result: dict[str, Any], expected: str) -> None:
    assert answer([user("How is the weather in Paris?"), result], [GET_WEATHER]) == expected


def test_two_tool_results_are_said_in_order() -> None:
    conversation = [user("Weather?"), tool_result("Sun in Rome."), tool_result("Rain in Bonn.")]
    assert answer(conversation) == "Sun in Rome. Rain in Bonn."


def context(text: str) -> dict[str, Any]:
    return user(f"[Context from the caller's page, not said by the caller] {text}")


def test_question_about_the_page_is_answered_with_its_newest_context() -> None:
    known = [context("Room 7."), context("Room 12, with the sea view.")]
    expected = "Your page tells me: Room 12, with the sea view."
    assert answer([*known, user("What am I looking at?")]) == expected
    assert answer([user("What am I looking at?"), *known]) == expected
    assert answer([user("What is on my page?")]) == NOTHING_KNOWN


def test_context_of_the_page_is_not_taken_for_the_caller_s_words() -> None:
    assert answer([context("The caller asked for a story.")]) == GREETING
    assert answer([user("Thanks."), context("What time is it?")]) == "You are welcome."


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ("What is seven times six?", "42"),
        ("What's 7x6?", "42"),
        ("twenty-one plus four", "25"),
        ("Ninety nine minus one hundred", None),
        ("sixteen minus 20", "-4"),
        ("one divided by three", "0.33"),
        ("5 divided by 0", "not possible"),
        ("1000000 times 1000000", "1000000000000"),
        ("I have seven cats", None),
    ],
)
def test_sums_in_words_and_digits(said: str, result: str | None) -> None:
    assert find_sum(said) == result


# The engines of a gateway


@pytest.mark.parametrize("name", TEXTS)
async def test_every_fixture_is_transcribed_exactly(
    name: str, recogniser: Recogniser, gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.use(recogniser)
    result = await speko.transcribe((FIXTURES / f"{name}.wav").read_bytes(), language="en-US")
    assert words(result.text) == words(TEXTS[name])
    assert result.provider == "faster-whisper"


async def test_silence_has_no_words(
    recogniser: Recogniser, gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.use(recogniser)
    silence = rtc.AudioFrame(bytes(2 * 8000), 8000, 1, 8000)
    result = await speko.transcribe(frames_to_wav(silence), language="en-US")
    assert words(result.text) in ([], ["you"])


async def test_keywords_are_accepted_as_hints(
    recogniser: Recogniser, gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.use(recogniser)
    wav = (FIXTURES / "weather.wav").read_bytes()
    result = await speko.transcribe(wav, language="en-US", keywords=["Paris", "weather"])
    assert words(result.text) == words(TEXTS["weather"])


def pcm(name: str) -> bytes:
    return parse_wav((FIXTURES / f"{name}.wav").read_bytes()).samples.astype("<i2").tobytes()


async def streamed(pieces: list[bytes], speko: Speko) -> tuple[list[str], list[str]]:
    """Stream each piece and flush after it; return the interims and the finals."""
    interims: list[str] = []
    finals: list[str] = []
    async with speko.transcribe_stream(language="en-US") as stream:
        for piece in pieces:
            await stream.send_audio(piece)
            await stream.flush()
        async for event in stream:
            if event.type == "transcript":
                (finals if event.is_final else interims).append(event.text)
                if event.is_final and len(finals) == len(pieces):
                    await stream.end()
    return interims, finals


async def test_streaming_recogniser_reports_each_utterance_once(
    recogniser: Recogniser, gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe_stream.script(StreamedTranscript(StreamingRecogniser(recogniser)))
    said = ["weather", "goodbye"]
    _, finals = await streamed([pcm(name) for name in said], speko)
    assert [words(text) for text in finals if text] == [words(TEXTS[name]) for name in said]


async def test_streaming_recogniser_finds_no_words_in_silence(
    recogniser: Recogniser, gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe_stream.script(StreamedTranscript(StreamingRecogniser(recogniser)))
    async with speko.transcribe_stream(language="en-US") as stream:
        await stream.send_audio(bytes(96_000))
        await stream.end()
        assert [event.text async for event in stream if event.type == "transcript"] in ([], [""])


async def test_recogniser_understands_the_voice(
    voice: Voice, recogniser: Recogniser, gateway: LocalGateway, speko: Speko
) -> None:
    gateway.synthesize.use(voice)
    gateway.transcribe.use(recogniser)
    said = "The weather is nice today."
    spoken = await speko.synthesize(said, language="en-US")
    assert spoken.content_type == f"audio/pcm;rate={voice.rate_hz}"
    frame = rtc.AudioFrame(spoken.audio, voice.rate_hz, 1, len(spoken.audio) // 2)
    heard = await speko.transcribe(frames_to_wav(frame), language="en-US")
    assert words(heard.text) == words(said)


async def test_voice_streams_sentence_by_sentence(voice: Voice) -> None:
    chunks = [chunk async for chunk in voice.render("One. Two. Three.")]
    assert len(chunks) == 3
    assert all(np.frombuffer(chunk, dtype=np.int16).any() for chunk in chunks)


async def test_voice_follows_the_speed(voice: Voice, gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.use(voice)
    text = "This is a sentence of a certain length, spoken twice."
    slow = await speko.synthesize(text, language="en-US", speed=0.8)
    fast = await speko.synthesize(text, language="en-US", speed=1.6)
    assert len(fast.audio) < 0.7 * len(slow.audio)


async def test_rules_stream_word_by_word(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.use(RulesModel(first_s=0, between_s=0))
    events = [
        event async for event in speko.complete_stream(messages=[user("Hello.")], intent=INTENT)
    ]
    pieces = [event.text for event in events if event.type == "delta"]
    assert len(pieces) == len(GREETING.split())
    assert "".join(pieces) == GREETING


async def test_rules_call_a_tool_and_count_tokens(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.use(RulesModel(first_s=0, between_s=0))
    question = user(TEXTS["weather"])
    done = await speko.complete(messages=[question], intent=INTENT, tools=[GET_WEATHER])
    assert [(call.name, json.loads(call.args)) for call in done.tool_calls] == [
        ("get_weather", {"city": "Paris"})
    ]
    assert done.usage.prompt_tokens == len(TEXTS["weather"].split())


async def test_tool_choice_none_calls_no_tool(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.use(RulesModel(first_s=0, between_s=0))
    done = await speko.complete(
        messages=[user(TEXTS["weather"])], intent=INTENT, tools=[GET_WEATHER], tool_choice="none"
    )
    assert not done.tool_calls
    assert done.text == "I have no way to look at the weather."
