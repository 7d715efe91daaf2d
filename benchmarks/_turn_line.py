"""A phone line in real time, whose ends note when each sound passed (on `time.monotonic`)."""

from __future__ import annotations

import asyncio
import time

from livekit import rtc
from livekit.agents.voice import io

from benchmarks._turn_speech import RATE_HZ, Utterance

FRAME_MS = 20
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000
SILENCE = bytes(2 * FRAME_SAMPLES)


class Microphone(io.AudioInput):
    """Hands over each frame when the last of its samples was heard, as a microphone does.

    Read by one session. Frames stand on one clock from the first on: a late one shifts none of
    those after it.
    """

    def __init__(self) -> None:
        super().__init__(label="Microphone")
        # When the first frame began; None before it was asked for.
        self._began: float | None = None
        # How many frames were handed over.
        self._frames = 0
        # What is still to be said, int16.
        self._left = b""

    def say(self, utterance: Utterance) -> float:
        """Say something from the next frame on; returns when its last sound will be heard."""
        if self._began is None or self._left:
            raise RuntimeError("nobody listens, or the caller is still speaking")
        self._left = utterance.samples.tobytes()
        return self._began + self._frames * FRAME_MS / 1e3 + (utterance.last_sound + 1) / RATE_HZ

    async def __anext__(self) -> rtc.AudioFrame:
        if self._began is None:
            self._began = time.monotonic()
        self._frames += 1
        due = self._began + self._frames * FRAME_MS / 1e3
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        pcm, self._left = self._left[: len(SILENCE)], self._left[len(SILENCE) :]
        return rtc.AudioFrame(pcm.ljust(len(SILENCE), b"\0"), RATE_HZ, 1, FRAME_SAMPLES)


class Loudspeaker(io.AudioOutput):
    """Notes when a reply's first frame came, and has played each frame the moment it gets it.

    A benchmark need not listen to the replies: what is measured is over with the first frame.
    """

    def __init__(self) -> None:
        super().__init__(label="Loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False))
        # When the first frame of each stretch came.
        self.started: list[float] = []
        # How many stretches were heard to their end, and how many were cut off.
        self.finished = 0
        self.cut_off = 0
        # Seconds of the stretch that is being heard; None between two.
        self._stretch_s: float | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._stretch_s is None:
            self._stretch_s = 0.0
            self.started.append(time.monotonic())
            self.on_playback_started(created_at=time.time())
        self._stretch_s += frame.duration

    def flush(self) -> None:
        super().flush()
        self._end(interrupted=False)

    def clear_buffer(self) -> None:
        self._end(interrupted=True)

    def _end(self, *, interrupted: bool) -> None:
        if self._stretch_s is None:
            return
        heard_s, self._stretch_s = self._stretch_s, None
        if interrupted:
            self.cut_off += 1
        else:
            self.finished += 1
        self.on_playback_finished(playback_position=heard_s, interrupted=interrupted)
