"""A line to a voice model in real time, whose ends note when each sound passed."""

from __future__ import annotations

import asyncio
import math
import struct
import time
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from livekit import rtc
from livekit.agents.voice import io

from benchmarks.common.speech import RATE_HZ as SPEECH_RATE_HZ
from benchmarks.common.speech import recorded

RATE_HZ = 24_000
# A room hands its audio over in frames of this length, and at that rate.
FRAME_MS = 50
# What the gateway's voice model writes at once, beginning with the time of the write.
PIECE_MS = 100
PIECE_BYTES = RATE_HZ * PIECE_MS // 1000 * 2
STAMP = struct.Struct("<d")
# Where an utterance may end within two frames.
PLACES = 8


@dataclass(frozen=True)
class Script:
    """The caller's words in one conversation.

    Attributes:
        seconds: Its length.
        speech: Beginning and end of each utterance, in seconds. It begins with a frame.
    """

    seconds: float
    speech: tuple[tuple[float, float], ...]

    def pcm(self, frame: int, rate_hz: int) -> bytes:
        """Return the audio of a frame."""
        size = frame_bytes(rate_hz)
        at_ms = frame * FRAME_MS
        for began_s, ended_s in self.speech:
            if 1e3 * began_s <= at_ms < 1e3 * ended_s:
                said = 2 * round(rate_hz * (at_ms / 1e3 - began_s))
                rest = 2 * round(rate_hz * (ended_s - at_ms / 1e3))
                return speech(rate_hz)[said : said + min(rest, size)].ljust(size, b"\0")
        return bytes(size)


def frame_bytes(rate_hz: int) -> int:
    """Return the size of a frame."""
    return rate_hz * FRAME_MS // 1000 * 2


@cache
def speech(rate_hz: int) -> bytes:
    """Make a caller's speech, which Silero takes for speech, without a sample of silence."""
    samples = recorded("story").samples
    at_s = np.arange(len(samples) * rate_hz // SPEECH_RATE_HZ) / rate_hz
    resampled = np.interp(at_s * SPEECH_RATE_HZ, np.arange(len(samples)), samples)
    pcm = resampled.astype("<i2")
    pcm[pcm == 0] = 1
    return pcm.tobytes()


def delivered_after(audio_s: float) -> float:
    """Return when the frame with a place in the caller's audio is complete, in seconds."""
    return math.ceil(1e3 * audio_s / FRAME_MS - 1e-6) * FRAME_MS / 1e3


def script_of(session: int) -> Script:
    """Build a session's script: a question whose answer is interrupted, and an answer to that.

    The utterances' last sounds are at all places of two frames, as callers' are.
    """
    ends = (((2 * session + turn) % PLACES + 0.5) * 0.1 / PLACES for turn in range(2))
    return Script(5.8, ((0.2, 1.1 + next(ends)), (2.5, 3.2 + next(ends))))


class Microphone(io.AudioInput):
    """Delivers each frame when the last of its samples was spoken, as a microphone does.

    All frames are timed by one clock: a late one delays none after it.
    """

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        super().__init__(label="Microphone")
        self._rate_hz = rate_hz
        # When the first frame began; None before it was read.
        self.began_s: float | None = None
        # Frames delivered so far.
        self._frames = 0
        # What the caller says, and the number of its first frame.
        self._script, self._first = Script(0.0, ()), 0

    def say(self, script: Script) -> float:
        """Speak from the next frame on; return the time at which the script began."""
        assert self.began_s is not None, "the session does not listen"
        self._script, self._first = script, self._frames
        return self.began_s + self._frames * FRAME_MS / 1e3

    async def __anext__(self) -> rtc.AudioFrame:
        if self.began_s is None:
            self.began_s = time.monotonic()
        pcm = self._script.pcm(self._frames - self._first, self._rate_hz)
        self._frames += 1
        due_s = self.began_s + self._frames * FRAME_MS / 1e3
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        return rtc.AudioFrame(pcm, self._rate_hz, 1, len(pcm) // 2)


@dataclass
class Heard:
    """The outcome of one conversation. Times are `time.monotonic`'s, delays are in milliseconds.

    Attributes:
        began_s: When the caller's audio began, of which the gateway notes how late each piece came.
        spoke_s: When the conversation began. Audio before it waited for a connection.
        response_ms: For each reply, from the frame with the caller's last sound to its first audio.
        first_ms: For each reply, from the gateway's write of its first audio to the output.
        piece_ms: The same for every piece of audio.
        silenced_s: When the output was cleared by each interruption.
        missing: Replies and transcripts that did not come, or came twice.
    """

    began_s: float = 0.0
    spoke_s: float = 0.0
    response_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    piece_ms: list[float] = field(default_factory=list)
    silenced_s: list[float] = field(default_factory=list)
    missing: int = 0


class Loudspeaker(io.AudioOutput):
    """Notes when each piece of audio came, and plays it in real time."""

    def __init__(self) -> None:
        super().__init__(label="Loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False))
        # When each reply's first audio came.
        self.started: list[float] = []
        self.heard = Heard()
        # When the reply began to play. None between two.
        self._began_s: float | None = None
        # Bytes of it.
        self._bytes = 0
        # Ends it. None while more of it may come.
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        now_s, data = time.monotonic(), frame.data.cast("b")
        if self._began_s is None:
            self._began_s, self._bytes = now_s, 0
            self.started.append(now_s)
            self.on_playback_started(created_at=time.time())
        self._note(data, now_s)
        self._bytes += len(data)

    def _note(self, data: memoryview, now_s: float) -> None:
        """Note when audio came, by the times that the gateway wrote into it."""
        for at in range(-self._bytes % PIECE_BYTES, len(data), PIECE_BYTES):
            late_ms = 1e3 * (now_s - STAMP.unpack_from(data, at)[0])
            self.heard.piece_ms.append(late_ms)
            if self._bytes == at == 0:
                self.heard.first_ms.append(late_ms)

    def flush(self) -> None:
        super().flush()
        if self._began_s is not None and self._end is None:
            left_s = self._began_s + self._played_s - time.monotonic()
            self._end = asyncio.get_running_loop().call_later(left_s, self._finish, False)

    def clear_buffer(self) -> None:
        if self._began_s is not None:
            self.heard.silenced_s.append(time.monotonic())
            self._finish(True)

    @property
    def _played_s(self) -> float:
        return self._bytes / 2 / RATE_HZ

    def _finish(self, interrupted: bool) -> None:
        assert self._began_s is not None
        if self._end is not None:
            self._end.cancel()
        position_s = min(self._played_s, time.monotonic() - self._began_s)
        self._began_s = self._end = None
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)


class PlainLoudspeaker(Loudspeaker):
    """Notes how much later than its turn each frame came, where the audio holds no times."""

    def _note(self, data: memoryview, now_s: float) -> None:
        assert self._began_s is not None
        due_s = self._began_s + self._played_s
        self.heard.piece_ms.append(max(0.0, 1e3 * (now_s - due_s)))
