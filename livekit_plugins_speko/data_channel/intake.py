"""The packets of a room that are read: small, of this protocol, and no more than a person sends."""

from __future__ import annotations

import time

from livekit import rtc

from .once_log import OnceLog
from .pace import Pace
from .packets import MAX_PACKET_BYTES, Packet, parse_packet

MAX_PACKETS_A_SECOND = 10
"""Most packets of a page that are taken in any second."""

MAX_PARSED_A_SECOND = 100
"""Most packets that are looked at in any second. Others than Speko's are among them."""

MAX_SENDERS = 60
"""Most participants whose packets are looked at. Those of later ones are dropped."""


class Intake:
    """Reads packets, bounded for each participant. Used by callbacks of one loop; never raises."""

    def __init__(self, log: OnceLog) -> None:
        """Read packets; `log` names why some are dropped."""
        self._log = log
        # Paces by participant: all packets, and those of this protocol.
        self._looked: dict[str, Pace] = {}
        self._taken: dict[str, Pace] = {}

    def read(self, packet: rtc.DataPacket, sender: str) -> Packet | None:
        """Parse a packet; None for one that is for others, malformed, too large or one too many."""
        now = time.monotonic()
        if len(packet.data) > MAX_PACKET_BYTES:
            self._log.warn("packets of more than 15 KiB are ignored")
            return None
        if not _allows(self._looked, sender, MAX_PARSED_A_SECOND, now):
            return None
        parsed = parse_packet(packet.data)
        if parsed is not None and not _allows(self._taken, sender, MAX_PACKETS_A_SECOND, now):
            self._log.warn("packets that come faster than 10 a second are dropped")
            return None
        return parsed


def _allows(paces: dict[str, Pace], sender: str, per_second: int, now: float) -> bool:
    """Return True if a sender may send one more. Of too many senders the latest may not."""
    if sender not in paces and len(paces) >= MAX_SENDERS:
        return False
    return paces.setdefault(sender, Pace(per_second)).allows(now)
