"""The place of each sample in a stream's time. No I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

GAP_S = 0.25
"""Lag of the audio behind the wall clock, in seconds, that counts as a gap without audio. Below
it is jitter."""

# Audio is pushed as it is spoken if it is never further ahead of the wall clock, in seconds.
_ON_TIME_S = 0.1
# Share of a gap whose audio came late: it was none.
_MADE_UP = 0.8
_MOST_GAPS = 1_000


class StreamClock:
    """Maps bytes of a stream to its seconds: their place in the audio, plus the gaps before them.

    A muted microphone pushes no audio and yet time passes, which a place in the audio alone would
    not show. Audio that arrives late and then all at once, as after a blocked event loop, is no
    gap: what was counted as one is taken back as the audio catches up.
    """

    def __init__(self, bytes_per_s: int) -> None:
        """Begin at second 0 with no audio."""
        self._bytes_per_s = bytes_per_s
        # End of the audio so far, in bytes.
        self._end = 0
        # Places of the gaps, in bytes, and the seconds without audio up to and including each.
        self._places: list[int] = []
        self._totals: list[float] = []
        # Seconds by which the audio is pushed ahead of the wall clock, at most so far.
        self._ahead = 0.0
        # Length of the last gap, 0 once it was taken back, and `_ahead` as it began.
        self._gap = 0.0
        self._ahead_at_gap = 0.0

    def push(self, size: int, now_s: float) -> None:
        """Note `size` bytes that were pushed `now_s` seconds after the stream began."""
        before = self._time(self._end)
        length = size / self._bytes_per_s
        lag = now_s + self._ahead - length - before
        if lag > GAP_S:
            self._add_gap(lag)
            before += lag
        self._end += size
        excess = before + length - now_s - self._ahead
        if excess > 0:
            self._catch_up(excess)

    def time_of(self, place: int, *, end: bool = False) -> float:
        """Return the second of a sample.

        Args:
            place: The sample's first byte.
            end: True for the end of the audio before `place`, which a gap there comes after.
        """
        return self._time(place, end=end)

    def _time(self, place: int, *, end: bool = True) -> float:
        at = (bisect_left if end else bisect_right)(self._places, place)
        gap = self._totals[at - 1] if at else 0.0
        return place / self._bytes_per_s + gap

    def _add_gap(self, seconds: float) -> None:
        total = self._totals[-1] if self._totals else 0.0
        self._places.append(self._end)
        self._totals.append(total + seconds)
        self._gap = seconds
        self._ahead_at_gap = self._ahead
        if len(self._places) > _MOST_GAPS:
            del self._places[0], self._totals[0]

    def _catch_up(self, excess: float) -> None:
        """Note audio that is ahead of the wall clock. It takes back a gap that it makes up for."""
        self._ahead += excess
        was_on_time = self._ahead_at_gap < _ON_TIME_S
        if self._gap and was_on_time and self._ahead - self._ahead_at_gap >= _MADE_UP * self._gap:
            del self._places[-1], self._totals[-1]
            self._ahead = max(self._ahead - self._gap, self._ahead_at_gap)
            self._gap = 0.0
