"""Intents and constraints: accepted values, and the errors of the others."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import (
    Intent,
    OptimizeFor,
    PipelineConstraints,
    Speko,
    SpekoLLM,
    SpekoSTT,
    SpekoTTS,
    validate_constraints,
    validate_intent,
)

NO_LANGUAGE = "SpekoAdapter: intent.language is required (BCP-47 tag)"
KEYS = st.sampled_from(["language", "region", "optimizeFor", "allowedProviders", "stt"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS | st.text() | st.integers(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("language", ["en", "es-MX", "zh-Hant-TW", "anything the router takes"])
def test_any_tag_but_a_blank_one_is_a_language(language: str) -> None:
    assert validate_intent(Intent(language)) == Intent(language, None, None)


def test_intent_is_returned_unchanged() -> None:
    intent = Intent("en", "a-region-of-tomorrow", "cost")
    assert validate_intent(intent) is intent


def test_intent_is_immutable() -> None:
    intent = Intent("en")
    with pytest.raises(dataclasses.FrozenInstanceError):
        intent.language = "de"  # type: ignore[misc]


@pytest.mark.parametrize("optimize_for", get_args(OptimizeFor))
@pytest.mark.parametrize("key", ["optimize_for", "optimizeFor"])
def test_mapping_becomes_an_intent(key: str, optimize_for: OptimizeFor) -> None:
    mapping = {"language": "en-US", "region": "global", key: optimize_for}
    before = dict(mapping)
    assert validate_intent(mapping) == Intent("en-US", "global", optimize_for)
    assert mapping == before


def test_optimize_for_has_the_services_choices() -> None:
    assert get_args(OptimizeFor) == ("balanced", "accuracy", "latency", "cost")


@pytest.mark.parametrize("language", [None, "", " \t", 7, b"en", ["en"]])
@pytest.mark.parametrize("form", [Intent, lambda language: {"language": language}])
def test_language_that_is_none_is_refused(form: Any, language: Any) -> None:
    with pytest.raises(ValueError) as refused:
        validate_intent(form(language))
    assert str(refused.value) == NO_LANGUAGE


def test_mapping_without_a_language_is_refused() -> None:
    with pytest.raises(ValueError) as refused:
        validate_intent({"region": "global"})
    assert str(refused.value) == NO_LANGUAGE


@pytest.mark.parametrize(
    "intent",
    [
        Intent("en", optimize_for="speed"),  # type: ignore[arg-type]
        {"language": "en", "optimize_for": "speed"},
        {"language": "en", "optimizeFor": "speed"},
    ],
)
def test_unknown_optimize_for_is_refused_with_the_choices(intent: Any) -> None:
    with pytest.raises(ValueError) as refused:
        validate_intent(intent)
    assert str(refused.value) == (
        'SpekoAdapter: unknown optimize_for "speed". '
        "Expected one of: balanced, accuracy, latency, cost."
    )


@pytest.mark.parametrize(
    ("intent", "named"),
    [
        ({"language": "en", "optimise_for": "cost"}, '"optimise_for"'),
        ({"language": "en", "Region": "global"}, '"Region"'),
        ({"language": "en", 5: "global"}, '"5"'),
        ({"language": "en", "optimize_for": "cost", "optimizeFor": "cost"}, '"optimize_for" twice'),
        ({"language": "en", "region": " "}, "intent.region"),
        ({"language": "en", "region": 3}, "intent.region"),
        ("en", "got str"),
        (None, "got NoneType"),
        (["en"], "got list"),
    ],
)
def test_error_names_what_is_wrong(intent: Any, named: str) -> None:
    with pytest.raises(ValueError) as refused:
        validate_intent(intent)
    assert named in str(refused.value)
    assert str(refused.value).startswith("SpekoAdapter: ")


@given(ANYTHING)
def test_any_value_is_an_intent_or_a_value_error(anything: Any) -> None:
    for check in (validate_intent, validate_constraints):
        try:
            checked = check(anything)
        except ValueError:
            continue
        assert checked is None or isinstance(checked, Intent | PipelineConstraints)


@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
@pytest.mark.parametrize(
    ("intent", "named"), [({"language": " "}, "intent.language"), ({"lang": "en"}, '"lang"')]
)
async def test_every_adapter_checks_its_intent_in_the_constructor(
    speko: Speko, adapter: Any, intent: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        adapter(speko=speko, intent=intent)


@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
async def test_every_adapter_checks_its_constraints_in_the_constructor(
    speko: Speko, adapter: Any
) -> None:
    with pytest.raises(ValueError, match='unknown stage "asr"'):
        adapter(speko=speko, intent=Intent("en"), constraints={"allowedProviders": {"asr": []}})


@pytest.mark.parametrize(
    "constraints",
    [
        PipelineConstraints({"stt": ["deepgram:nova-3"], "tts": ["cartesia"]}),
        {"allowedProviders": {"stt": ["deepgram:nova-3"], "tts": ["cartesia"]}},
        {"allowed_providers": {"stt": ("deepgram:nova-3",), "tts": ["cartesia"]}},
    ],
)
def test_constraints_are_accepted_in_every_spelling(constraints: Any) -> None:
    expected = PipelineConstraints({"stt": ("deepgram:nova-3",), "tts": ("cartesia",)})
    assert validate_constraints(constraints) == expected


@pytest.mark.parametrize("empty", [{}, PipelineConstraints(), {"allowedProviders": {}}])
def test_constraints_may_allow_every_provider(empty: Any) -> None:
    assert validate_constraints(empty) == PipelineConstraints({})


def test_missing_constraints_are_none() -> None:
    assert validate_constraints(None) is None


def test_later_change_of_the_callers_lists_has_no_effect() -> None:
    providers = ["deepgram"]
    allowed = {"stt": providers}
    checked = validate_constraints({"allowedProviders": allowed})
    typed = validate_constraints(PipelineConstraints(allowed))  # type: ignore[arg-type]
    providers.append("openai")
    allowed["llm"] = ["groq"]
    assert checked == typed == PipelineConstraints({"stt": ("deepgram",)})


@pytest.mark.parametrize(
    ("constraints", "named"),
    [
        ({"allowed": {}}, 'unknown constraints key "allowed"'),
        ({"allowedProviders": {}, "allowed_providers": {}}, "both spellings"),
        ({"allowedProviders": None}, "got NoneType"),
        ({"allowedProviders": ["deepgram"]}, "got list"),
        ({"allowedProviders": {"vad": ["silero"]}}, 'unknown stage "vad"'),
        ({"allowedProviders": {"stt": "deepgram"}}, "allowed_providers['stt']"),
        ({"allowedProviders": {"tts": [""]}}, "allowed_providers['tts']"),
        ({"allowedProviders": {"llm": [1]}}, "allowed_providers['llm']"),
        ({"allowedProviders": {"llm": None}}, "allowed_providers['llm']"),
        (["deepgram"], "got list"),
        (PipelineConstraints({"vad": ["silero"]}), 'unknown stage "vad"'),  # type: ignore[dict-item]
    ],
)
def test_invalid_constraints_are_refused_by_name(constraints: Any, named: str) -> None:
    with pytest.raises(ValueError) as refused:
        validate_constraints(constraints)
    assert named in str(refused.value)
