"""What is to be sent: the caller's audio and commands, in one order."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

from livekit import rtc

MOST_AUDIO_S = 2.0
"""Longest audio that waits, in seconds; older audio is dropped."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A message other than audio. `text` is the output, the instructions or the typed text."""

    kind: Literal["commit", "clear", "interrupt", "tool_result", "reply", "text"]
    call_id: str = ""
    text: str | None = None


Item: TypeAlias = rtc.AudioFrame | Command


class Outbox:
    """A queue for the whole life of a session, whatever becomes of its connections.

    Audio outlives a lost connection; commands belong to the connection that they were meant for.
    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        # Seconds of the audio among them.
        self._audio_s = 0.0
        # Set while there are items.
        self._filled = asyncio.Event()

    def push(self, item: Item) -> None:
        """Add an item. Of audio the oldest is dropped beyond `MOST_AUDIO_S`."""
        self._items.append(item)
        self._filled.set()
        if isinstance(item, rtc.AudioFrame):
            self._audio_s += item.duration
            while self._audio_s > MOST_AUDIO_S:
                self._drop_oldest_audio()

    async def take(self) -> Item:
        """Wait for the next item and remove it."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        if isinstance(item, rtc.AudioFrame):
            self._audio_s -= item.duration
        return item

    def drop_audio(self) -> None:
        """Drop the audio that waits."""
        self._items = deque(item for item in self._items if isinstance(item, Command))
        self._audio_s = 0.0

    def drop_commands(self) -> None:
        """Drop the commands that wait."""
        self._items = deque(item for item in self._items if isinstance(item, rtc.AudioFrame))

    def _drop_oldest_audio(self) -> None:
        oldest = next(item for item in self._items if isinstance(item, rtc.AudioFrame))
        self._audio_s -= oldest.duration
        self._items.remove(oldest)
