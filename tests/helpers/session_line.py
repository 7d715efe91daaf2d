"""The two ends of a call that runs faster than real time: a caller and a listener."""

from __future__ import annotations

import asyncio
import time
import zlib

import numpy as np
from livekit import rtc
from livekit.agents.voice import io

from livekit_plugins_speko.testing import GatewayRequest, Speech
from tests.helpers.support import FIXTURES, read_wav

FRAME_BYTES = 640  # 20 ms at 16000 Hz
SILENCE = bytes(FRAME_BYTES)
# Before an utterance: a session that sets its recognition up again may miss the first of them.
LEAD_FRAMES = 25
# After it: longer than Silero waits before it says that the caller has ended.
PAUSE_FRAMES = 35
WORDS_BYTES = 22_400  # 700 ms


class Caller(io.AudioInput):
    """A microphone whose frames come as fast as they are read, one utterance at a time."""

    def __init__(self) -> None:
        super().__init__(label="Caller")
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._words = read_wav((FIXTURES / "goodbye.wav").read_bytes())[3][:WORDS_BYTES]

    def speak(self) -> None:
        """Say some words, then be silent for long enough to end the turn."""
        cut = range(0, len(self._words), FRAME_BYTES)
        spoken = [self._words[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for at in cut]
        for pcm in [SILENCE] * LEAD_FRAMES + spoken + [SILENCE] * PAUSE_FRAMES:
            self._frames.put_nowait(pcm)

    async def heard(self) -> None:
        """Wait until all that was said has been read."""
        await self._frames.join()

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(0)  # a queue with items never yields to the loop
        pcm = await self._frames.get()
        self._frames.task_done()
        return rtc.AudioFrame(pcm, 16_000, 1, FRAME_BYTES // 2)


class Ear(io.AudioOutput):
    """A loudspeaker that has played each frame the moment it receives it."""

    def __init__(self) -> None:
        super().__init__(label="Ear", capabilities=io.AudioOutputCapabilities(pause=False))
        self._pcm = bytearray()
        # Seconds of the segment being played; None between two segments.
        self._stretch_s: float | None = None

    def take(self) -> bytes:
        """The audio received since the last call of this, without silence."""
        heard = bytes(self._pcm)
        self._pcm.clear()
        return without_silence(heard)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._stretch_s is None:
            self._stretch_s = 0.0
            self.on_playback_started(created_at=time.time())
        self._stretch_s += frame.duration
        self._pcm += frame.data

    def flush(self) -> None:
        super().flush()
        self._end(interrupted=False)

    def clear_buffer(self) -> None:
        self._end(interrupted=True)

    def _end(self, *, interrupted: bool) -> None:
        if self._stretch_s is not None:
            heard_s, self._stretch_s = self._stretch_s, None
            self.on_playback_finished(playback_position=heard_s, interrupted=interrupted)


def spoken(text: str, seconds: float = 0.1) -> bytes:
    """The audio of a text, int16 at 24000 Hz: noise that no other text has."""
    noise = np.random.default_rng(zlib.crc32(text.encode()))
    return noise.integers(1, 8000, round(seconds * 24_000)).astype("<i2").tobytes()


async def say(request: GatewayRequest, /) -> Speech:
    """An engine that speaks each text with its own audio, in pieces that end inside a sample."""
    return Speech(spoken(request.json["text"]), chunk_bytes=1_501)


def without_silence(pcm: bytes) -> bytes:
    """PCM without its zeros, of which `spoken` has none.

    LiveKit ends a stretch with 10 ms of them, and a sentence too whose audio comes slowly.
    """
    samples = np.frombuffer(pcm, dtype="<i2")
    return bytes(samples[samples != 0].tobytes())
