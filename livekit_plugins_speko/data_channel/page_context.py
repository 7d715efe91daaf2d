"""The context that a page gave its agent, in the agent's chat context."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from livekit.agents import AgentSession, llm

from .._text import PAGE_CONTEXT

MAX_UPDATES = 60
"""Most contextual updates in an agent's context. Then the oldest is removed."""

# What LiveKit notes with a model's reply, and never with words that the author had said.
_OF_A_MODEL = frozenset({"llm_metadata", "provider_request_ids"})

_LABEL = "[Context from the caller's page, not said by the caller] "


class PageContext:
    """The contextual updates of one session. Used by the task that acts on packets.

    An update is a message of the user's role: a page must not write the instructions, which those
    of the system's role are. It is no part of the conversation's history.
    """

    def __init__(self) -> None:
        # The updates, oldest first.
        self._items: deque[llm.ChatMessage] = deque()
        # Ids of those that no reply has used yet.
        self._unused: set[str] = set()

    async def add(self, text: str, session: AgentSession[Any]) -> None:
        """Add an update to the context of the session's agent.

        Raises:
            RuntimeError: The session does not run any more.
            llm.RealtimeError: A realtime model does not take it.
        """
        item = llm.ChatMessage(role="user", content=[_LABEL + text], extra={PAGE_CONTEXT: True})
        self._items.append(item)
        self._unused.add(item.id)
        dropped = self._items.popleft() if len(self._items) > MAX_UPDATES else None
        context = session.current_agent.chat_ctx.copy()
        context.insert(item)
        if dropped is not None:
            self._unused.discard(dropped.id)
            if context.get_by_id(dropped.id) is not None:
                context.remove(dropped.id)
        await _use(context, session)

    def note_reply(self, reply: llm.ChatMessage) -> None:
        """Note that a reply has used the updates that came before it began.

        Words that the author had said, such as a greeting, are no model's reply and use none.
        """
        if _OF_A_MODEL.isdisjoint(reply.metrics):
            return
        self._unused -= {each.id for each in self._items if each.created_at < reply.created_at}

    async def follow(self, session: AgentSession[Any]) -> None:
        """Give an agent that took over the updates that no reply has used yet.

        Raises:
            RuntimeError: The session does not run any more.
            llm.RealtimeError: A realtime model does not take them.
        """
        context = session.current_agent.chat_ctx.copy()
        missing = [
            each
            for each in self._items
            if each.id in self._unused and context.get_by_id(each.id) is None
        ]
        if not missing:
            return
        for each in missing:
            # Items are in the order of their times, and an agent's instructions are its oldest.
            each.created_at = time.time()
        context.insert(missing)
        await _use(context, session)


async def _use(context: llm.ChatContext, session: AgentSession[Any]) -> None:
    # Calls of tools that the agent no longer has are the author's to keep or drop.
    await session.current_agent.update_chat_ctx(context, exclude_invalid_function_calls=False)
