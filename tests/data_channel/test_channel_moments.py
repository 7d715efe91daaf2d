"""`SpekoDataChannel` at rare moments: between its steps, without a caller, with a full queue."""

from __future__ import annotations

import asyncio
import logging

import pytest
from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    llm,
)

from livekit_plugins_speko import Speko
from livekit_plugins_speko.data_channel.channel import MAX_WAITING
from livekit_plugins_speko.data_channel.packets import OVERRIDES
from livekit_plugins_speko.testing import LocalGateway, Reply
from tests.data_channel.sessions import make_channel, page_call
from tests.helpers.fake_room import CALLER, FakeRoom, contextual_update, overrides, user_message

PROMPT = "Be brief."


def instructions(gateway: LocalGateway) -> str:
    """The first message of the last request to the model."""
    text: str = gateway.requests_to("complete")[-1].json["messages"][0]["content"]
    return text


async def test_prompt_that_comes_late_changes_the_instructions_alone(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Yes."))
    async with page_call(speko, allow_overrides=["prompt"]) as call:
        call.room.send(overrides(prompt=PROMPT))
        call.room.send(user_message())
        await call.until(2)
    assert instructions(gateway) == PROMPT
    assert gateway.requests_to("complete")[-1].json["intent"] == {"language": "en"}


async def test_overrides_between_the_wait_and_the_start_are_used(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Yes."))
    room = FakeRoom()
    channel = make_channel(room, allow_overrides=OVERRIDES)
    await channel.overrides(timeout=0)
    room.send(overrides(prompt=PROMPT))
    async with page_call(speko, room=room, channel=channel) as call:
        call.room.send(user_message())
        await call.until(2)
    assert instructions(gateway) == PROMPT


async def test_packet_waits_until_the_session_is_linked_to_its_caller(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Yes."))
    room = FakeRoom()
    channel = make_channel(room)
    room.send(contextual_update())
    del room.remote_participants[CALLER]
    async with page_call(speko, room=room, channel=channel) as call:
        for _ in range(5):
            await asyncio.sleep(0)
        assert [each.sender for each in channel._waiting if each.packet] == [CALLER]
        room.join(CALLER)
        room.send(user_message())
        await call.until(2)
    assert contextual_update()["text"] in str(gateway.requests_to("complete")[-1].json)


async def test_packets_beyond_the_most_that_may_wait_are_dropped_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    senders = [f"caller-{number}" for number in range(8)]
    room = FakeRoom(*senders)
    channel = make_channel(room)
    with caplog.at_level(logging.WARNING, "livekit.plugins.speko"):
        for sender in senders:
            for _ in range(10):
                room.send(contextual_update(), sender=sender)
    assert len(channel._waiting) == MAX_WAITING
    assert sum("60 wait already" in message for message in caplog.messages) == 1
    await channel.aclose()


async def test_blank_words_are_not_sent_to_an_older_client() -> None:
    room = FakeRoom()
    channel = make_channel(room, transcripts=True)
    session = AgentSession[None]()
    channel.start(session)
    blank = llm.ChatMessage(role="assistant", content=[" "])
    session.emit("conversation_item_added", ConversationItemAddedEvent(item=blank))
    words = UserInputTranscribedEvent(transcript=" ", is_final=True)
    session.emit("user_input_transcribed", words)
    assert not channel._outbox._waiting
    await channel.aclose()
