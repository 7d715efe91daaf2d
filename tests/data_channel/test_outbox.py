"""`Outbox`: packets are sent in order, and none of them outlives the room or the channel."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import AgentSession

from livekit_plugins_speko.data_channel.outbox import Outbox
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.data_channel.sessions import WITHIN_S, make_channel
from tests.helpers.fake_room import CALLER, FakeLocalParticipant, FakeRoom


class StuckParticipant(FakeLocalParticipant):
    """A participant whose packets are never confirmed."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = False

    async def publish_data(self, payload: bytes, **_: Any) -> None:
        self.came.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True


class GoneRoom(FakeRoom):
    """A room that the agent has left."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    def isconnected(self) -> bool:
        self.asked.set()
        return False


def make_outbox(room: FakeRoom) -> Outbox:
    return Outbox(room)  # type: ignore[arg-type]


async def test_packets_are_sent_in_order() -> None:
    room = FakeRoom()
    outbox = make_outbox(room)
    outbox.send(b'{"n": 1}', to=CALLER, topic=None)
    outbox.send(b'{"n": 2}', to=CALLER, topic="speko.control")
    while len(room.published) < 2:
        room.local_participant.came.clear()
        await within(room.local_participant.came.wait(), WITHIN_S, "a packet")
    assert room.published == [({"n": 1}, [CALLER], ""), ({"n": 2}, [CALLER], "speko.control")]
    await outbox.aclose()


async def test_close_cancels_a_packet_that_is_never_confirmed_and_drops_the_rest() -> None:
    room = FakeRoom()
    stuck = room.local_participant = StuckParticipant()
    outbox = make_outbox(room)
    outbox.send(b"1", to=CALLER, topic=None)
    outbox.send(b"2", to=CALLER, topic=None)
    await within(stuck.came.wait(), WITHIN_S, "a packet")
    await within(outbox.aclose(), WITHIN_S, "the close")
    assert stuck.cancelled and not outbox._waiting and outbox._task is None


async def test_closed_outbox_sends_nothing() -> None:
    room = FakeRoom()
    outbox = make_outbox(room)
    await outbox.aclose()
    outbox.send(b"1", to=CALLER, topic=None)
    assert outbox._task is None and room.published == []


async def test_room_that_is_gone_gets_no_packet() -> None:
    room = GoneRoom()
    outbox = make_outbox(room)
    outbox.send(b"1", to=CALLER, topic=None)
    await within(room.asked.wait(), WITHIN_S, "the look at the room")
    await outbox.aclose()
    assert room.published == []


@pytest.mark.parametrize("turns", range(1, 4))
async def test_channel_whose_closing_is_cancelled_sends_no_more(turns: int) -> None:
    room = FakeRoom()
    stuck = room.local_participant = StuckParticipant()
    channel = make_channel(room)
    channel.start(AgentSession[None]())
    channel._outbox.send(b"1", to=CALLER, topic=None)
    await within(stuck.came.wait(), WITHIN_S, "a packet")
    closing = asyncio.create_task(channel.aclose())
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await asyncio.sleep(0)
    assert stuck.cancelled
