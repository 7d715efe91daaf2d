"""`SpekoDataChannel`: the data packets of a page with Speko's client."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    llm,
)

from .._checks import check_number
from .actions import Actions
from .caller import Caller, is_caller, people
from .early_packets import EarlyPackets
from .intake import Intake
from .once_log import OnceLog
from .outbox import Outbox
from .packets import (
    TOPICS,
    Overrides,
    OverridesPacket,
    Packet,
    UserMessage,
    build_agent_message,
    build_transcript,
)
from .page_context import PageContext
from .wishes import Wishes

MAX_WAITING = 60
"""Most packets that wait to be acted on. Further ones are dropped."""

LOOK_S = 0.1
"""Time between two looks for the caller while packets wait, in seconds. LiveKit has no event."""


@dataclass(frozen=True)
class _Waiting:
    """A packet to be acted on. One that is None means: another agent took over."""

    packet: Packet | None
    sender: str
    topic: str | None


class SpekoDataChannel:
    """Acts on the data packets that a page with Speko's client sends to its agent.

    Anyone who joins a room can send packets, so the caller's alone count, their settings only
    where the author allows them, and no more of them than a person sends. It listens from its
    construction on: make it before ``ctx.connect()``, since packets are not stored for those who
    join later. Make one for each job, on the job's event loop, and close it after the session.
    """

    def __init__(
        self, room: rtc.Room, *, allow_overrides: Collection[str] = (), transcripts: bool = False
    ) -> None:
        """Listen to a room.

        Args:
            room: The job's room, connected or not yet.
            allow_overrides: Settings that a page may change: some of ``prompt``,
                ``first_message``, ``language``, ``voice`` and ``speed``. Default: none, since any
                page can ask for anything.
            transcripts: Also send ``transcript`` and ``agent_message``, which older clients need.
                A newer one shows LiveKit's transcriptions, and would show each line twice.

        Raises:
            ValueError: An unknown name in `allow_overrides`.
        """
        self._room = room
        self._transcripts = transcripts
        self._log = OnceLog()
        self._wishes = Wishes(allow_overrides, self._log)
        self._intake = Intake(self._log)
        # Packets to be acted on, oldest first, and set while there are any.
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._outbox = Outbox(room)
        self._context = PageContext()
        # The caller of the session. None before `start`.
        self._caller: Caller | None = None
        self._session: AgentSession[Any] | None = None
        # Acts on the packets. None before `start`.
        self._task: asyncio.Task[None] | None = None
        # True once no packet has an effect any more.
        self._closed = False
        # Packets of a page whose joining is not known yet.
        self._early = EarlyPackets()
        room.on("data_received", self._on_data)
        room.on("participant_connected", self._on_join)

    async def overrides(self, timeout: float = 0.5) -> Overrides:
        """Wait for the settings that the page asks for; it does so once, as it joins.

        Args:
            timeout: Longest wait, in seconds. There is none when no override is allowed, or once
                they came.

        Returns:
            The settings, those that are allowed; all None when nothing came in time.

        Raises:
            ValueError: A timeout that is no number.
        """
        check_number("SpekoDataChannel: timeout", timeout, required=True)
        return await self._wishes.wait(timeout)

    def start(self, session: AgentSession[Any], components: Any | None = None) -> None:
        """Act on the packets from now on, before or after the session's own start.

        Args:
            session: The job's session.
            components: What `create_speko_components` made, for overrides that come later.
                Default: the session's own parts.

        Raises:
            RuntimeError: It was started already, or closed.
        """
        if self._session is not None or self._closed:
            raise RuntimeError("SpekoDataChannel: started or closed already; make one a session.")
        self._session = session
        self._caller = Caller(self._room, session)
        for late, sender in self._wishes.not_returned():
            self._wait_for_turn(late, sender, None)
        session.on("agent_state_changed", self._on_state)
        session.on("conversation_item_added", self._on_item)
        session.on("user_input_transcribed", self._on_transcript)
        session.on("close", self._on_close)
        self._task = asyncio.create_task(
            self._run(session, self._caller, components), name="speko_data_channel"
        )

    async def aclose(self) -> None:
        """Stop to listen, and drop what waits. Safe to call twice."""
        self._stop()
        if self._task is not None:
            self._task.cancel()
        await self._outbox.aclose()  # it cancels its own task before it waits, too
        if self._task is not None:
            await asyncio.wait([self._task])

    def _stop(self) -> None:
        self._closed = True
        self._waiting.clear()
        self._wishes.end()
        self._room.off("data_received", self._on_data)
        self._room.off("participant_connected", self._on_join)
        if self._session is not None:
            self._session.off("agent_state_changed", self._on_state)
            self._session.off("conversation_item_added", self._on_item)
            self._session.off("user_input_transcribed", self._on_transcript)
            self._session.off("close", self._on_close)

    def _on_data(self, packet: rtc.DataPacket) -> None:
        """Take a packet of the room, if it is the caller's and one of this protocol."""
        participant = packet.participant
        if self._closed or packet.topic not in TOPICS:
            return
        if participant is None:
            if not people(self._room):
                self._early.keep(packet, time.monotonic())
            return
        if not self._may_be_caller(participant):
            self._log.warn("packets of a participant who is not the caller are ignored")
            return
        parsed = self._intake.read(packet, participant.identity)
        if parsed is not None:
            self._take(parsed, participant.identity, packet.topic)

    def _on_join(self, participant: rtc.RemoteParticipant) -> None:
        """Take what the first person has sent already."""
        if people(self._room) == [participant]:
            for packet in self._early.take(participant, time.monotonic()):
                self._on_data(packet)

    def _may_be_caller(self, participant: rtc.RemoteParticipant) -> bool:
        if self._caller is None:
            return is_caller(participant, self._room)
        known = self._caller.identity()
        return known is None or known == participant.identity

    def _take(self, packet: Packet, sender: str, topic: str | None) -> None:
        taken: Packet | None = packet
        if isinstance(packet, OverridesPacket):
            taken = self._wishes.take(packet, sender)
        # Before the start, overrides are kept, and nobody could answer a message.
        early = self._session is None and isinstance(packet, OverridesPacket | UserMessage)
        if taken is not None and not early:
            self._wait_for_turn(taken, sender, topic)

    def _wait_for_turn(self, packet: Packet | None, sender: str, topic: str | None) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._log.warn("packets are dropped, since 60 wait already")
            return
        self._waiting.append(_Waiting(packet, sender, topic))
        self._wake.set()

    def _on_state(self, event: AgentStateChangedEvent) -> None:
        self._wake.set()

    def _on_close(self, event: CloseEvent) -> None:
        self._stop()
        self._wake.set()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        """Follow the session to another agent, and send an older client the reply as heard."""
        item = event.item
        if isinstance(item, llm.AgentHandoff):
            self._wait_for_turn(None, "", None)
        elif isinstance(item, llm.ChatMessage) and item.role == "assistant":
            self._context.note_reply(item)
            if text := (item.text_content or "").strip():
                self._send_transcript(build_agent_message(text, final=True))

    def _on_transcript(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            packet = build_transcript("user", event.transcript, final=event.is_final)
            self._send_transcript(packet)

    def _send_transcript(self, payload: bytes) -> None:
        caller = None if self._caller is None else self._caller.identity()
        if self._transcripts and caller is not None:
            self._outbox.send(payload, to=caller, topic=None)

    async def _run(
        self, session: AgentSession[Any], caller: Caller, components: Any | None
    ) -> None:
        actions = Actions(session, components, self._context, self._outbox)
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and session.agent_state != "initializing":
                identity = caller.identity()
                if identity is None:
                    await asyncio.sleep(LOOK_S)
                    continue
                waiting = self._waiting.popleft()
                if waiting.packet is None or waiting.sender == identity:
                    await actions.act(waiting.packet, waiting.sender, waiting.topic)
