"""A conversation as the rules take it, for a model that keeps it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from livekit_plugins_speko.testing import ToolCall

from .rules import answer

# A line of an earlier session, as the plugin writes it into the prompt of a new one.
_EARLIER = re.compile(r"^(Caller|You): (.+)$", re.MULTILINE)
_ROLES = {"Caller": "user", "You": "assistant"}


class Dialogue:
    """The words of a call so far, and its next step. Used by one task."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Begin with what the prompt says of an earlier session.

        Args:
            settings: The part `s2s` of the session's request: its prompt and its tools.
        """
        prompt = str(settings.get("systemPrompt", ""))
        self._tools: list[Mapping[str, Any]] = list(settings.get("tools", []))
        self._messages: list[dict[str, Any]] = [
            {"role": _ROLES[who], "content": words} for who, words in _EARLIER.findall(prompt)
        ]

    def hear(self, text: str) -> None:
        """Note the caller's words."""
        self._messages.append({"role": "user", "content": text})

    def say(self, text: str) -> None:
        """Note the agent's words."""
        self._messages.append({"role": "assistant", "content": text})

    def take_result(self, call_id: str | None, output: str) -> None:
        """Note the result of a tool."""
        self._messages.append({"role": "tool", "toolCallId": call_id, "content": output})

    def next_step(self) -> str | ToolCall:
        """Return the words to say, or the tool to call first."""
        return answer(self._messages, self._tools)
