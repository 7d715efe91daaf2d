"""The effects of a page's packets on a session."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from livekit.agents import AgentSession, llm
from livekit.agents.voice import SpeechHandle

from ..log import logger
from .late_overrides import apply_overrides
from .outbox import Outbox
from .packets import ContextualUpdate, Packet, UserMessage, build_echo
from .page_context import PageContext

INTERRUPT_S = 2.0
"""Longest wait for an interruption, in seconds. A tool that runs on would hold up what follows; its
reply then comes first."""


class Actions:
    """Acts on the packets of one session's caller, one after another. Used by one task."""

    def __init__(
        self,
        session: AgentSession[Any],
        components: Any | None,
        context: PageContext,
        outbox: Outbox,
    ) -> None:
        """Act on a session; `components` are those that overrides change, if not the session's."""
        self._session = session
        self._components = components
        self._context = context
        self._outbox = outbox

    async def act(self, packet: Packet | None, sender: str, topic: str | None) -> None:
        """Act on a packet; None means that another agent took over.

        A session that is closing, or cannot do it, makes it one without effect.
        """
        try:
            if packet is None:
                await self._context.follow(self._session)
            elif isinstance(packet, UserMessage):
                await self._answer(packet.text)
                self._outbox.send(build_echo(packet.text), to=sender, topic=topic)
            elif isinstance(packet, ContextualUpdate):
                await self._context.add(packet.text, self._session)
            else:
                await apply_overrides(packet.overrides, self._session, self._components)
        except (RuntimeError, ValueError, llm.RealtimeError) as error:
            _log_without_effect(type(packet).__name__, error)

    async def _answer(self, text: str) -> None:
        """Take a turn on words that were typed, as LiveKit does on its own topic for chats."""
        # Who types is not away, though nothing is heard of them.
        self._session.reset_away_timer()
        # What may not be interrupted is said to its end first.
        with suppress(RuntimeError):
            await asyncio.wait([self._session.interrupt()], timeout=INTERRUPT_S)
        self._session.generate_reply(user_input=text).add_done_callback(_log_failure)


def _log_failure(reply: SpeechHandle) -> None:
    """Log a message that was not answered, as by a voice model that takes no text."""
    if (error := reply.exception()) is not None:
        _log_without_effect(UserMessage.__name__, error)


def _log_without_effect(packet: str, error: BaseException) -> None:
    # A voice model's error says what it can't do; others may hold what the caller said.
    reason = {"reason": str(error)} if isinstance(error, llm.RealtimeError) else {}
    logger.info(
        "a packet of the caller's page had no effect",
        extra={"packet": packet, "error": type(error).__name__, **reason},
    )
