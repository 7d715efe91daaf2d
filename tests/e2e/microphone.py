"""A caller's microphone: always on, silent until something is said, in real time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from livekit import rtc

from livekit_plugins_speko import parse_wav

RATE_HZ = 16_000
FRAME = RATE_HZ // 100
# What the source holds ahead of time: enough for a busy machine to keep the pace.
QUEUE_MS = 200
SILENCE = bytes(2 * FRAME)


@dataclass(frozen=True)
class Spoken:
    """When a WAV began and ended to sound, by `time.monotonic()`."""

    started_s: float
    ended_s: float


@dataclass
class Utterance:
    """A WAV that is being said."""

    # Its frames that are left.
    frames: deque[bytes]
    done: asyncio.Future[Spoken]
    # None before its first frame.
    started_s: float | None = field(default=None)


def read_frames(path: Path) -> deque[bytes]:
    """Cut a WAV into frames; the last is filled up with silence."""
    audio = parse_wav(path.read_bytes())
    assert (audio.sample_rate, audio.channels) == (RATE_HZ, 1), path
    pcm = np.ascontiguousarray(audio.samples).tobytes()
    frames = deque(pcm[at : at + 2 * FRAME] for at in range(0, len(pcm), 2 * FRAME))
    frames[-1] = frames[-1].ljust(2 * FRAME, b"\0")
    return frames


class Microphone:
    """A microphone track, mono int16 at 16000 Hz, in frames of 10 ms."""

    def __init__(self) -> None:
        # What is being said, the oldest first.
        self._utterances: deque[Utterance] = deque()
        # None before it is opened.
        self._source: rtc.AudioSource | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, room: rtc.Room) -> None:
        """Publish it in a room that was joined; silence begins at once."""
        self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await room.local_participant.publish_track(track, options)
        self._task = asyncio.create_task(self._feed(self._source))

    async def say(self, path: Path) -> Spoken:
        """Say a WAV at 16000 Hz, after what is being said; returns when it has sounded."""
        utterance = Utterance(read_frames(path), asyncio.get_running_loop().create_future())
        self._utterances.append(utterance)
        return await utterance.done

    async def aclose(self) -> None:
        """Turn it off; what is being said is broken off. May be called twice, and at any time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._source is not None:
            await self._source.aclose()
        self._task = self._source = None
        while self._utterances:
            self._utterances.pop().done.cancel()

    async def _feed(self, source: rtc.AudioSource) -> None:
        while True:
            frame = self._next(time.monotonic() + source.queued_duration)
            await source.capture_frame(rtc.AudioFrame(frame, RATE_HZ, 1, FRAME))

    def _next(self, sounds_at_s: float) -> bytes:
        """The next frame, which will sound at a time."""
        if not self._utterances:
            return SILENCE
        utterance = self._utterances[0]
        if utterance.started_s is None:
            utterance.started_s = sounds_at_s
        frame = utterance.frames.popleft()
        if not utterance.frames:
            self._utterances.popleft()
            ends_s = sounds_at_s + FRAME / RATE_HZ
            spoken = Spoken(utterance.started_s, ends_s)
            asyncio.get_running_loop().call_at(ends_s, self._said, utterance, spoken)
        return frame

    @staticmethod
    def _said(utterance: Utterance, spoken: Spoken) -> None:
        if not utterance.done.done():
            utterance.done.set_result(spoken)
