"""Packets that reach the agent before LiveKit has told it who joined. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from livekit import rtc

from .packets import MAX_PACKET_BYTES

KEEP_S = 0.5
"""Longest time from a packet to the news of its sender, in seconds."""

MAX_KEPT = 10
"""Most packets that are kept. Then the oldest is dropped."""


class EarlyPackets:
    """Packets without a sender, which came while no person was in the room.

    A page sends its overrides as it joins, and they may overtake the news of its joining: then
    LiveKit has no participant for them, as for packets of the server. They are the first
    person's, who joins a moment later. Used by callbacks of one loop.
    """

    def __init__(self) -> None:
        # (time, packet), oldest first.
        self._kept: deque[tuple[float, rtc.DataPacket]] = deque(maxlen=MAX_KEPT)

    def keep(self, packet: rtc.DataPacket, now: float) -> None:
        """Keep a packet for whoever joins next."""
        if len(packet.data) <= MAX_PACKET_BYTES:
            self._kept.append((now, packet))

    def take(self, participant: rtc.RemoteParticipant, now: float) -> Iterator[rtc.DataPacket]:
        """Yield the packets of the first person who joined; keep none."""
        kept = list(self._kept)
        self._kept.clear()
        for came, packet in kept:
            if now - came <= KEEP_S:
                yield rtc.DataPacket(packet.data, packet.kind, participant, packet.topic)
