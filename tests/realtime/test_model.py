"""The model: its options, its names, and what LiveKit's fallback adapter makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents.llm import RealtimeModelFallbackAdapter
from spekoai import AsyncSpeko
from spekoai import Speko as SyncSpeko

from livekit_plugins_speko import Speko, SpekoRealtimeModel
from tests.helpers.realtime_calls import (
    INSTRUCTIONS,
    QUICK,
    agent,
    calling,
    clock,
    speech,
    tool_call,
    user,
)
from tests.helpers.realtime_server import RealtimeServer


def _model(**options: Any) -> SpekoRealtimeModel:
    return SpekoRealtimeModel(**{"speko": Speko(api_key="key"), **options})


async def test_names_are_spekos() -> None:
    routed, chosen = _model(), _model(provider="openai", model="gpt-realtime")
    assert (routed.label, routed.provider, routed.model) == (
        *("speko.RealtimeModel", "speko", "speko-router"),
    )
    assert chosen.model == "openai:gpt-realtime"
    assert chosen.capabilities.turn_detection
    assert not chosen.capabilities.supports_say


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"provider": "openai"}, "model"),
        ({"temperature": 2.5}, "temperature"),
        ({"input_sample_rate": 8000}, "input_sample_rate"),
        ({"ttl_seconds": 0}, "ttl_seconds"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"intent": {}}, "intent"),
    ],
)
async def test_option_that_cannot_be_used_raises_at_once(
    options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        _model(**options)


async def test_client_without_speech_to_speech_is_refused() -> None:
    with pytest.raises(TypeError, match="async"):
        _model(speko=SyncSpeko(api_key="key"))
    with pytest.raises(ValueError, match="provider and model"):
        _model(speko=AsyncSpeko(api_key="key"), intent={"language": "en"})


async def test_options_are_sent() -> None:
    async with calling(
        provider="acme",
        model="voice-1",
        voice="eve",
        temperature=0.0,
        input_sample_rate=16_000,
        intent={"language": "en"},
        metadata={"call": 7},
        ttl_seconds=600,
    ) as call:
        body, _ = call.server.requests[0]
        assert body["s2s"] == {
            "provider": "acme",
            "model": "voice-1",
            "voice": "eve",
            "temperature": 0.0,
            "inputSampleRate": 16_000,
            "outputSampleRate": 24_000,
            "systemPrompt": INSTRUCTIONS,
        }
        assert body["intent"] == {"language": "en"}
        assert (body["metadata"], body["ttlSeconds"]) == ({"call": 7}, 600)


async def test_fallback_adapter_connects_and_continues() -> None:
    server = RealtimeServer()
    async with server, server.client() as speko:
        spare = SpekoRealtimeModel(speko=speko, conn_options=QUICK)
        async with calling(
            wrap=lambda model: RealtimeModelFallbackAdapter([model, spare]), agent=clock()
        ) as call:
            body, _ = call.server.requests[0]
            assert [each["name"] for each in body["s2s"]["tools"]] == ["get_time"]
            assert call.prompt == INSTRUCTIONS
            await call.reply("Noon.", question="Time?")
            server.scripts = (call.line.serve,)
            await call.line.close(4401)
            await call.line.connected(2)
            prompt = server.requests[0][0]["s2s"]["systemPrompt"]
            assert "You: Noon." in prompt
            await call.reply("One.", question="And in Rome?")
            assert not call.closed


async def test_late_change_of_instructions_is_for_the_next_session() -> None:
    async with calling() as call:
        await call.session.current_agent.update_instructions("Be brief.")
        call.line.drop()
        await call.line.connected(2)
        assert call.prompt.startswith("Be brief.")


async def test_twenty_calls_in_a_process_stay_apart() -> None:
    async def talk(number: int) -> None:
        async with calling(agent=clock(lambda: f"result {number}")) as call:
            own = 0.1 + number / 100
            await call.reply(f"Reply {number}.", own, question=f"Question {number}?")
            assert call.speaker.played == speech(own)
            await call.line.say(tool_call(f"call{number}"))
            result = await call.line.until_message("tool_result")
            assert result == {
                "t": "tool_result",
                "callId": f"call{number}",
                "output": f"result {number}",
            }
            await call.line.say(speech(), agent("Done."))
            assert call.history[:2] == [
                ("user", f"Question {number}?"),
                ("assistant", f"Reply {number}."),
            ]

    await asyncio.gather(*(talk(number) for number in range(20)))


async def test_caller_who_leaves_in_each_state_leaves_nothing() -> None:
    for frames in (
        [],
        [user("Well", False)],
        [user("Well?"), speech(5.0)],
        [speech(5.0), agent("Once")],
        [user("Time?"), tool_call()],
    ):
        async with calling(agent=clock(asyncio.Event().wait)) as call:
            await call.line.say(*frames)
            if frames:
                await call.until(lambda: bool(call.states or call.lines))
    async with calling(connected=False):
        pass
