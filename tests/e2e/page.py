"""A page with Speko's client, as a participant: it sends data packets, and notes those it gets."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from livekit import api, rtc
from livekit.protocol.models import DataPacket

from examples.stack import LiveKit
from tests.e2e.caller import Caller, Segment
from tests.e2e.rooms import server_api

RELIABLE = DataPacket.Kind.RELIABLE


@dataclass(frozen=True)
class Received:
    """A packet that came, and when, by `time.monotonic()`."""

    packet: dict[str, Any]
    topic: str
    # Who sent it.
    identity: str
    at_s: float


class Page(Caller):
    """A caller whose page sends packets. It joins with the right to do so."""

    def __init__(self, livekit: LiveKit, room: str, *, identity: str = "caller") -> None:
        """Make a page that has not joined."""
        super().__init__(livekit, room, identity=identity)
        self.packets: list[Received] = []
        # What the caller typed, and when.
        self.typed: list[tuple[float, str]] = []
        self._room.on("data_received", self._packet)

    async def send(self, packet: Mapping[str, Any] | bytes, *, topic: str = "") -> float:
        """Send a packet: a mapping as JSON, bytes as they are; returns when it was sent."""
        payload = packet if isinstance(packet, bytes) else json.dumps(packet).encode()
        await self._room.local_participant.publish_data(payload, reliable=True, topic=topic)
        return time.monotonic()

    async def types(self, text: str, *, topic: str = "") -> float:
        """Send what the caller typed; returns when."""
        self.typed.append((time.monotonic(), text))
        return await self.send({"type": "user_message", "text": text}, topic=topic)

    async def tells(self, text: str) -> float:
        """Send context for the next reply; returns when."""
        return await self.send({"type": "contextual_update", "text": text})

    async def asks_for(self, *, tts: Mapping[str, Any] | None = None, **agent: Any) -> float:
        """Send overrides, in the wire's spelling; returns when."""
        return await self.send({"type": "overrides", "overrides": {"agent": agent, "tts": tts}})

    def conversation(self) -> list[tuple[str, str]]:
        """Who said what, in order, as this caller knows it: typed, spoken and heard."""
        lines = [(at_s, "user", text) for at_s, text in self.typed]
        for segment in self.segments:
            if segment.identity == self.identity and segment.final:
                lines.append((segment.began_s, "user", segment.text))
            elif segment.identity == self.agent and segment.final is not None and segment.text:
                lines.append((segment.began_s, "agent", segment.text))
        return [(who, text.strip()) for _, who, text in sorted(lines)]

    def got(self, kind: str, after_s: float = 0.0) -> list[Received]:
        """The packets of one type that came at or after a time."""
        return [p for p in self.packets if p.packet["type"] == kind and p.at_s >= after_s]

    async def reply(self, after_s: float, within_s: float = 20.0) -> Segment:
        """Wait for the agent's first whole line that began after a time, as the room is told."""

        def lines() -> list[Segment]:
            said = self.said_by(self.agent, after_s)
            return [segment for segment in said if segment.final is not None and segment.text]

        await self.until("the agent's reply", lambda: bool(lines()), within_s)
        return lines()[0]

    async def greeting(self, after_s: float, within_s: float = 40.0) -> Segment:
        """Wait for an agent, and its first whole line."""
        await self.until("the agent", lambda: self.agents, within_s)
        return await self.reply(after_s)

    def _packet(self, packet: rtc.DataPacket) -> None:
        sender = packet.participant.identity if packet.participant else ""
        found = json.loads(packet.data)
        self.packets.append(Received(found, packet.topic or "", sender, time.monotonic()))
        self._note()


async def send_from_server(
    livekit: LiveKit, room: str, packets: Sequence[Mapping[str, Any]]
) -> None:
    """Send packets into a room as LiveKit's server does for whoever has its key."""
    async with server_api(livekit) as client:
        for packet in packets:
            await client.room.send_data(
                api.SendDataRequest(room=room, data=json.dumps(packet).encode(), kind=RELIABLE)
            )
