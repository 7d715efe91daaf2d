"""The participant of a room whose packets count."""

from __future__ import annotations

from typing import Any

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.types import ATTRIBUTE_PUBLISH_ON_BEHALF

_KINDS = frozenset(
    {
        rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
        rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
        rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
    }
)


class Caller:
    """The caller of a session: the participant that LiveKit linked it to."""

    def __init__(self, room: rtc.Room, session: AgentSession[Any]) -> None:
        """Follow the link of a session, which may not have been started yet."""
        self._room = room
        self._session = session
        # The participant linked last; it stays the caller while it reconnects.
        self._last: str | None = None

    def identity(self) -> str | None:
        """Return the caller's identity; None while the session is not linked to anyone yet.

        A session that has no room of its own is the first caller's in this one.
        """
        try:
            linked = self._session.room_io.linked_participant
        except RuntimeError:  # started without a room, or not started yet
            if self._last is None and self._session.agent_state != "initializing":
                self._last = next((each.identity for each in people(self._room)), None)
            return self._last
        if linked is not None:
            self._last = linked.identity
        return self._last


def is_caller(participant: rtc.RemoteParticipant, room: rtc.Room) -> bool:
    """Return True for a person, on a page or a phone: no agent, and no helper of one."""
    behalf = participant.attributes.get(ATTRIBUTE_PUBLISH_ON_BEHALF)
    return participant.kind in _KINDS and (
        behalf is None or not room.isconnected() or behalf != room.local_participant.identity
    )


def people(room: rtc.Room) -> list[rtc.RemoteParticipant]:
    """Return the people in a room, in the order in which they joined."""
    return [each for each in room.remote_participants.values() if is_caller(each, room)]
