"""The queue to the service: audio and commands in order, and audio that is without a reply."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

from livekit import rtc

MOST_AUDIO_S = 2.0
"""Longest audio that waits, in seconds; older audio is dropped."""

MOST_AGAIN_S = 10.0
"""Longest audio that is sent again after a drop, in seconds. The model of the lost session may have
heard it, and has not replied to it."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A message other than audio.

    `text` is the output, the instructions or the typed text, whose `instructions` are beside it.
    """

    kind: Literal["commit", "clear", "interrupt", "tool_result", "reply", "text"]
    call_id: str = ""
    text: str | None = None
    instructions: str | None = None


Item: TypeAlias = rtc.AudioFrame | Command


class Outbox:
    """A queue for the whole life of a session, whatever becomes of its connections.

    Audio outlives a lost connection, also what was sent since the latest reply began; commands
    belong to the connection that they were meant for.
    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        # Seconds of the audio among them, and how many may wait.
        self._audio_s = 0.0
        self._most_s = MOST_AUDIO_S
        # Audio that was sent and not replied to, oldest first; and its seconds.
        self._sent: deque[rtc.AudioFrame] = deque()
        self._sent_s = 0.0
        # Set while there are items.
        self._filled = asyncio.Event()

    def push(self, item: Item) -> None:
        """Add an item. Of audio the oldest is dropped beyond `MOST_AUDIO_S`."""
        self._items.append(item)
        self._filled.set()
        if isinstance(item, rtc.AudioFrame):
            self._audio_s += item.duration
            while self._audio_s > self._most_s:
                self._drop_oldest_audio()

    async def take(self) -> Item:
        """Wait for the next item and remove it."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        if isinstance(item, rtc.AudioFrame):
            self._audio_s -= item.duration
            self._keep(item)
        return item

    def _keep(self, frame: rtc.AudioFrame) -> None:
        self._sent.append(frame)
        self._sent_s += frame.duration
        while self._sent_s > MOST_AGAIN_S:
            self._sent_s -= self._sent.popleft().duration

    def confirm(self) -> None:
        """Note that the model replies to the audio that was sent."""
        self._sent.clear()
        self._sent_s = 0.0
        self._most_s = MOST_AUDIO_S

    def rewind(self, unanswered_s: float) -> None:
        """Send again, after a drop, what was sent and not replied to.

        Args:
            unanswered_s: How long ago the caller began what had no reply. Up to `MOST_AGAIN_S` of
                it is sent again, and what was spoken just before the service noticed it. If 0,
                all the audio that waits stays within `MOST_AUDIO_S`.
        """
        again_s = 0.0
        while self._sent and again_s < unanswered_s + MOST_AUDIO_S:
            frame = self._sent.pop()
            again_s += frame.duration
            self._items.appendleft(frame)
        self._audio_s += again_s
        if unanswered_s > 0:
            self._most_s = max(self._most_s, again_s + MOST_AUDIO_S)
        while self._audio_s > self._most_s:
            self._drop_oldest_audio()
        self._sent.clear()
        self._sent_s = 0.0
        if self._items:
            self._filled.set()

    def drop_audio(self) -> None:
        """Drop the audio that waits, and what was sent."""
        self.confirm()
        self._items = deque(item for item in self._items if isinstance(item, Command))
        self._audio_s = 0.0

    def drop_commands(self) -> None:
        """Drop the commands that wait."""
        self._items = deque(item for item in self._items if isinstance(item, rtc.AudioFrame))

    def _drop_oldest_audio(self) -> None:
        oldest = next(item for item in self._items if isinstance(item, rtc.AudioFrame))
        self._audio_s -= oldest.duration
        self._items.remove(oldest)
