"""The configuration that a session of the service is made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from livekit.agents import llm

from .._base import function_tools_to_speko
from ..api.realtime_options import RealtimeOptions
from ..log import logger
from .history import History


class Configuration:
    """The options, instructions and tools of the next session. Used by one task.

    The service takes them once: what changes in a session is for the next one.
    """

    def __init__(self, options: RealtimeOptions, history: History) -> None:
        """Begin with the model's options."""
        self._options = options
        self._history = history
        self.tools = llm.ToolContext.empty()
        # Part of every session's prompt. None without instructions.
        self._instructions: str | None = None
        # True once a session was made with it.
        self._is_used = False
        # What the log named as not supported.
        self._named: set[str] = set()

    def use_instructions(self, instructions: str) -> None:
        """Use these instructions."""
        if self._is_used and instructions != self._instructions:
            self._name_late_change("instructions")
        self._instructions = instructions

    def use_tools(self, tools: list[llm.Tool]) -> None:
        """Use these tools."""
        context = llm.ToolContext(tools)
        if self._is_used and set(context.function_tools) != set(self.tools.function_tools):
            self._name_late_change("tools")
        self.tools = context

    def connect_options(self) -> Mapping[str, Any]:
        """Return the options of `Realtime.connect`, with the history in the prompt."""
        self._is_used = True
        return {
            **{field.name: getattr(self._options, field.name) for field in fields(self._options)},
            "system_prompt": self._history.render(self._instructions),
            "tools": function_tools_to_speko(self.tools.flatten()) or None,
        }

    def name(self, what: str, text: str) -> None:
        """Log once what the service does not take."""
        if what not in self._named:
            self._named.add(what)
            logger.warning(text)

    def _name_late_change(self, what: str) -> None:
        self.name(what, f"the model is given changed {what} with its next session only")
