"""Somebody who calls: joins a room as any client does, talks from WAVs, and notes what comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from livekit import api, rtc
from typing_extensions import Self

from examples.stack import LiveKit
from tests.e2e.ears import Ears
from tests.e2e.microphone import Microphone, Spoken
from tests.e2e.words import FIXTURES

AGENT_STATE = "lk.agent.state"
TRANSCRIPTION = "lk.transcription"
FINAL = "lk.transcription_final"


@dataclass
class Segment:
    """One transcription stream: what somebody said, as it was told to the room. Monotonic times."""

    # Who said it.
    identity: str
    began_s: float
    # The words so far, and after each piece when it came.
    text: str = ""
    grew_s: list[float] = field(default_factory=list)
    # None while the stream is open; then whether it was marked as final.
    final: bool | None = None


def room_token(livekit: LiveKit, room: str, identity: str) -> str:
    """Mint the token with which somebody joins a room."""
    token = api.AccessToken(livekit.api_key, livekit.api_secret).with_identity(identity)
    return token.with_grants(api.VideoGrants(room_join=True, room=room)).to_jwt()


class Caller:
    """A participant with a microphone and ears, for one room. Enter it to join, leave it to go.

    All its times are those of `time.monotonic()`, in seconds. The agent is whoever else is there
    as an agent.
    """

    def __init__(
        self,
        livekit: LiveKit,
        room: str,
        *,
        identity: str = "caller",
        token: str | None = None,
    ) -> None:
        """Make a caller who has not joined.

        Args:
            livekit: The server.
            room: The name of the room.
            identity: Who joins.
            token: The token to join with; None mints one that asks for no agent by name.
        """
        self.identity = identity
        self._livekit = livekit
        self._token = token or room_token(livekit, room, identity)
        self._room = rtc.Room()
        self._microphone = Microphone()
        # The agents that were seen to join, by identity, and when.
        self.agents: dict[str, float] = {}
        # Agents that left, by identity, and when.
        self.left: dict[str, float] = {}
        # The agent's states, with the time at which each was told.
        self.states: list[tuple[float, str]] = []
        self.segments: list[Segment] = []
        # None until the agent's track is there.
        self.ears: Ears | None = None
        # Why this caller is not in the room any more; None while it is.
        self.disconnected: rtc.DisconnectReason.ValueType | None = None
        # Set whenever something was noted.
        self._noted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listen()

    def _listen(self) -> None:
        self._room.on("participant_connected", self._joined)
        self._room.on("participant_disconnected", self._gone)
        self._room.on("participant_attributes_changed", self._attributes)
        self._room.on("track_subscribed", self._track)
        self._room.on("disconnected", self._disconnected)
        self._room.register_text_stream_handler(TRANSCRIPTION, self._transcription)

    async def __aenter__(self) -> Self:
        """Join, and turn the microphone on."""
        await self._room.connect(self._livekit.url, self._token)
        for participant in self._room.remote_participants.values():
            self._joined(participant)
        await self._microphone.open(self._room)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Leave."""
        await self.leave()

    async def leave(self) -> None:
        """Leave the room as a client does who hangs up. May be called twice."""
        await self._microphone.aclose()
        await self._room.disconnect()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def say(self, name: str) -> Spoken:
        """Say one of the fixtures; returns when its last sound is on its way."""
        return await self._microphone.say(FIXTURES / f"{name}.wav")

    async def until(
        self, what: str, happened: Callable[[], object], within_s: float = 20.0
    ) -> float:
        """Wait until something was noted; returns the time.

        Raises:
            AssertionError: It was not, in time. The text has all that was noted.
        """
        deadline = time.monotonic() + within_s
        while not happened():
            self._noted.clear()
            try:
                await asyncio.wait_for(self._noted.wait(), deadline - time.monotonic())
            except asyncio.TimeoutError:
                raise AssertionError(f"{what}: not within {within_s:.0f} s\n{self}") from None
        return time.monotonic()

    async def agent_speaks(self, after_s: float = 0.0, within_s: float = 20.0) -> float:
        """Wait for the agent's first sound at or after a time; returns when it came."""
        await self.until(
            "the agent's voice", lambda: self._first_sound(after_s) is not None, within_s
        )
        return self._first_sound(after_s) or 0.0

    async def agent_done(self, after_s: float = 0.0, within_s: float = 45.0) -> float:
        """Wait until the agent spoke and listens again, silent; returns its last sound's time."""
        await self.agent_speaks(after_s, within_s)
        ears = self.ears
        assert ears is not None
        await self.until(
            "the end of the agent's reply",
            lambda: ears.quiet_for_s() > 0.6 and self.states[-1][1] == "listening",
            within_s,
        )
        return ears.last_sound()

    def said_by(self, identity: str, after_s: float = 0.0) -> list[Segment]:
        """What somebody said, as the room was told, beginning at or after a time."""
        return [s for s in self.segments if s.identity == identity and s.began_s >= after_s]

    @property
    def agent(self) -> str:
        """Who answers."""
        (identity,) = self.agents
        return identity

    def __str__(self) -> str:
        """All that was noted."""
        said = [f"{s.identity}: {s.text!r} ({s.final})" for s in self.segments]
        states = [f"{state} at {at_s:.2f}" for at_s, state in self.states]
        ears = f"heard {self.ears}" if self.ears else "no track"
        return "\n".join([f"{self.identity} at {time.monotonic():.2f}", *said, *states, ears])

    def _first_sound(self, after_s: float) -> float | None:
        return self.ears.first_sound(after_s) if self.ears else None

    def _note(self) -> None:
        self._noted.set()

    def _joined(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
            self.agents[participant.identity] = time.monotonic()
            if state := participant.attributes.get(AGENT_STATE):
                self.states.append((time.monotonic(), state))
            self._note()

    def _gone(self, participant: rtc.RemoteParticipant) -> None:
        self.left[participant.identity] = time.monotonic()
        self._note()

    def _attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if AGENT_STATE in changed:
            self.states.append((time.monotonic(), changed[AGENT_STATE]))
            self._note()

    def _track(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and participant.identity in self.agents:
            self.ears = Ears(self._note)
            self._run(self.ears.listen(track))

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.disconnected = reason
        self._note()

    def _transcription(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._run(self._read(reader, identity))

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        segment = Segment(identity, time.monotonic())
        self.segments.append(segment)
        async for piece in reader:
            segment.text += piece
            segment.grew_s.append(time.monotonic())
            self._note()
        segment.final = (reader.info.attributes or {}).get(FINAL) == "true"
        self._note()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
