"""The conversation as the model knows it, and as the next session is given it."""

from __future__ import annotations

from livekit.agents import llm

MAX_CHARACTERS = 16_000
"""Longest history in a system prompt, in characters. The oldest lines are left out."""

MAX_LINE_CHARACTERS = 4_000
"""Longest line of it, in characters. The end of a longer one, a tool's result say, is left out."""

_HEADING = (
    "The call is under way already. What was said so far, for you to continue from; do not "
    "repeat it and do not greet again:"
)
_SPEAKERS = {"user": "Caller", "assistant": "You"}


class History:
    """A copy of the conversation, under the ids that LiveKit knows its items by.

    An assistant message counts as heard once it was played; what a caller cut off is left out of
    the prompt, though not of `chat_ctx`.
    """

    def __init__(self) -> None:
        self.chat_ctx = llm.ChatContext.empty()
        # Of replies that were cut: what the caller heard of them.
        self._heard: dict[str, str] = {}

    def add(self, item: llm.ChatItem) -> None:
        """Add an item, or replace the one of its id."""
        at = self.chat_ctx.index_by_id(item.id)
        if at is None:
            self.chat_ctx.insert(item)
        else:
            self.chat_ctx.items[at] = item

    def cut(self, message_id: str) -> None:
        """Count a reply as not heard at all, until `hear` says how much was."""
        self._heard.setdefault(message_id, "")

    def hear(self, message_id: str, text: str) -> None:
        """Note how much of a reply that was cut was heard."""
        self._heard[message_id] = text

    def merge(self, chat_ctx: llm.ChatContext) -> list[llm.ChatItem]:
        """Take over LiveKit's context; return the items that were not known."""
        known = {item.id for item in self.chat_ctx.items}
        kept = {item.id for item in chat_ctx.items}
        self._heard = {key: text for key, text in self._heard.items() if key in kept}
        self.chat_ctx = chat_ctx.copy()
        return [item for item in chat_ctx.items if item.id not in known]

    @property
    def call_ids(self) -> set[str]:
        """Return the ids of the tool calls."""
        return {item.call_id for item in self.chat_ctx.items if item.type == "function_call"}

    def render(self, instructions: str | None) -> str | None:
        """Return the system prompt of a new session: the instructions and the conversation."""
        lines = [
            line[:MAX_LINE_CHARACTERS] for item in self.chat_ctx.items if (line := self._line(item))
        ]
        size = 0
        for start in range(len(lines) - 1, -1, -1):
            size += len(lines[start])
            if size > MAX_CHARACTERS:
                lines = lines[start + 1 :]
                break
        told = [_HEADING + "\n" + "\n".join(lines)] if lines else []
        return "\n\n".join([*([instructions] if instructions else []), *told]) or None

    def _line(self, item: llm.ChatItem) -> str:
        if isinstance(item, llm.ChatMessage):
            text = self._heard.get(item.id, item.raw_text_content or "").strip()
            return f"{_SPEAKERS.get(item.role, 'Note')}: {text}" if text else ""
        if isinstance(item, llm.FunctionCall):
            return f"You called the tool {item.name} with {item.arguments or '{}'} ({item.call_id})"
        if isinstance(item, llm.FunctionCallOutput):
            kind = "error" if item.is_error else "result"
            return f"The {kind} of {item.name or 'the tool'} ({item.call_id}): {item.output}"
        return ""
