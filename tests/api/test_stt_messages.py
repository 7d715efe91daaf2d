"""The frames of streaming recognition, out and in."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import pytest
from hypothesis import given, strategies

from livekit_plugins_speko import Intent, SpekoApiError, validate_constraints
from livekit_plugins_speko.api.stt_messages import (
    End,
    Failure,
    Frame,
    Ready,
    Transcript,
    Word,
    build_config,
    build_wav_header,
    parse_frame,
)


def config(**options: Any) -> Any:
    plain: dict[str, Any] = {
        "intent": Intent("en"),
        "constraints": None,
        "keywords": None,
        "stt_language": None,
        "prompt": None,
        "sample_rate": 16_000,
        "interim_results": True,
    }
    return json.loads(build_config(**{**plain, **options}))


def parse(**frame: Any) -> Frame | None:
    return parse_frame(json.dumps(frame))


def test_plain_config_has_only_required_fields() -> None:
    assert config() == {
        "type": "config",
        "language": "en",
        "interimResults": True,
        "contentType": "audio/wav",
        "sampleRate": 16_000,
        "encoding": "pcm_s16le",
    }


def test_full_config_has_every_option() -> None:
    full = config(
        intent=Intent("en-US", "global", "latency"),
        constraints=validate_constraints({"allowedProviders": {"stt": ["deepgram"]}}),
        keywords=["Speko"],
        stt_language="multi",
        prompt="A bakery.",
        interim_results=False,
    )
    assert (full["region"], full["optimizeFor"]) == ("global", "latency")
    assert full["constraints"] == {"allowedProviders": {"stt": ["deepgram"]}}
    assert (full["keywords"], full["prompt"]) == (["Speko"], "A bakery.")
    assert full["sttOptions"] == {"language": "multi"}
    assert full["interimResults"] is False


def test_header_is_of_a_wav_of_unknown_length() -> None:
    header = build_wav_header(16_000)
    assert len(header) == 44
    with wave.open(io.BytesIO(header)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)


def test_each_type_is_parsed() -> None:
    assert parse(type="ready", provider="acme", model="acme-2") == Ready(
        provider="acme", model="acme-2"
    )
    assert parse(type="error", code="SLOW", message="slow") == Failure(code="SLOW", message="slow")
    assert parse(type="end") == End()
    words = [{"text": "hi", "start": 0, "end": 0.5, "confidence": 0.5}]
    frame = parse(type="transcript", text="hi", isFinal=True, confidence=0.75, words=words)
    assert frame == Transcript(
        text="hi", is_final=True, confidence=0.75, words=(Word("hi", 0.0, 0.5, 0.5),)
    )
    assert isinstance(frame, Transcript)
    assert frame.end_s == 0.5


def test_missing_fields_have_defaults() -> None:
    assert parse(type="ready", provider=7) == Ready()
    assert parse(type="error") == Failure(code="STREAM_ERROR", message="no reason given")
    assert parse(type="transcript", text="hi") == Transcript(text="hi", is_final=False)


@pytest.mark.parametrize("confidence", ["NaN", "Infinity", "null", '"high"', "true", "1e999"])
def test_confidence_other_than_a_number_is_1(confidence: str) -> None:
    frame = parse_frame(f'{{"type":"transcript","text":"hi","confidence":{confidence}}}')
    assert isinstance(frame, Transcript)
    assert frame.confidence == 1.0


def test_words_without_finite_times_are_left_out() -> None:
    words = [
        {"text": "one", "start": 0, "end": 1},
        {"text": "two", "start": 1},
        {"start": 1, "end": 2},
        "three",
        {"text": "four", "start": float("nan"), "end": 4},
    ]
    frame = parse(type="transcript", text="one two three four", isFinal=True, words=words)
    assert isinstance(frame, Transcript)
    assert frame.words == (Word("one", 0.0, 1.0),)
    assert frame.end_s is None  # the last word has none, so the place of the end is not known


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "7", b"\xff\x00", '{"type":"transcript"}'])
def test_garbage_is_malformed(text: str | bytes) -> None:
    with pytest.raises(SpekoApiError) as raised:
        parse_frame(text)
    assert raised.value.code == "MALFORMED_RESPONSE"


JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.floats()
    | strategies.integers()
    | strategies.text(max_size=5),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.sampled_from(["text", "start", "end"]), inner)
    ),
    max_leaves=8,
)
NAMES = ("text", "isFinal", "confidence", "words", "provider", "model", "code", "message")


@given(
    strategies.sampled_from(["transcript", "ready", "error", "end", "metrics", None]),
    strategies.dictionaries(strategies.sampled_from(NAMES), JSON),
)
def test_no_frame_raises_an_unexpected_error(kind: str | None, fields: dict[str, Any]) -> None:
    try:
        parse_frame(json.dumps({"type": kind, **fields}))
    except SpekoApiError as error:
        assert error.code == "MALFORMED_RESPONSE"


def test_number_that_no_float_holds_is_no_time() -> None:
    words = [{"text": "a", "start": 10**400, "end": 1}, {"text": "b", "start": 0, "end": 1}]
    frame = parse(type="transcript", text="a b", isFinal=True, words=words)
    assert isinstance(frame, Transcript)
    assert [each.text for each in frame.words or ()] == ["b"]
