"""The three parts of a session, put together: their types and their options."""

from __future__ import annotations

from typing import Any

import pytest
import spekoai
from livekit.agents import stt, tokenize, tts, vad
from livekit.plugins import silero

from livekit_plugins_speko import (
    PipelineConstraints,
    Speko,
    SpekoAdapterError,
    SpekoComponents,
    SpekoLLM,
    SpekoSTT,
    SpekoSTTAdapter,
    SpekoTTS,
    create_speko_components,
)
from livekit_plugins_speko.testing import LocalGateway, Refusal, Speech
from tests.helpers.components_calls import INTENT, make, say, take_a_turn
from tests.helpers.support import cause, tone


def test_parts_can_be_named_and_unpacked(speko: Speko, voice_detector: vad.VAD) -> None:
    components = make(speko, voice_detector)
    recognizer, model, speaker = components
    assert components == (components.stt, components.llm, components.tts)
    assert (recognizer, model, speaker) == components
    assert isinstance(components, SpekoComponents)


def test_session_accepts_each_part(speko: Speko, voice_detector: vad.VAD) -> None:
    components = make(speko, voice_detector)
    assert isinstance(components.stt, stt.StreamAdapter)
    assert isinstance(components.stt.wrapped_stt, SpekoSTT)
    assert components.stt.capabilities.streaming
    assert isinstance(components.llm, SpekoLLM)
    assert isinstance(components.tts, tts.StreamAdapter)
    assert isinstance(components.tts._wrapped_tts, SpekoTTS)
    assert components.tts.capabilities.streaming
    assert (components.tts.sample_rate, components.tts.num_channels) == (24_000, 1)


# Options


async def spoken_to(gateway: LocalGateway, components: SpekoComponents, text: str) -> list[str]:
    """The texts sent to synthesis."""
    gateway.synthesize.always(Speech(tone(0.1)))
    async with components.tts.stream() as stream:
        stream.push_text(text)
        stream.end_input()
        async for _ in stream:
            pass
    return [request.json["text"] for request in gateway.requests_to("synthesize")]


TOLD = "Sure. If you come in the evening, the door is on the left of the house."


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({}, ["Sure.", TOLD[6:]]),
        ({"tts_options": {"first_words": "sentence"}}, ["Sure.", TOLD[6:]]),
        ({"tts_options": {"first_words": "clause"}}, ["Sure.", TOLD[6:]]),
        ({"tts_options": {"first_words": "off"}}, [TOLD]),
        ({"tts_options": {"prefetch": 0}}, [TOLD]),
        ({"tts_options": {"prefetch": 0, "first_words": "sentence"}}, ["Sure.", TOLD[6:]]),
        ({"sentence_tokenizer": tokenize.basic.SentenceTokenizer()}, [TOLD]),
        (
            {
                "sentence_tokenizer": tokenize.basic.SentenceTokenizer(),
                "tts_options": {"first_words": "sentence"},
            },
            ["Sure.", TOLD[6:]],
        ),
    ],
)
async def test_first_words_option_sets_when_speech_begins(
    gateway: LocalGateway,
    speko: Speko,
    voice_detector: vad.VAD,
    options: dict[str, Any],
    texts: list[str],
) -> None:
    assert await spoken_to(gateway, make(speko, voice_detector, **options), TOLD) == texts


