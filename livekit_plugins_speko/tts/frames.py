"""Cut PCM into the frames that a session plays. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from livekit import rtc

from ..audio.pcm import SAMPLE_BYTES

FIRST_S = 0.2
"""Audio at the beginning that comes in short frames, in seconds, so that playing begins early."""

SHORT_FRAME_S = 0.02
"""Longest frame of the first audio, and the shortest one after it, in seconds."""

LONG_FRAME_S = 0.1
"""Longest frame of later audio, in seconds.

LiveKit's emitter costs the same for a frame of 20 ms as for one of 100 ms.
"""


class FrameCutter:
    """Frames of one text's audio: int16 mono. Fed by hand, never waits for more than a short one.

    The first `FIRST_S` seconds are cut into frames of `SHORT_FRAME_S`, later audio into frames of
    what has arrived, `LONG_FRAME_S` at most.
    """

    def __init__(self, sample_rate: int) -> None:
        """Cut audio of `sample_rate` Hz."""
        self._sample_rate = sample_rate
        self._short_bytes = self._bytes_of(SHORT_FRAME_S)
        self._long_bytes = self._bytes_of(LONG_FRAME_S)
        # Bytes of the first audio that are still to be cut.
        self._first_bytes = self._bytes_of(FIRST_S)
        # Audio that is shorter than a short frame.
        self._rest = b""
        # When playing the frames so far ends at the earliest, on the caller's clock.
        self._played_at_s = 0.0

    def push(self, pcm: bytes, now_s: float) -> Iterator[rtc.AudioFrame]:
        """Take more audio, in whole samples; yield the frames that it completes.

        Args:
            pcm: The audio.
            now_s: The time, on a clock of the caller's.
        """
        self._played_at_s = max(self._played_at_s, now_s)
        pcm = self._rest + pcm
        at = 0
        while (left := len(pcm) - at) >= self._short_bytes:
            size = self._short_bytes if self._first_bytes > 0 else min(left, self._long_bytes)
            self._first_bytes -= size
            yield self._frame(pcm[at : at + size])
            at += size
        self._rest = pcm[at:]

    def ahead_s(self, now_s: float) -> float:
        """Return how far the frames are ahead of playing them, at least."""
        return self._played_at_s - now_s

    def flush(self) -> Iterator[rtc.AudioFrame]:
        """Yield the last frame, if any audio is left."""
        if self._rest:
            yield self._frame(self._rest)
        self._rest = b""

    def _bytes_of(self, seconds: float) -> int:
        return round(self._sample_rate * seconds) * SAMPLE_BYTES

    def _frame(self, pcm: bytes) -> rtc.AudioFrame:
        self._played_at_s += len(pcm) / SAMPLE_BYTES / self._sample_rate
        return rtc.AudioFrame(pcm, self._sample_rate, 1, len(pcm) // SAMPLE_BYTES)
