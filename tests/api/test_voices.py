"""`Speko.voices` and `Speko.agents.get`: the catalogue, and a hosted agent."""

from __future__ import annotations

from typing import Any

import pytest

from livekit_plugins_speko import Speko, SpekoApiError
from livekit_plugins_speko.api.voices import Voice, VoiceProvider
from livekit_plugins_speko.testing import JsonAnswer, LocalGateway

SOPHIA = {"vendor": "cartesia", "id": "sophia", "name": "Sophia"}
PROVIDER = {"key": "cartesia", "name": "Cartesia", "models": ["sonic"], "voicesFetchedLive": True}
PROFILE = {
    "systemPrompt": "You are the front desk.",
    "firstMessage": "",
    "voice": "sophia",
    "intent": {"language": "en", "optimizeFor": "latency"},
    "llmOptions": {"temperature": 0.3},
    "sttOptions": {"keywords": ["Speko"]},
    "ttsOptions": {"speed": 1.1},
    "somethingNew": 1,
}


async def test_voices_have_the_attributes_of_the_official_sdk(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.voices.script(JsonAnswer({"voices": [SOPHIA], "providers": [PROVIDER]}))
    found = await speko.voices.list()
    assert found.voices == (Voice(vendor="cartesia", id="sophia", name="Sophia"),)
    assert found.providers == (
        VoiceProvider(key="cartesia", name="Cartesia", models=("sonic",), voices_fetched_live=True),
    )


async def test_voices_of_one_provider(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_voices([SOPHIA, {**SOPHIA, "vendor": "a&b", "id": "max"}])
    found = await speko.voices.list(provider="a&b")
    assert [voice.id for voice in found.voices] == ["max"]
    assert gateway.requests[0].query == {"provider": "a&b"}


async def test_unreadable_entries_are_left_out(gateway: LocalGateway, speko: Speko) -> None:
    rows = [SOPHIA, 5, {"name": "x"}]
    gateway.voices.script(JsonAnswer({"voices": rows, "providers": [{"key": 1}, "x"]}))
    found = await speko.voices.list()
    assert [voice.id for voice in found.voices] == ["sophia"]
    assert found.providers == ()


@pytest.mark.parametrize("answer", [[], {}, {"voices": "x"}])
async def test_catalogue_without_voices_is_an_error(
    gateway: LocalGateway, speko: Speko, answer: Any
) -> None:
    gateway.voices.script(JsonAnswer(answer))
    with pytest.raises(SpekoApiError, match="can't be read"):
        await speko.voices.list()


async def test_hosted_agent_has_its_settings(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_agent("a/1", PROFILE)
    agent = await speko.agents.get("a/1")
    assert (agent.id, agent.name) == ("a/1", "a/1")
    assert (agent.system_prompt, agent.first_message) == ("You are the front desk.", "")
    assert (agent.voice, agent.intent) == ("sophia", PROFILE["intent"])
    assert agent.llm_options == PROFILE["llmOptions"]
    assert agent.stt_options == PROFILE["sttOptions"]
    assert agent.tts_options == PROFILE["ttsOptions"]
    assert agent.fields["somethingNew"] == 1


async def test_fields_of_another_type_count_as_unset(gateway: LocalGateway, speko: Speko) -> None:
    gateway.agents.script(JsonAnswer({"systemPrompt": 1, "intent": "en", "sttOptions": []}))
    agent = await speko.agents.get("a-1")
    assert agent.id == "a-1"
    assert [agent.system_prompt, agent.intent, agent.stt_options] == [None] * 3


async def test_unknown_agent_is_an_error(gateway: LocalGateway, speko: Speko) -> None:
    with pytest.raises(SpekoApiError) as caught:
        await speko.agents.get("unknown")
    assert (caught.value.status, caught.value.code) == (404, "AGENT_NOT_FOUND")


@pytest.mark.parametrize("agent_id", ["", " ", ".", None])
async def test_invalid_agent_id_is_refused(
    gateway: LocalGateway, speko: Speko, agent_id: Any
) -> None:
    with pytest.raises(ValueError, match="must be the id of an agent"):
        await speko.agents.get(agent_id)