async def test_first_clause_is_spoken_early_when_enabled(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    components = make(speko, voice_detector, tts_options={"first_words": "clause"})
    texts = await spoken_to(gateway, components, TOLD[6:])
    assert texts == ["If you come in the evening,", "the door is on the left of the house."]


def test_eager_recognition_is_off_by_default(speko: Speko, voice_detector: vad.VAD) -> None:
    plain = make(speko, voice_detector).stt
    eager = make(speko, voice_detector, stt_options={"eager": True, "eager_delay": 0.3}).stt
    assert isinstance(plain, SpekoSTTAdapter) and plain._eager is False
    assert isinstance(eager, SpekoSTTAdapter)
    assert (eager._eager, eager._eager_delay) == (True, 0.3)


def test_one_sentence_is_prefetched_by_default(speko: Speko, voice_detector: vad.VAD) -> None:
    assert make(speko, voice_detector).tts._prefetch == 1
    assert make(speko, voice_detector, tts_options={"prefetch": 0}).tts._prefetch == 0


async def test_stream_adapters_forward_route_events(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    components = make(speko, voice_detector)
    told: list[Any] = []
    for part in components:
        part.on("route", told.append)
    await take_a_turn(gateway, components)
    assert [event.call for event in told] == ["transcribe", "complete", "synthesize"]


async def test_calls_have_only_the_intent_without_options(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    transcribe, complete, synthesize = await take_a_turn(gateway, make(client, voice_detector))
    assert [r.intent for r in (transcribe, complete, synthesize)] == [INTENT] * 3
    assert (transcribe.stt_options, transcribe.constraints) == (None, None)
    # The official SDK lacks the third.
    assert sorted({*complete.json} - {"voiceOptimized"}) == ["intent", "messages"]
    assert synthesize.json == {"text": "Hi.", "intent": INTENT}
    assert [r.session_id for r in (transcribe, complete, synthesize)] == [None] * 3


async def test_each_option_reaches_its_part(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    lookup = {"name": "lookup", "description": "Look up.", "parameters": {"type": "object"}}
    components = make(
        client,
        voice_detector,
        voice="joe",
        session_id="session-1",
        llm={"temperature": 0, "max_tokens": 80, "tools": [lookup]},
        tts_options={"speed": 1.5, "instructions": "Whisper.", "spoken_form": False},
        stt_options={"keywords": ["Speko"], "language": "en-GB"},
    )
    transcribe, complete, synthesize = await take_a_turn(gateway, components)
    assert transcribe.stt_options == {"keywords": ["Speko"], "language": "en-GB"}
    assert (complete.json["temperature"], complete.json["maxTokens"]) == (0, 80)
    assert complete.json["tools"] == [lookup]
    assert synthesize.json == {
        "text": "Hi.",
        "intent": INTENT,
        "voice": "joe",
        "speed": 1.5,
        "instructions": "Whisper.",
        "spokenForm": False,
    }
    assert [r.session_id for r in (transcribe, complete, synthesize)] == ["session-1"] * 3


async def test_sample_rate_is_the_one_set(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    components = make(speko, voice_detector, tts_options={"sample_rate": 48_000})
    gateway.synthesize.script(Speech(tone(rate=48_000), content_type="audio/pcm;rate=48000"))
    assert components.tts.sample_rate == 48_000
    assert {audio.frame.sample_rate for audio in await say(components)} == {48_000}


async def test_audio_of_another_rate_is_converted_only_when_enabled(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.synthesize.always(Speech(tone(rate=16_000), content_type="audio/pcm;rate=16000"))
    with pytest.raises(Exception, match="16000 Hz") as raised:
        await say(make(speko, voice_detector))
    assert isinstance(cause(raised.value), SpekoAdapterError)
    components = make(speko, voice_detector, tts_options={"convert_audio": True})
    assert {audio.frame.sample_rate for audio in await say(components)} == {24_000}


@pytest.mark.parametrize(
    "constraints",
    [
        {"allowedProviders": {"stt": ["deepgram"], "llm": ["openai:gpt-5"], "tts": ["cartesia"]}},
        PipelineConstraints(
            {"stt": ["deepgram"], "llm": ["openai:gpt-5"], "tts": ["cartesia"]},
        ),
    ],
    ids=["mapping", "PipelineConstraints"],
)
async def test_every_call_gets_the_same_constraints(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD, constraints: Any
) -> None:
    requests = await take_a_turn(gateway, make(client, voice_detector, constraints=constraints))
    allowed = {"stt": ["deepgram"], "llm": ["openai:gpt-5"], "tts": ["cartesia"]}
    assert [r.constraints for r in requests] == [{"allowedProviders": allowed}] * 3


async def test_registered_tools_are_sent(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    tool = {"name": "book", "description": "Book.", "parameters": {"type": "object"}}
    gateway.register_tools("agent-1", [tool])
    _, complete, _ = await take_a_turn(gateway, make(client, voice_detector, agent_id="agent-1"))
    assert [each["name"] for each in complete.json["tools"]] == ["book"]


async def test_failed_fetch_of_registered_tools_is_reported(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.tools.script(Refusal(500, "tired"))
    failures: list[Exception] = []
    components = make(
        speko, voice_detector, agent_id="agent-1", on_registered_tools_error=failures.append
    )
    await take_a_turn(gateway, components)
    assert len(failures) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"llm": {"top_p": 1}},
            'create_speko_components: unknown option "top_p" in llm. '
            "Expected: temperature, max_tokens, tools, reasoning_effort, voice_optimized.",
        ),
        (
            {"tts_options": {"voice": "joe"}},
            'create_speko_components: unknown option "voice" in tts_options. '
            "Expected: sample_rate, speed, instructions, spoken_form, convert_audio, prefetch, "
            "first_words.",
        ),
        (
            {"stt_options": {"stt_language": "en"}},
            'create_speko_components: unknown option "stt_language" in stt_options. '
            "Expected: keywords, language, prompt, streaming, interim_results, eager, "
            "eager_delay, preflight.",
        ),
        ({"intent": {}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        ({"constraints": {"allowed": {}}}, '"allowed"'),
        ({"llm": {"max_tokens": 0}}, "SpekoLLM: max_tokens must be a whole number"),
        (
            {"tts_options": {"first_words": "word"}},
            "create_speko_components: unknown first_words 'word' in tts_options. "
            "Expected one of: off, sentence, clause.",
        ),
        ({"tts_options": {"prefetch": -1}}, "SpekoTTSAdapter: prefetch must be a whole number"),
        ({"stt_options": {"eager": 1}}, "SpekoSTTAdapter: eager must be True or False, got 1."),
        ({"stt_options": {"eager_delay": 0}}, "SpekoSTTAdapter: eager_delay must be a number"),
        ({"tts_options": {"speed": 0}}, "SpekoTTS: speed must be a number from 0.5 to 2, got 0."),
        ({"stt_options": {"keywords": "Speko"}}, "SpekoSTT: keywords must be a list of words"),
        ({"stt_options": {"language": 7}}, "SpekoSTT: stt_language must be a string"),
        ({"session_id": 7}, "session_id must be a string, got int."),
        ({"agent_id": " "}, "agent_id must be the id of an agent"),
    ],
)
def test_invalid_option_is_refused_at_once(
    speko: Speko, voice_detector: vad.VAD, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make(speko, voice_detector, **options)
    assert text in str(raised.value)


@pytest.mark.parametrize("thing", [None, "silero", silero.VAD])
def test_other_vad_is_refused(speko: Speko, thing: Any) -> None:
    with pytest.raises(TypeError) as raised:
        make(speko, thing)
    assert str(raised.value) == (
        "create_speko_components: vad must be a VAD such as silero.VAD.load(), got "
        f"{type(thing).__name__}."
    )


@pytest.mark.parametrize("thing", [5, "key"])
def test_other_client_is_refused(voice_detector: vad.VAD, thing: Any) -> None:
    with pytest.raises(TypeError, match=f"got {type(thing).__name__}"):
        make(thing, voice_detector)


def test_synchronous_client_is_refused_by_name(voice_detector: vad.VAD) -> None:
    with (
        spekoai.Speko(api_key="key") as client,
        pytest.raises(TypeError, match="got the synchronous Speko"),
    ):
        make(client, voice_detector)


def test_mappings_of_the_caller_are_not_changed(speko: Speko, voice_detector: vad.VAD) -> None:
    options: dict[str, Any] = {
        "intent": dict(INTENT),
        "llm": {"temperature": 0.5},
        "tts_options": {"speed": 1.5},
        "stt_options": {"language": "en-GB", "keywords": ["Speko"]},
    }
    make(speko, voice_detector, **options)
    assert options == {
        "intent": INTENT,
        "llm": {"temperature": 0.5},
        "tts_options": {"speed": 1.5},
        "stt_options": {"language": "en-GB", "keywords": ["Speko"]},
    }


@pytest.mark.parametrize("option", ["api_base_url", "api_key"])
def test_option_of_the_typescript_package_warns_on_the_callers_line(
    speko: Speko, voice_detector: vad.VAD, option: str
) -> None:
    """Python shows deprecations only where the caller's own code causes them."""
    options: dict[str, Any] = {option: "http://127.0.0.1:9"}
    with pytest.warns(DeprecationWarning, match=f"{option} is ignored") as caught:
        create_speko_components(speko=speko, vad=voice_detector, intent=INTENT, **options)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("name", ["llm", "tts_options", "stt_options"])
def test_options_must_be_a_mapping(speko: Speko, voice_detector: vad.VAD, name: str) -> None:
    options: dict[str, Any] = {name: 5}
    with pytest.raises(ValueError, match=f"{name} must be a mapping with some of .*, got int"):
        make(speko, voice_detector, **options)


def test_other_tokenizer_is_refused(speko: Speko, voice_detector: vad.VAD) -> None:
    with pytest.raises(TypeError, match="sentence_tokenizer must be a SentenceTokenizer"):
        make(speko, voice_detector, sentence_tokenizer="x")
