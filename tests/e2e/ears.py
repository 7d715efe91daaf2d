"""What a caller hears of the agent: every frame of its track, and when it came."""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable

import numpy as np
from livekit import rtc

from livekit_plugins_speko import frames_to_wav

RATE_HZ = 16_000
FRAMES_PER_S = 100
# Root mean square of int16 samples: well above what a silent track holds, well below speech.
SOUND = 100.0


class Ears:
    """Records one track, mono int16 at 16000 Hz, in frames of 10 ms."""

    def __init__(self, heard: Callable[[], None]) -> None:
        """Make ears.

        Args:
            heard: Called after each frame.
        """
        self._heard = heard
        # Each frame, with the time at which it came.
        self._frames: list[tuple[float, rtc.AudioFrame]] = []
        # When frames with sound came.
        self._sounds: list[float] = []

    async def listen(self, track: rtc.Track) -> None:
        """Record until the track ends, or until cancelled."""
        stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1)
        try:
            async for event in stream:
                self._take(event.frame)
        finally:
            await stream.aclose()

    def first_sound(self, after_s: float = 0.0) -> float | None:
        """When the first sound at or after a time came; None when there was none."""
        index = bisect.bisect_left(self._sounds, after_s)
        return self._sounds[index] if index < len(self._sounds) else None

    def last_sound(self, before_s: float = float("inf")) -> float:
        """When the last sound before a time came; 0 when there was none."""
        index = bisect.bisect_left(self._sounds, before_s)
        return self._sounds[index - 1] if index else 0.0

    def quiet_for_s(self) -> float:
        """How long it has been quiet, in seconds."""
        return time.monotonic() - self.last_sound()

    def longest_gap(self, from_s: float, to_s: float) -> float:
        """The longest silence among the frames that came between two times, in seconds.

        By the frames' own length: a listener who was busy got them late, but heard no pause.
        """
        longest = gap = 0
        for at_s, frame in self._frames:
            if from_s <= at_s < to_s:
                gap = 0 if has_sound(frame) else gap + 1
                longest = max(longest, gap)
        return longest / FRAMES_PER_S

    def wav(self, from_s: float = 0.0, to_s: float = float("inf")) -> bytes:
        """What was heard between two times, as a WAV."""
        return frames_to_wav([frame for at_s, frame in self._frames if from_s <= at_s < to_s])

    def __str__(self) -> str:
        """How much was heard."""
        return f"{len(self._frames)} frames, {len(self._sounds)} with sound"

    def _take(self, frame: rtc.AudioFrame) -> None:
        now_s = time.monotonic()
        self._frames.append((now_s, frame))
        if has_sound(frame):
            self._sounds.append(now_s)
        self._heard()


def has_sound(frame: rtc.AudioFrame) -> bool:
    """Whether somebody would hear a frame."""
    samples = np.frombuffer(frame.data, dtype=np.int16).astype(np.float64)
    return bool(np.sqrt(np.mean(samples**2)) > SOUND)
