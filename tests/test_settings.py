"""`SessionSettings`: a job's metadata, a hosted agent, and the arguments for the components."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import vad

from livekit_plugins_speko import (
    Intent,
    PipelineConstraints,
    SessionSettings,
    Speko,
    create_speko_components,
)
from livekit_plugins_speko.data_channel.packets import Overrides
from livekit_plugins_speko.testing import LocalGateway

CAMEL = {
    "sessionId": "s-1",
    "intent": {"language": "es-MX", "region": "global", "optimizeFor": "cost"},
    "constraints": {"allowedProviders": {"stt": ["deepgram"]}},
    "voice": "sophia",
    "systemPrompt": "Sé breve.",
    "firstMessage": "",
    "agentId": "a-1",
}
SNAKE = {
    "session_id": "s-1",
    "intent": {"language": "es-MX", "region": "global", "optimize_for": "cost"},
    "constraints": {"allowed_providers": {"stt": ["deepgram"]}},
    "voice": "sophia",
    "system_prompt": "Sé breve.",
    "first_message": "",
    "agent_id": "a-1",
}
PROFILE = {
    "id": "a-1",
    "systemPrompt": "You are the front desk.",
    "firstMessage": "Hello.",
    "voice": "max",
    "intent": {"language": "de", "optimizeFor": "latency", "new": 1},
    "llmOptions": {"temperature": 0, "maxTokens": 90, "model": "x"},
    "sttOptions": {"keywords": ["Speko"], "prompt": "Hotel.", "language": "de"},
    "ttsOptions": {"sampleRate": 24_000, "speed": 1.1},
}


def read(found: Any, **options: Any) -> SessionSettings:
    return SessionSettings.from_metadata(json.dumps(found), **options)


@pytest.mark.parametrize("spelling", [CAMEL, SNAKE], ids=["camel", "snake"])
def test_metadata_is_parsed_in_both_spellings(spelling: dict[str, Any]) -> None:
    assert read(spelling) == SessionSettings(
        session_id="s-1",
        intent=Intent("es-MX", "global", "cost"),
        constraints=PipelineConstraints({"stt": ("deepgram",)}),
        voice="sophia",
        system_prompt="Sé breve.",
        first_message="",
        agent_id="a-1",
    )


@pytest.mark.parametrize("metadata", ["", "  ", None, "{}", json.dumps(dict.fromkeys(CAMEL))])
def test_empty_metadata_means_the_defaults(metadata: str | None) -> None:
    assert SessionSettings.from_metadata(metadata) == SessionSettings()
    named = SessionSettings.from_metadata(metadata, intent={"language": "en"})
    assert named == SessionSettings(intent=Intent("en"))


def test_intent_of_the_metadata_wins() -> None:
    assert read(CAMEL, intent=Intent("en")).intent == Intent("es-MX", "global", "cost")


def test_unknown_keys_are_ignored_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "livekit.plugins.speko"):
        assert read({"voice": "sophia", "new": "secret"}) == SessionSettings(voice="sophia")
    (record,) = caplog.records
    assert record.__dict__["key"] == "new" and "secret" not in caplog.text


def test_unknown_keys_of_an_intent_are_ignored_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "livekit.plugins.speko"):
        settings = read({"intent": {"language": "en", "optimizeFor": "cost", "new": "secret"}})
    assert settings == SessionSettings(intent=Intent("en", optimize_for="cost"))
    (record,) = caplog.records
    assert record.__dict__["key"] == "intent.new" and "secret" not in caplog.text


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ("{", "the job's metadata must be a JSON object: "),
        ("[1]", "must be a JSON object: got a list"),
        ("[" * 100_000, "nested too deep"),
        ('{"voice": 7}', '"voice" must be a string, got 7'),
        ('{"systemPrompt": []}', '"systemPrompt" must be a string, got []'),
        ('{"intent": "en"}', "\"intent\" must be an object, got 'en'"),
        ('{"intent": {"language": ""}}', '"intent" can\'t be used: '),
        ('{"constraints": {"allowed": {}}}', 'unknown constraints key "allowed"'),
        ('{"agentId": "a", "agent_id": "b"}', '"agent_id" in both spellings'),
        ('{"sessionId": "ü"}', "must be printable ASCII"),
    ],
)
def test_invalid_metadata_is_refused_with_a_reason(metadata: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        SessionSettings.from_metadata(metadata)
    assert says in str(caught.value)


@given(st.text() | st.dictionaries(st.sampled_from([*CAMEL, *SNAKE]), st.text()).map(json.dumps))
def test_any_text_is_parsed_or_refused(metadata: str) -> None:
    try:
        SessionSettings.from_metadata(metadata)
    except ValueError:
        pass


def test_hosted_agent_fills_missing_settings() -> None:
    filled = SessionSettings(voice="sophia").with_agent(PROFILE)
    assert filled == SessionSettings(
        intent=Intent("de", optimize_for="latency"),
        voice="sophia",
        system_prompt="You are the front desk.",
        first_message="Hello.",
        agent_id="a-1",
        llm={"temperature": 0, "max_tokens": 90},
        tts_options={"sample_rate": 24_000, "speed": 1.1},
        stt_options={"keywords": ["Speko"], "prompt": "Hotel.", "language": "de"},
    )


def test_settings_of_the_metadata_win_over_the_agents() -> None:
    settings = read(CAMEL)
    filled = settings.with_agent(PROFILE)
    assert all(getattr(filled, name) == getattr(settings, name) for name in SNAKE)


async def test_hosted_agent_is_fetched_from_the_service(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.register_agent("a-1", PROFILE)
    agent = await speko.agents.get("a-1")
    assert SessionSettings().with_agent(agent) == SessionSettings().with_agent(PROFILE)


def test_overrides_of_a_page_replace_the_settings() -> None:
    asked = Overrides(prompt="Be brief.", first_message="", language="es", voice="v", speed=0.5)
    settings = SessionSettings(intent=Intent("en", "global"), tts_options={"sample_rate": 24_000})
    assert settings.with_overrides(Overrides()) == settings
    assert settings.with_overrides(asked) == SessionSettings(
        intent=Intent("es", "global"),
        voice="v",
        system_prompt="Be brief.",
        first_message="",
        tts_options={"sample_rate": 24_000, "speed": 0.5},
    )
    assert SessionSettings().with_overrides(Overrides(language="es")) == SessionSettings()


@pytest.mark.parametrize(
    ("profile", "left"),
    [
        ({"intent": {"language": "de", "optimizeFor": "quality"}}, {"intent": Intent("de")}),
        (
            {"intent": {"language": "de", "region": "us-east4", "optimizeFor": "quality"}},
            {"intent": Intent("de", "us-east4")},
        ),
        (
            {"intent": {"language": "de", "region": "", "optimizeFor": "cost"}},
            {"intent": Intent("de", optimize_for="cost")},
        ),
        ({"intent": {"optimizeFor": "quality"}}, {}),
        ({"ttsOptions": {"sampleRate": 1, "speed": 1.1}}, {"tts_options": {"speed": 1.1}}),
        ({"llmOptions": {"temperature": 9, "maxTokens": 5}}, {"llm": {"max_tokens": 5}}),
        ({"ttsOptions": {"speed": "fast"}}, {}),
        ({"systemPrompt": " ", "voice": 7, "id": 5, "sttOptions": []}, {}),
    ],
)
def test_unusable_fields_of_an_agent_are_left_out(profile: Any, left: dict[str, Any]) -> None:
    assert SessionSettings().with_agent(profile) == SessionSettings(**left)


def test_log_names_the_part_of_an_intent_that_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "livekit.plugins.speko"):
        SessionSettings().with_agent({"intent": {"language": "de", "optimizeFor": "quality"}})
    (record,) = caplog.records
    assert record.__dict__["parts"] == ["optimizeFor"]


async def test_components_are_made_of_the_settings(speko: Speko, voice_detector: vad.VAD) -> None:
    settings = read(CAMEL).with_agent(PROFILE)
    arguments = settings.for_components(stt_options={"eager": True, "language": "es"})
    components = create_speko_components(speko=speko, vad=voice_detector, **arguments)
    assert arguments["stt_options"] == {
        **{"keywords": ["Speko"], "prompt": "Hotel.", "language": "es", "eager": True},
    }
    await components.aclose()


def test_unset_settings_are_not_passed_as_arguments() -> None:
    assert SessionSettings(intent=Intent("en")).for_components() == {"intent": Intent("en")}


def test_components_without_an_intent_are_refused() -> None:
    with pytest.raises(ValueError, match="intent is missing, expected one in the job's metadata"):
        SessionSettings().for_components()
