"""Notes of a call's events, with their times on the clock of the line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession
from livekit.agents.llm import LLM, ChatMessage
from livekit.agents.metrics import LLMMetrics
from livekit.agents.voice import io
from livekit.agents.voice.events import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    FunctionToolsExecutedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)

from livekit_plugins_speko import RouteEvent, SpekoRealtimeModel

from .screen import Screen


class Notes:
    """Listens to a session and its model; the lists hold times, or pairs of time and fact."""

    def __init__(
        self,
        session: AgentSession[Any],
        model: LLM[Any] | SpekoRealtimeModel,
        screen: Screen,
        now_s: Callable[[], float],
    ) -> None:
        """Begin to listen.

        Args:
            session: The session, before its start.
            model: The model that the session uses.
            screen: Shows each note at once.
            now_s: The clock of the line.
        """
        self._screen = screen
        self._now_s = now_s
        self.transcripts: list[tuple[float, str]] = []
        self.tools: list[tuple[float, str]] = []
        self.errors: list[tuple[float, str]] = []
        # The times at which the session detected the end of the caller's speech.
        self.ends_of_speech: list[float] = []
        # The time of each reply's first token or piece, by the model's own metrics or events.
        self.first_tokens: list[float] = []
        # Set at every change of the agent's state; the waiting task clears it.
        self.agent_changed = asyncio.Event()
        session.on("user_input_transcribed", self._transcript)
        session.on("user_state_changed", self._user_state_changed)
        session.on("function_tools_executed", self._tools_executed)
        session.on("agent_state_changed", self._state_changed)
        session.on("conversation_item_added", self._item_added)
        session.on("error", self._error)
        if isinstance(model, SpekoRealtimeModel):
            model.on("route", self._route)
        else:
            model.on("metrics_collected", self._metrics)

    def _transcript(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            self.transcripts.append((self._now_s(), event.transcript))
            self._screen.line(self._now_s(), "caller", event.transcript)

    def _user_state_changed(self, event: UserStateChangedEvent) -> None:
        if event.old_state == "speaking":
            self.ends_of_speech.append(self._now_s())

    def _tools_executed(self, event: FunctionToolsExecutedEvent) -> None:
        for call, output in event.zipped():
            self.tools.append((self._now_s(), call.name))
            called = f"{call.name}({call.arguments}) = {output.output}"
            self._screen.line(self._now_s(), "tool", called)

    def _state_changed(self, event: AgentStateChangedEvent) -> None:
        self.agent_changed.set()

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, ChatMessage) and event.item.interrupted:
            self._screen.line(self._now_s(), "agent", "(falls silent, the caller speaks)")

    def _error(self, event: ErrorEvent) -> None:
        error = getattr(event.error, "error", event.error)
        self.errors.append((self._now_s(), str(error)))
        self._screen.line(self._now_s(), "error", str(error))

    def _metrics(self, metrics: LLMMetrics) -> None:
        if metrics.ttft >= 0 and not metrics.cancelled:
            ago_s = time.time() - (metrics.timestamp - metrics.duration + metrics.ttft)
            self.first_tokens.append(self._now_s() - ago_s)

    def _route(self, event: RouteEvent) -> None:
        """Note a voice model's reply, whose end it is."""
        if event.first_output_s is not None:
            self.first_tokens.append(self._now_s() - (event.end_s - event.first_output_s))


class Subtitles(io.TextOutput):
    """Shows the agent's words while they are played."""

    def __init__(self, screen: Screen, now_s: Callable[[], float]) -> None:
        """Make an output for text.

        Args:
            screen: Shows the words.
            now_s: The clock of the line.
        """
        super().__init__(label="Subtitles", next_in_chain=None)
        self._screen = screen
        self._now_s = now_s
        # Each reply so far: the time of its first word, and its words up to now.
        self.replies: list[tuple[float, str]] = []
        self._speaking = False

    async def capture_text(self, text: str) -> None:
        """Show the words that are being played."""
        if not self._speaking:
            self._speaking = True
            self.replies.append((self._now_s(), ""))
        started_s, words = self.replies.pop()
        self.replies.append((started_s, words + text))
        self._screen.words(self._now_s(), "agent", text)

    def flush(self) -> None:
        """End the reply."""
        if self._speaking:
            self._speaking = False
            self._screen.end()
