"""The caller's audio as the wire takes it."""

from __future__ import annotations

import numpy as np
from livekit import rtc

FRAME_MS = 20
"""Length of a frame on the wire, in milliseconds."""


def frame_bytes(sample_rate: int) -> int:
    """Return the size of a frame on the wire: PCM16, mono, at `sample_rate` Hz."""
    return sample_rate * FRAME_MS // 1000 * 2


class Microphone:
    """Converts frames of any rate to PCM16, mono, in multiples of 20 ms. One a connection."""

    def __init__(self, sample_rate: int) -> None:
        """Convert to `sample_rate` Hz."""
        self._rate = sample_rate
        self._size = frame_bytes(sample_rate)
        # Samples that do not fill a frame of the wire yet.
        self._rest = bytearray()
        # Converts audio of `_source_rate` Hz. None while the caller's rate is the wire's.
        self._resampler: rtc.AudioResampler | None = None
        self._source_rate = sample_rate

    def push(self, frame: rtc.AudioFrame) -> bytes:
        """Take a frame; return what fills frames of the wire, which may be nothing."""
        mono = _mix(frame)
        if mono.sample_rate != self._source_rate:
            self._source_rate = mono.sample_rate
            same = mono.sample_rate == self._rate
            self._resampler = None if same else rtc.AudioResampler(mono.sample_rate, self._rate)
        self._take([mono] if self._resampler is None else self._resampler.push(mono))
        full = len(self._rest) // self._size * self._size
        pcm = bytes(self._rest[:full])
        del self._rest[:full]
        return pcm

    def _take(self, frames: list[rtc.AudioFrame]) -> None:
        for each in frames:
            self._rest += each.data.cast("b")

    def flush(self) -> bytes:
        """Return what is left, of any length."""
        if self._resampler is not None:
            self._take(self._resampler.flush())
            # One that was flushed begins anew.
            self._resampler, self._source_rate = None, self._rate
        rest = bytes(self._rest)
        self._rest.clear()
        return rest

    def clear(self) -> None:
        """Drop what is left."""
        self._rest.clear()


def _mix(frame: rtc.AudioFrame) -> rtc.AudioFrame:
    """Return a frame as mono."""
    if frame.num_channels == 1:
        return frame
    samples = np.frombuffer(frame.data, dtype=np.int16).reshape(-1, frame.num_channels)
    mono = samples.mean(axis=1).astype(np.int16)
    return rtc.AudioFrame(mono.tobytes(), frame.sample_rate, 1, len(mono))
