"""A phone line in real time, whose ends note when each sound passed (on `time.monotonic`)."""

from __future__ import annotations

import asyncio
import time

from livekit import rtc
from livekit.agents.voice import io

from benchmarks.common.speech import RATE_HZ, Utterance

FRAME_MS = 20
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000
SILENCE = bytes(2 * FRAME_SAMPLES)


class Microphone(io.AudioInput):
    """Delivers each frame when the last of its samples was spoken, as a microphone does.

    Read by one session. All frames are timed by one clock: a late one delays none after it.
    """

    def __init__(self) -> None:
        super().__init__(label="Microphone")
        # When the first frame began; None before it was read.
        self._began: float | None = None
        # Frames delivered so far.
        self._frames = 0
        # Samples still to be spoken, int16.
        self._left = b""

    def say(self, utterance: Utterance) -> float:
        """Speak from the next frame on; return the time of the utterance's last sound."""
        if self._began is None or self._left:
            raise RuntimeError("the session does not listen, or the caller is still speaking")
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
    """Notes when a reply's first frame came, and plays every frame in no time.

    The rest of a reply need not be played in real time: the measurement ends with its first frame.
    """

    def __init__(self) -> None:
        super().__init__(label="Loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False))
        # When the first frame of each reply came.
        self.started: list[float] = []
        # Set when a reply was played to its end; the reader clears it.
        self.finished = asyncio.Event()
        # Seconds of the reply that is being played; None between two.
        self._played_s: float | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._played_s is None:
            self._played_s = 0.0
            self.started.append(time.monotonic())
            self.on_playback_started(created_at=time.time())
        self._played_s += frame.duration

    def flush(self) -> None:
        super().flush()
        self._end(interrupted=False)

    def clear_buffer(self) -> None:
        self._end(interrupted=True)

    def _end(self, *, interrupted: bool) -> None:
        if self._played_s is None:
            return
        played_s, self._played_s = self._played_s, None
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)
        if not interrupted:
            self.finished.set()
