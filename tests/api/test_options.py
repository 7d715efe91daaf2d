"""The options of a call: refused, dropped or cut where they are made."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from livekit_plugins_speko import Intent, PipelineConstraints
from livekit_plugins_speko.api.limits import MAX_STT_OPTIONS_BYTES
from livekit_plugins_speko.api.options import (
    CompleteOptions,
    SynthesizeOptions,
    TranscribeOptions,
    fit_keywords,
)
from livekit_plugins_speko.api.requests import build_transcribe

HINDI = "नमस्ते दुनिया "
ENGLISH = [f"keyword number {number} of a long list" for number in range(200)]
DEVANAGARI = [f"{HINDI * 2}{number}" for number in range(200)]


def transcribing(**options: Any) -> TranscribeOptions:
    return TranscribeOptions(intent=Intent("en"), **options)


def completing(**options: Any) -> CompleteOptions:
    return CompleteOptions(intent=Intent("en"), **options)


def synthesizing(**options: Any) -> SynthesizeOptions:
    return SynthesizeOptions(intent=Intent("en"), **options)


def stt_header(options: TranscribeOptions) -> str:
    return build_transcribe(b"", options).headers["X-Speko-Stt-Options"]


def left_out(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """The numbers of dropped items in the log, one for each line."""
    return [
        record.__dict__.get("left_out", record.__dict__.get("left_out_chars"))
        for record in caplog.records
        if record.levelno == logging.WARNING
    ]


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (transcribing, {"session_id": "\u00e9"}, "session_id must be printable ASCII, got 'é'"),
        (transcribing, {"session_id": 5}, "session_id must be a string, got int"),
        (transcribing, {"keywords": "abc"}, "keywords must be a list of words, got 'abc'"),
        (transcribing, {"keywords": ["a", " "]}, "keywords must be a list of words"),
        (transcribing, {"keywords": ["a"] * 201}, "keywords has 201 words, expected 200 at most"),
        (transcribing, {"prompt": "a" * 2001}, "prompt has 2001 characters, expected 2000 at most"),
        (completing, {"temperature": -0.1}, "temperature must be a number from 0 to 2, got -0.1"),
        (completing, {"temperature": 2.1}, "temperature must be a number from 0 to 2, got 2.1"),
        (completing, {"temperature": float("nan")}, "temperature must be a number from 0 to 2"),
        (completing, {"temperature": True}, "temperature must be a number from 0 to 2, got True"),
        (completing, {"max_tokens": 0}, "max_tokens must be a whole number, 1 or more, got 0"),
        (completing, {"max_tokens": 1.5}, "max_tokens must be a whole number, 1 or more, got 1.5"),
        (completing, {"max_tool_hops": 0}, "max_tool_hops must be a whole number, from 1 to 16"),
        (completing, {"max_tool_hops": 17}, "max_tool_hops must be a whole number, from 1 to 16"),
        (
            completing,
            {"reasoning_effort": "much"},
            "reasoning_effort must be one of none, minimal, low, medium, high, xhigh, got 'much'",
        ),
        (synthesizing, {"speed": 0.49}, "speed must be a number from 0.5 to 2, got 0.49"),
        (synthesizing, {"speed": 5}, "speed must be a number from 0.5 to 2, got 5"),
        (synthesizing, {"voice": 5}, "voice must be a string, got int"),
    ],
)
def test_value_that_the_service_refuses_is_refused_by_name(
    make: Any, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as refused:
        make(**options)
    assert str(refused.value).startswith(f"Speko: {text}")


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (transcribing, {"keywords": ["a"] * 200, "prompt": "a" * 2000}),
        (completing, {"temperature": 0, "max_tokens": 1, "max_tool_hops": 1}),
        (completing, {"temperature": 2.0, "max_tool_hops": 16, "reasoning_effort": "none"}),
        (synthesizing, {"speed": 0.5}),
        (synthesizing, {"speed": 2}),
    ],
)
def test_bounds_are_inclusive(make: Any, options: dict[str, Any]) -> None:
    make(**options)


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
@pytest.mark.parametrize(
    ("make", "names"),
    [
        (transcribing, ["session_id", "stt_language", "prompt"]),
        (completing, ["session_id"]),
        (synthesizing, ["session_id", "voice", "model", "instructions"]),
    ],
)
def test_blank_text_counts_as_unset(make: Any, names: list[str], blank: str) -> None:
    options = make(**dict.fromkeys(names, blank))
    assert [getattr(options, name) for name in names] == [None] * len(names)


class VoiceOptions(SynthesizeOptions):
    owner = "Voice"


def test_copy_is_checked_like_its_original() -> None:
    options = VoiceOptions(intent=Intent("en"), speed=1)
    with pytest.raises(ValueError, match="^Voice: speed must be a number"):
        replace(options, speed=3)


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        (
            {"intent": Intent("en", "global", "latency"), "session_id": "s1", "speed": 0.5},
            {
                "language": "en",
                "region": "global",
                "optimize_for": "latency",
                "session_id": "s1",
                "speed": 0.5,
            },
        ),
        (
            {"intent": {"language": "en"}, "spoken_form": False, "voice": " "},
            {"language": "en", "spoken_form": False},
        ),
    ],
)
def test_set_options_are_the_keywords_of_a_request(
    options: dict[str, Any], request_: dict[str, Any]
) -> None:
    assert SynthesizeOptions(**options).request() == request_


def test_completion_accepts_a_complete_intent() -> None:
    options = completing(temperature=0.0, tool_choice="auto")
    assert options.request() == {"intent": Intent("en"), "temperature": 0.0, "tool_choice": "auto"}


def test_constraints_are_checked_once() -> None:
    options = completing(constraints={"allowedProviders": {"llm": ["openai"]}})
    assert options.constraints == PipelineConstraints({"llm": ("openai",)})
    assert replace(options, temperature=1).constraints is options.constraints


@pytest.mark.parametrize("keywords", [ENGLISH, DEVANAGARI], ids=["ASCII", "Devanagari"])
@pytest.mark.parametrize("prompt", [None, "A call to a hotel.", HINDI * 60], ids=str)
def test_last_keywords_beyond_the_header_are_left_out(
    keywords: list[str], prompt: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    options = transcribing(keywords=keywords, stt_language="hi", prompt=prompt)
    header = stt_header(options)
    sent = json.loads(header)["keywords"]
    assert options.request()["keywords"] == tuple(sent)
    assert 0 < len(sent) < 200 and sent == keywords[: len(sent)]
    assert len(f"X-Speko-Stt-Options: {header}") < 7_000
    assert len(header) + len(json.dumps(keywords[len(sent)])) >= MAX_STT_OPTIONS_BYTES
    assert left_out(caplog) == [200 - len(sent)] * 2  # for the header, and for the keywords


def test_keywords_that_fit_are_all_sent_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = ENGLISH[:100]
    assert fit_keywords(words, language="en", prompt="Hotel.") == tuple(words)
    assert left_out(caplog) == []


def test_prompt_beyond_the_header_is_cut_at_a_space(
    caplog: pytest.LogCaptureFixture,
) -> None:
    prompt = (HINDI * 200)[:2000].strip()
    options = transcribing(prompt=prompt, stt_language="hi")
    header = stt_header(options)
    sent = json.loads(header)["prompt"]
    assert prompt.startswith(f"{sent} ")
    assert MAX_STT_OPTIONS_BYTES - 6 * len(HINDI) < len(header) <= MAX_STT_OPTIONS_BYTES
    assert left_out(caplog) == [len(prompt) - len(sent)]


def test_prompt_without_spaces_is_cut_between_characters() -> None:
    sent = transcribing(prompt="漢🙂" * 1000).request()["prompt"]
    assert sent and ("漢🙂" * 1000).startswith(sent) and len(sent) > 700


def test_astral_character_counts_as_its_two_escapes() -> None:
    options = transcribing(keywords=["🙂" * 100] * 10)
    assert len(stt_header(options)) <= MAX_STT_OPTIONS_BYTES
