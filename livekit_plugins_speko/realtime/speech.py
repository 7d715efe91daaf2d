"""The caller's speech, as LiveKit is told of it: its start and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from livekit.agents import llm

SILENCE_S = 5.0
"""Longest time without a new word, in seconds, for which the caller counts as speaking."""


class CallerSpeech:
    """Emits ``input_speech_started`` and ``input_speech_stopped`` in turn. Used by one task."""

    def __init__(self, emit: Callable[[Any, Any], Any]) -> None:
        """Begin with a silent caller. `emit` is LiveKit's of the session."""
        self._emit = emit
        # True between the two events.
        self.is_under_way = False
        # Ends a speech of which no more comes. None while the caller is silent.
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Report that the caller speaks: LiveKit stops playing."""
        self.is_under_way = True
        self._watch()
        self._emit("input_speech_started", llm.InputSpeechStartedEvent())

    def note_words(self) -> None:
        """Wait anew for the end, because words came."""
        if self.is_under_way:
            self._watch()

    def stop(self) -> None:
        """Report that the caller is silent, unless that is known."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.is_under_way:
            self.is_under_way = False
            self._emit(
                "input_speech_stopped",
                llm.InputSpeechStoppedEvent(user_transcription_enabled=True),
            )

    def _watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(SILENCE_S, self.stop)
