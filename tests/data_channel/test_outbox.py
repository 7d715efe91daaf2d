"""`Outbox`: packets are sent in order, and none of them outlives the room or the channel."""

from __future__ import annotations

import asyncio
from typing import Any

from livekit_plugins_speko.data_channel.outbox import Outbox
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.data_channel.sessions import WITHIN_S
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
