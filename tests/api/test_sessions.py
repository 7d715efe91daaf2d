"""`Speko.sessions`: what a session is made of, what comes back, turns, transcripts and ends."""

from __future__ import annotations

import copy
from types import MappingProxyType
from typing import Any

import pytest

from livekit_plugins_speko import Intent, PipelineConstraints, Speko, SpekoApiError, VoiceSession
from livekit_plugins_speko.api.session_messages import parse_session
from livekit_plugins_speko.testing import JsonAnswer, LocalGateway, MintedSession, Refusal

TURN = {
    **{"index": 0, "source": "user", "text": "Are you open?"},
    "startedAt": "2026-11-28T20:00:00.000Z",
}


async def test_each_option_is_sent_in_the_wires_spelling(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.register_agent("agent-1", {"systemPrompt": "Be kind."})
    options: dict[str, Any] = {
        "agent_id": "agent-1",
        "intent": Intent("en-US", optimize_for="latency"),
        "constraints": PipelineConstraints({"stt": ["deepgram"]}),
        "voice": "sophia",
        "system_prompt": "Be brief.",
        "first_message": "",
        "variables": {"name": "Ada"},
        "llm": {"temperature": 0, "max_tokens": 200},
        "tts_options": {"sample_rate": 24_000, "speed": 1.5},
        "stt_options": {"keywords": ("Speko",), "language": "en"},
        "background_audio": {"ambient": {"clip": "office", "volume": 0.2}},
        "metadata": {"order": 7},
        "ttl_seconds": 60,
        "identity": "ada",
    }
    before = copy.deepcopy(options)
    session = await speko.sessions.create(**options)
    assert options == before
    assert gateway.requests[0].json == {
        "mode": "cascade",
        "agentId": "agent-1",
        "intent": {"language": "en-US", "optimizeFor": "latency"},
        "constraints": {"allowedProviders": {"stt": ["deepgram"]}},
        "voice": "sophia",
        "systemPrompt": "Be brief.",
        "firstMessage": "",
        "variables": {"name": "Ada"},
        "llm": {"temperature": 0, "maxTokens": 200},
        "ttsOptions": {"sampleRate": 24_000, "speed": 1.5},
        "sttOptions": {"keywords": ["Speko"], "language": "en"},
        "backgroundAudio": {"ambient": {"clip": "office", "volume": 0.2}},
        "metadata": {"order": 7},
        "ttlSeconds": 60,
        "identity": "ada",
    }
    assert session.identity == "ada" and session.transport == "livekit"
    assert gateway.session(session.session_id) is gateway.session()


async def test_unset_options_are_not_sent(gateway: LocalGateway, speko: Speko) -> None:
    await speko.sessions.create(intent={"language": "en"})
    assert gateway.requests[0].json == {"mode": "cascade", "intent": {"language": "en"}}


@pytest.mark.parametrize("old", [{}, {"transportToken": None, "transportUrl": None}])
async def test_names_of_an_older_service_are_parsed(
    gateway: LocalGateway, speko: Speko, old: dict[str, None]
) -> None:
    names = {"conversationToken": "old-token", "livekitUrl": "wss://old.example"}
    gateway.sessions.script(MintedSession(changes={**old, **names}))
    session = await speko.sessions.create(intent={"language": "en"})
    assert (session.transport_token == "old-token") == bool(old)
    assert (session.transport_url == "wss://old.example") == bool(old)


def make_session(**changes: Any) -> VoiceSession:
    fields = {
        **{"sessionId": "s-1", "transportToken": "secret-token", "transportUrl": "wss://x"},
        **{"roomName": "room", "identity": "ada", "expiresAt": "2026-11-28T20:00:00Z"},
    }
    return parse_session({**fields, **changes})


def test_token_is_in_the_browsers_mapping_but_not_in_the_repr() -> None:
    session = make_session()
    assert "secret-token" not in repr(session) and "s-1" in repr(session)
    assert session.for_browser() == {
        "transportToken": "secret-token",
        "transportUrl": "wss://x",
        "transport": "livekit",
    }
    assert make_session(transport="daily").for_browser()["transport"] == "daily"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sessionId": 5}, "has no sessionId"),
        ({"transportToken": None}, "has no transportToken"),
        ({"transportUrl": ""}, "has no transportUrl"),
    ],
)
def test_session_without_a_way_to_join_is_an_error(changes: Any, says: str) -> None:
    with pytest.raises(SpekoApiError, match=says) as caught:
        make_session(**changes)
    assert caught.value.code == "MALFORMED_RESPONSE"
    assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs an agent_id or an intent"),
        ({"agent_id": " "}, "needs an agent_id or an intent"),
        ({"intent": {"language": ""}}, "intent.language is required"),
        ({"agent_id": "a", "first_message": "x" * 2001}, "first_message has 2001 characters"),
        ({"agent_id": "a", "llm": {"temperature": 2.1}}, r'llm\["temperature"\] must be a number'),
        ({"agent_id": "a", "llm": {"top_p": 1}}, 'unknown option "top_p" in llm'),
        ({"agent_id": "a", "llm": []}, "llm must be a mapping"),
        ({"agent_id": "a", "tts_options": {"speed": 0.4}}, "from 0.5 to 2"),
        ({"agent_id": "a", "stt_options": {"keywords": ["x"] * 201}}, "has 201 words"),
        ({"agent_id": "a", "variables": {"n": 1}}, r'variables\["n"\] must be a string'),
        ({"agent_id": "a", "variables": {"n": None}}, r'variables\["n"\] must be a string'),
        ({"agent_id": "a", "ttl_seconds": 86_401}, "ttl_seconds must be a whole number"),
        ({"agent_id": "a", "identity": "x" * 129}, "identity has 129 characters"),
        ({"agent_id": "a", "identity": " "}, "identity must not be blank"),
        ({"agent_id": "a", "metadata": {"x": object()}}, "must be JSON"),
        ({"agent_id": "a", "metadata": "x"}, "metadata must be a mapping"),
    ],
)
async def test_invalid_option_sends_no_request(
    gateway: LocalGateway, speko: Speko, options: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await speko.sessions.create(**options)
    assert gateway.requests == []


async def test_error_of_the_service_has_its_code(gateway: LocalGateway, speko: Speko) -> None:
    with pytest.raises(SpekoApiError) as caught:
        await speko.sessions.create(agent_id="unknown")
    assert (caught.value.status, caught.value.code) == (404, "AGENT_NOT_FOUND")


async def test_echo_of_the_prompt_is_removed_from_errors(
    gateway: LocalGateway, speko: Speko
) -> None:
    prompt = "The secret of the hotel."
    gateway.sessions.script(Refusal(400, f"bad prompt: {prompt}", "VALIDATION_ERROR"))
    with pytest.raises(SpekoApiError, match="bad prompt: ") as caught:
        await speko.sessions.create(intent={"language": "en"}, system_prompt=prompt)
    assert prompt not in str(caught.value)


async def test_reported_turns_are_in_the_transcript(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_session("s 1")
    await speko.sessions.report_turns("s 1", [TURN, {**TURN, "index": 1, "source": "agent"}])
    entries = await speko.sessions.transcript("s 1")
    assert [(each["index"], each["source"]) for each in entries] == [(0, "user"), (1, "agent")]
    assert {each["text"] for each in entries} == {TURN["text"]}


@pytest.mark.parametrize("turns", [[], [TURN] * 201, TURN, "turns", [1]])
async def test_turns_that_the_service_does_not_accept_are_refused(
    gateway: LocalGateway, speko: Speko, turns: Any
) -> None:
    with pytest.raises(ValueError, match="turns must be"):
        await speko.sessions.report_turns("s-1", turns)
    assert gateway.requests == []


async def test_turns_of_an_unknown_session_are_an_error(
    gateway: LocalGateway, speko: Speko
) -> None:
    with pytest.raises(SpekoApiError) as caught:
        await speko.sessions.report_turns("unknown", [TURN])
    assert (caught.value.status, caught.value.code) == (404, "SESSION_NOT_FOUND")


async def test_session_is_ended_once(gateway: LocalGateway, speko: Speko) -> None:
    session = await speko.sessions.create(intent={"language": "en"})
    first = await speko.sessions.end(session.session_id)
    second = await speko.sessions.end(session.session_id)
    assert (first.status, second.status) == ("ending", "already_ended")


@pytest.mark.parametrize("answer", [{}, {"entries": None}, {"entries": ["x"]}, []])
async def test_unreadable_transcript_is_an_error(
    gateway: LocalGateway, speko: Speko, answer: Any
) -> None:
    gateway.register_session("s-1")
    gateway.transcript.script(JsonAnswer(answer))
    with pytest.raises(SpekoApiError, match="can't be read"):
        await speko.sessions.transcript("s-1")


@pytest.mark.parametrize("session_id", ["", " ", "..", None])
async def test_invalid_session_id_is_refused(
    gateway: LocalGateway, speko: Speko, session_id: Any
) -> None:
    for call in (speko.sessions.transcript, speko.sessions.end):
        with pytest.raises(ValueError, match="must be the id of a session"):
            await call(session_id)
    assert gateway.requests == []


async def test_options_that_are_none_are_left_out_and_any_mapping_is_written(
    gateway: LocalGateway, speko: Speko
) -> None:
    await speko.sessions.create(
        intent={"language": "en"},
        llm={"temperature": None},
        metadata={"caller": MappingProxyType({"tier": "gold"})},
    )
    (request,) = gateway.requests_to("sessions")
    assert request.json["metadata"] == {"caller": {"tier": "gold"}}
    assert "temperature" not in request.json.get("llm", {})
