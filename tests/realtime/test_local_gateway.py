"""A whole agent on `LocalGateway`, in each form of the wire."""

from __future__ import annotations

import pytest
from livekit.agents import AgentSession

from livekit_plugins_speko import Speko, SpekoRealtimeModel
from livekit_plugins_speko.testing import (
    AfterAudio,
    LocalGateway,
    RealtimeReply,
    RealtimeScript,
    ToolCall,
)
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.realtime_calls import WITHIN_S, Microphone, Speaker, clock, speech

CALL = ToolCall(id="c1", name="get_time", args="{}")


@pytest.mark.parametrize("provider", ["inworld", "xai", "google"])
async def test_caller_asks_and_the_model_replies_with_a_tool(
    gateway: LocalGateway, provider: str
) -> None:
    gateway.realtime.script(
        RealtimeScript(
            [
                AfterAudio(0.2),
                RealtimeReply(user="What time is it?", tool_calls=[CALL]),
                AfterAudio(0.4),
                RealtimeReply("It is noon.", audio=speech(0.3), chunk_bytes=1_501),
            ]
        )
    )
    changes = Changes()
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as client:
        model = SpekoRealtimeModel(speko=client, provider=provider, model="voice-1")
        session = AgentSession[None](llm=model, aec_warmup_duration=None)
        microphone, speaker = Microphone(), Speaker()
        session.input.audio, session.output.audio = microphone, speaker
        session.on("conversation_item_added", lambda _: changes.notify())
        session.on("function_tools_executed", lambda _: changes.notify())
        await session.start(agent=clock())
        microphone.push(speech(0.25))
        await within(changes.until(lambda: _has_result(session)), WITHIN_S, "the tool's result")
        microphone.push(speech(0.3))
        await within(changes.until(lambda: len(_lines(session)) == 2), WITHIN_S, "the reply")
        assert _lines(session) == [("user", "What time is it?"), ("assistant", "It is noon.")]
        assert speaker.played == speech(0.3)
        await session.aclose()
        await model.aclose()


def _has_result(session: AgentSession[None]) -> bool:
    return any(each.type == "function_call_output" for each in session.history.items)


def _lines(session: AgentSession[None]) -> list[tuple[str, str]]:
    return [(each.role, each.text_content or "") for each in session.history.messages()]
