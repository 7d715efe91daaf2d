"""`SpekoDataChannel`: the data packets of a page with Speko's client."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress
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

from .._aio import timeout
from .._checks import check_number
from ..log import logger
from .caller import Caller, is_caller, people
from .early_packets import EarlyPackets
from .late_overrides import apply_overrides
from .outbox import Outbox
from .pace import Pace
from .packets import (
    MAX_PACKET_BYTES,
    OVERRIDES,
    TOPICS,
    ContextualUpdate,
    Overrides,
    OverridesPacket,
    Packet,
    UserMessage,
    build_agent_message,
    build_echo,
    build_transcript,
    parse_packet,
)
from .page_context import PageContext

MAX_PACKETS_A_SECOND = 10
"""Most packets of a page that are taken in any second."""

MAX_PARSED_A_SECOND = 100
"""Most packets that are looked at in any second. Others than Speko's are among them."""

MAX_WAITING = 60
"""Most packets that wait to be acted on. Further ones are dropped."""

INTERRUPT_S = 2.0
"""Longest wait for an interruption, in seconds. A tool that runs on would hold up what follows; its
reply then comes first."""

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
        if isinstance(allow_overrides, str):
            raise ValueError(
                "SpekoDataChannel: allow_overrides must be a list of names, "
                f"got the string {allow_overrides!r}."
            )
        for name in allow_overrides:
            if name not in OVERRIDES:
                raise ValueError(
                    f"SpekoDataChannel: unknown name {name!r} in allow_overrides. "
                    f"Expected some of: {', '.join(OVERRIDES)}."
                )
        self._room = room
        self._allowed = frozenset(allow_overrides)
        self._transcripts = transcripts
        # What the page asked for so far, as far as it is allowed; set once anything came.
        self._overrides = Overrides()
        self._overrides_came = asyncio.Event()
        # Sender of the first overrides. Until the caller is known no other one's count.
        self._overrides_from: str | None = None
        # What `overrides()` has returned: it is not applied again by `start`.
        self._returned = Overrides()
        # Paces by participant: all packets, and those of this protocol.
        self._looked: dict[str, Pace] = {}
        self._taken: dict[str, Pace] = {}
        # Problems that the log has named.
        self._named: set[str] = set()
        # Packets to be acted on, oldest first, and set while there are any.
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._outbox = Outbox(room)
        self._context = PageContext()
        # The caller of the session. None before `start`.
        self._caller: Caller | None = None
        self._session: AgentSession[Any] | None = None
        self._components: Any | None = None
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
        if self._allowed and not self._closed:
            await _within(self._overrides_came, timeout)
        self._returned = self._overrides
        return self._overrides

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
        self._session, self._components = session, components
        self._caller = Caller(self._room, session)
        late = self._overrides
        if late != self._returned and self._overrides_from is not None:
            self._wait_for_turn(OverridesPacket(late), self._overrides_from, None)
        session.on("agent_state_changed", self._on_state)
        session.on("conversation_item_added", self._on_item)
        session.on("user_input_transcribed", self._on_transcript)
        session.on("close", self._on_close)
        self._task = asyncio.create_task(self._run(), name="speko_data_channel")

    async def aclose(self) -> None:
        """Stop to listen, and drop what waits. Safe to call twice."""
        self._stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._outbox.aclose()

    def _stop(self) -> None:
        self._closed = True
        self._waiting.clear()
        self._overrides_came.set()
        self._room.off("data_received", self._on_data)
        self._room.off("participant_connected", self._on_join)
        if self._session is not None:
            self._session.off("agent_state_changed", self._on_state)
            self._session.off("conversation_item_added", self._on_item)
            self._session.off("user_input_transcribed", self._on_transcript)
            self._session.off("close", self._on_close)

    # What comes in: synchronous callbacks, which never raise.

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
            self._name_once("packets of a participant who is not the caller are ignored")
            return
        sender, now = participant.identity, time.monotonic()
        if len(packet.data) > MAX_PACKET_BYTES:
            self._name_once("packets of more than 15 KiB are ignored")
            return
        if not _pace(self._looked, sender, MAX_PARSED_A_SECOND, now):
            return
        parsed = parse_packet(packet.data)
        if parsed is None:
            return
        if not _pace(self._taken, sender, MAX_PACKETS_A_SECOND, now):
            self._name_once("packets that come faster than 10 a second are dropped")
            return
        self._take(parsed, sender, packet.topic)

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
        if isinstance(packet, OverridesPacket):
            packet = OverridesPacket(self._allowed_of(packet))
            if not packet.overrides.given():
                return
            self._note_overrides(packet.overrides, sender)
            if self._session is None:
                return
        if self._session is None and isinstance(packet, UserMessage):
            return
        self._wait_for_turn(packet, sender, topic)

    def _allowed_of(self, packet: OverridesPacket) -> Overrides:
        dropped = sorted({*packet.overrides.given(), *packet.unusable} - self._allowed)
        if dropped:
            self._name_once("overrides that are not allowed are dropped", overrides=dropped)
        if unusable := sorted(self._allowed.intersection(packet.unusable)):
            self._name_once("overrides whose values can't be used are dropped", overrides=unusable)
        return packet.overrides.only(self._allowed)

    def _note_overrides(self, overrides: Overrides, sender: str) -> None:
        if self._overrides_from is None:
            self._overrides_from = sender
        if self._overrides_from == sender:
            self._overrides = self._overrides.updated(overrides)
            self._overrides_came.set()

    def _wait_for_turn(self, packet: Packet | None, sender: str, topic: str | None) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._name_once("packets are dropped, since 60 wait already")
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

    # What is done about it: one task, one packet after another.

    async def _run(self) -> None:
        assert self._session is not None and self._caller is not None
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and self._session.agent_state != "initializing":
                caller = self._caller.identity()
                if caller is None:
                    await asyncio.sleep(LOOK_S)
                    continue
                waiting = self._waiting.popleft()
                if waiting.packet is None or waiting.sender == caller:
                    await self._act(waiting, self._session)

    async def _act(self, waiting: _Waiting, session: AgentSession[Any]) -> None:
        """Act on a packet; a session that is closing makes it one without effect."""
        packet = waiting.packet
        try:
            if packet is None:
                await self._context.follow(session)
            elif isinstance(packet, UserMessage):
                await _answer(packet.text, session)
                self._outbox.send(build_echo(packet.text), to=waiting.sender, topic=waiting.topic)
            elif isinstance(packet, ContextualUpdate):
                await self._context.add(packet.text, session)
            else:
                await apply_overrides(packet.overrides, session, self._components)
        except (RuntimeError, ValueError, llm.RealtimeError) as error:
            logger.info(
                "a packet of the caller's page had no effect",
                extra={"packet": type(packet).__name__, "error": type(error).__name__},
            )

    def _name_once(self, problem: str, **facts: Any) -> None:
        """Log a problem the first time, so that a flood does not fill the log."""
        if problem not in self._named:
            self._named.add(problem)
            logger.warning(problem, extra=facts)


async def _answer(text: str, session: AgentSession[Any]) -> None:
    """Take a turn on words that were typed, as LiveKit does on its own topic for chats."""
    # What may not be interrupted is said to its end first.
    with suppress(RuntimeError):
        await asyncio.wait([session.interrupt()], timeout=INTERRUPT_S)
    session.generate_reply(user_input=text)


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, no longer than some seconds."""
    with suppress(TimeoutError, asyncio.TimeoutError):
        async with timeout(seconds):
            await event.wait()


def _pace(paces: dict[str, Pace], sender: str, per_second: int, now: float) -> bool:
    """Return True if a sender may send one more. Of too many senders the latest may not."""
    if sender not in paces and len(paces) >= MAX_WAITING:
        return False
    return paces.setdefault(sender, Pace(per_second)).allows(now)
