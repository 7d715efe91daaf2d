"""The text that a caller typed, until the model is asked to reply to it. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from livekit.agents import llm

from .._text import PAGE_CONTEXT

MAX_CONTEXT = 20
"""Most pieces of context that wait for a typed message. Then the oldest is left to the history."""


class TypedText:
    """Messages that were added to a session's context, and that the model was not given."""

    def __init__(self) -> None:
        # What the caller typed last. None without it.
        self._typed: str | None = None
        # Context from a page, which no reply may be requested to, oldest first.
        self._context: deque[str] = deque(maxlen=MAX_CONTEXT)

    def add(self, items: Iterable[llm.ChatItem]) -> None:
        """Note the messages of the caller among items that are new."""
        for message in (each for each in items if isinstance(each, llm.ChatMessage)):
            text = message.text_content
            if PAGE_CONTEXT in message.extra:
                self._context.append(text or "")
            else:
                self._typed = text if message.role == "user" else None

    def take(self) -> str | None:
        """Return what to reply to, behind its context; None when nothing was typed."""
        if self._typed is None:
            return None
        text = "\n".join([*self._context, self._typed])
        self._typed = None
        self._context.clear()
        return text
