"""Sessions of a room without a server, whose agent is asked by data packets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent, llm
from livekit.agents.voice import room_io

from livekit_plugins_speko import Speko, SpekoDataChannel, SpekoLLM
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.fake_room import FakeRoom

WITHIN_S = 10.0
INSTRUCTIONS = "You are the front desk."


class PageCall:
    """A written session in a fake room, with a channel that was made before it.

    Attributes:
        history: What was said so far: (role, text).
    """

    def __init__(self, session: AgentSession[None], room: FakeRoom, channel: Any) -> None:
        self.session, self.room, self.channel = session, room, channel
        self.history: list[tuple[str, str]] = []
        # How many agents have taken over, the first among them.
        self._agents = 0
        self._changes = Changes()
        session.on("conversation_item_added", self._on_item)

    async def until(self, count: int) -> None:
        """Wait until the history has so many messages."""
        enough = self._changes.until(lambda: len(self.history) >= count)
        await within(enough, WITHIN_S, f"message {count}")

    async def published(self, count: int) -> None:
        """Wait until the agent has sent so many packets."""
        local = self.room.local_participant
        while len(local.published) < count:
            local.came.clear()
            await within(local.came.wait(), WITHIN_S, f"packet {count}")

    async def handed_over(self, *, times: int) -> None:
        """Wait until so many agents, the first among them, have taken over."""
        enough = self._changes.until(lambda: self._agents >= times)
        await within(enough, WITHIN_S, f"agent {times}")

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage):
            self.history.append((event.item.role, event.item.text_content or ""))
        elif isinstance(event.item, llm.AgentHandoff):
            self._agents += 1
        self._changes.notify()


@asynccontextmanager
async def page_call(
    speko: Speko,
    *,
    room: FakeRoom | None = None,
    agent: Agent | None = None,
    channel: SpekoDataChannel | None = None,
    **options: Any,
) -> AsyncIterator[PageCall]:
    """A running session that is linked to the caller of a room, and the room's channel."""
    room = room or FakeRoom()
    channel = channel or make_channel(room, **options)
    model = SpekoLLM(speko=speko, intent={"language": "en"})
    session = AgentSession[None](llm=model)
    call = PageCall(session, room, channel)
    channel.start(session)
    await start(session, room, agent or Agent(instructions=INSTRUCTIONS))
    try:
        yield call
    finally:
        await session.aclose()
        await channel.aclose()
        await model.aclose()


async def start(session: AgentSession[None], room: FakeRoom, agent: Agent) -> None:
    """Start a session in a room, without audio."""
    options = room_io.RoomOptions(audio_input=False, audio_output=False, text_output=False)
    await session.start(agent=agent, room=room, room_options=options)  # type: ignore[call-overload]


def make_channel(room: FakeRoom, **options: Any) -> SpekoDataChannel:
    """A channel that listens to a fake room."""
    return SpekoDataChannel(room, **options)  # type: ignore[arg-type]
