"""The speech segments of both sides of the phone line, and waiting for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Speaker = Literal["caller", "agent"]


@dataclass(frozen=True)
class LineSegment:
    """A stretch of speech on the line, in seconds since the line was opened.

    `ended_s` is None during the segment, then the time of its last sound. `interrupted` is True
    when the session stopped the agent early.
    """

    speaker: Speaker
    started_s: float
    ended_s: float | None = None
    interrupted: bool = False


class Timeline:
    """The segments of one call in the order of their starts, at most one open per speaker.

    Used on one event loop; any number of tasks may wait.
    """

    def __init__(self) -> None:
        """Make an empty timeline."""
        self._segments: list[LineSegment] = []
        # Index of the segment that each speaker is in; a silent speaker has no entry.
        self._open: dict[Speaker, int] = {}
        # Set, and replaced by a fresh one, whenever a segment starts or ends and at the close.
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def segments(self) -> list[LineSegment]:
        """A copy of all segments so far."""
        return list(self._segments)

    def start(self, speaker: Speaker, at_s: float) -> None:
        """Open a segment."""
        self._open[speaker] = len(self._segments)
        self._segments.append(LineSegment(speaker, at_s))
        self._notify()

    def end(self, speaker: Speaker, at_s: float, *, interrupted: bool = False) -> LineSegment:
        """Close the speaker's open segment and return it."""
        index = self._open.pop(speaker)
        segment = replace(self._segments[index], ended_s=at_s, interrupted=interrupted)
        self._segments[index] = segment
        self._notify()
        return segment

    def close(self) -> None:
        """End every wait with an error: no further segment will come."""
        self._closed = True
        self._notify()

    async def wait_for(
        self, speaker: Speaker, after_s: float | None, matches: Callable[[LineSegment], bool]
    ) -> LineSegment:
        """Wait until one segment of the speaker matches.

        Args:
            speaker: The speaker of the segment.
            after_s: Take the first segment that started then or later; None takes the open
                segment or else the next one.
            matches: Called with the segment at each change.

        Raises:
            RuntimeError: The timeline was closed before that.
        """
        first = 0 if after_s is not None else self._open.get(speaker, len(self._segments))
        while True:
            segment = self._find(speaker, first, after_s or 0.0)
            if segment is not None and matches(segment):
                return segment
            if self._closed:
                raise RuntimeError(f"CallLine: the line was closed before the {speaker} was done")
            await self._changed.wait()

    def _find(self, speaker: Speaker, first: int, after_s: float) -> LineSegment | None:
        for segment in self._segments[first:]:
            if segment.speaker == speaker and segment.started_s >= after_s:
                return segment
        return None

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
