"""A room without a server: the events and the participants that a session and a channel need."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from livekit import rtc

CALLER, STRANGER = "caller-1", "stranger-1"


class FakeParticipant:
    """A remote participant, as far as LiveKit's room I/O looks at one."""

    def __init__(self, identity: str, *, kind: int | None = None, **attributes: str) -> None:
        self.identity = self.sid = self.name = identity
        self.kind = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD if kind is None else kind
        self.attributes = attributes
        self.disconnect_reason: int | None = None
        self.track_publications: dict[str, Any] = {}


class FakeLocalParticipant:
    """The agent's own participant, which keeps what it published."""

    def __init__(self) -> None:
        self.identity = self.sid = "agent-1"
        self.kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        # (packet, recipients, topic), in order.
        self.published: list[tuple[dict[str, Any], list[str], str]] = []
        self.failure: Exception | None = None
        self.came = asyncio.Event()

    async def publish_data(
        self,
        payload: bytes,
        *,
        reliable: bool = True,
        destination_identities: list[str] | None = None,
        topic: str = "",
    ) -> None:
        if self.failure is not None:
            raise self.failure
        assert reliable and len(payload) <= 15 * 1024
        self.published.append((json.loads(payload), destination_identities or [], topic))
        self.came.set()

    async def send_bytes(self, data: bytes, **options: Any) -> None:
        """Accept LiveKit's own messages about the session."""

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        """Accept the agent's state."""

    def set_rpc_interceptor(self, *_: Any) -> None: ...


class FakeRoom(rtc.EventEmitter[str]):
    """A connected room. Packets come through `send`."""

    def __init__(self, *identities: str) -> None:
        super().__init__()
        self.name = self.sid = "room-1"
        self.remote_participants: dict[str, Any] = {}
        self.local_participant: Any = FakeLocalParticipant()
        for identity in identities or (CALLER,):
            self.join(identity)

    @property
    def published(self) -> list[tuple[dict[str, Any], list[str], str]]:
        published: list[tuple[dict[str, Any], list[str], str]] = self.local_participant.published
        return published

    def isconnected(self) -> bool:
        return True

    def join(self, identity: str, **options: Any) -> FakeParticipant:
        """Let a participant join."""
        participant = FakeParticipant(identity, **options)
        self.remote_participants[identity] = participant
        self.emit("participant_connected", participant)
        return participant

    def send(self, packet: Any, *, sender: str | None = CALLER, topic: str | None = "") -> None:
        """Deliver a packet: a mapping as JSON, bytes as they are. No sender means the server.

        Unlike LiveKit's emitter it lets every exception of a callback through.
        """
        data = packet if isinstance(packet, bytes) else json.dumps(packet).encode()
        participant = None if sender is None else self.remote_participants[sender]
        event = data_packet(data, participant, topic)
        for callback in list(self._events.get("data_received", {})):
            callback(event)

    def register_text_stream_handler(self, topic: str, handler: Any) -> None: ...

    def unregister_text_stream_handler(self, topic: str) -> None: ...

    def register_byte_stream_handler(self, topic: str, handler: Any) -> None: ...

    def unregister_byte_stream_handler(self, topic: str) -> None: ...


def data_packet(data: bytes, participant: Any = None, topic: str | None = "") -> rtc.DataPacket:
    """A reliable packet; no participant means the server, or somebody not known yet."""
    return rtc.DataPacket(data, rtc.DataPacketKind.KIND_RELIABLE, participant, topic)


def user_message(text: str = "Are you open?") -> dict[str, Any]:
    return {"type": "user_message", "text": text}


def contextual_update(text: str = "The caller looks at room 12.") -> dict[str, Any]:
    return {"type": "contextual_update", "text": text}


def overrides(*, tts: dict[str, Any] | None = None, **agent: Any) -> dict[str, Any]:
    """Overrides in the wire's spelling."""
    return {"type": "overrides", "overrides": {"agent": agent, "tts": tts or {}}}
