"""Packets that overtake the news of who joined, as those of a page do that asks on joining."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livekit_plugins_speko import Speko
from livekit_plugins_speko.data_channel.early_packets import KEEP_S, MAX_KEPT, EarlyPackets
from livekit_plugins_speko.testing import LocalGateway, Reply
from tests.data_channel.sessions import make_channel, page_call
from tests.helpers.fake_room import (
    CALLER,
    STRANGER,
    FakeParticipant,
    FakeRoom,
    contextual_update,
    data_packet,
    overrides,
    user_message,
)

CONTEXT = contextual_update()["text"]


def empty_room() -> FakeRoom:
    """A room in which the agent is alone."""
    room = FakeRoom()
    room.remote_participants.clear()
    return room


async def test_overrides_that_come_before_their_sender_count() -> None:
    room = empty_room()
    channel = make_channel(room, allow_overrides=["language"])
    room.send(overrides(language="de-DE"), sender=None)
    room.join(CALLER)
    assert (await channel.overrides(timeout=0)).language == "de-DE"
    await channel.aclose()


async def test_context_that_comes_before_its_sender_is_used(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Around the clock."))
    room = empty_room()
    channel = make_channel(room)
    room.send(contextual_update(), sender=None)
    room.join(CALLER)
    async with page_call(speko, room=room, channel=channel) as call:
        room.send(user_message())
        await call.until(2)
    (request,) = gateway.requests_to("complete")
    assert any(CONTEXT in each["content"] for each in request.json["messages"])


async def test_packet_without_a_sender_is_not_of_somebody_who_was_there() -> None:
    """It is the server's then, or of another who joins: neither is the caller."""
    room = FakeRoom(CALLER)
    channel = make_channel(room, allow_overrides=["language"])
    room.send(overrides(language="de-DE"), sender=None)
    room.join(STRANGER)
    assert (await channel.overrides(timeout=0)).language is None
    await channel.aclose()


async def test_agent_that_joins_is_not_the_sender() -> None:
    room = empty_room()
    channel = make_channel(room, allow_overrides=["language"])
    room.send(overrides(language="de-DE"), sender=None)
    room.join("agent-2", kind=room.local_participant.kind)
    assert (await channel.overrides(timeout=0)).language is None
    await channel.aclose()


async def test_agent_that_joins_in_between_takes_nothing_away() -> None:
    room = empty_room()
    channel = make_channel(room, allow_overrides=["language"])
    room.send(overrides(language="de-DE"), sender=None)
    room.join("agent-2", kind=room.local_participant.kind)
    room.join(CALLER)
    assert (await channel.overrides(timeout=0)).language == "de-DE"
    await channel.aclose()


async def test_closed_channel_takes_nothing_from_who_joins() -> None:
    room = empty_room()
    channel = make_channel(room, allow_overrides=["language"])
    room.send(overrides(language="de-DE"), sender=None)
    waiting = asyncio.create_task(channel.overrides())
    await asyncio.sleep(0)
    await channel.aclose()
    room.join(CALLER)
    assert (await waiting).language is None


@pytest.mark.parametrize(("after_s", "taken"), [(KEEP_S, 1), (KEEP_S + 0.001, 0)])
def test_packets_are_kept_for_half_a_second(after_s: float, taken: int) -> None:
    early = EarlyPackets()
    early.keep(data_packet(b"{}"), 10.0)
    assert len(list(early.take(person(), 10.0 + after_s))) == taken


def test_few_and_small_packets_are_kept_and_taken_once() -> None:
    early, sender = EarlyPackets(), person()
    early.keep(data_packet(bytes(16 * 1024)), 0.0)
    for number in range(MAX_KEPT + 1):
        early.keep(data_packet(b"%d" % number), 0.0)
    taken = list(early.take(sender, 0.0))
    assert [int(packet.data) for packet in taken] == list(range(1, MAX_KEPT + 1))
    assert {packet.participant for packet in taken} == {sender}
    assert list(early.take(sender, 0.0)) == []


def person() -> Any:
    return FakeParticipant(CALLER)
