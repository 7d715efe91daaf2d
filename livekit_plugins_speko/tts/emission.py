"""Emit a text's audio as it arrives, and read it in pauses where that is soon enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from livekit.agents.tts import AudioEmitter

from ..audio.pcm import SAMPLE_BYTES
from .frames import FrameCutter

AHEAD_S = 0.25
"""How far ahead of playing the audio has to be, in seconds, for a pause of reading.

It is much longer than the pause, so nobody hears that the audio after it came later.
"""

PAUSE_S = 0.05
"""Length of such a pause, in seconds.

A read takes more CPU time than anything that is done with its audio, however long that is.
"""

# One sample. LiveKit takes an attempt at a text without a frame for a failure.
_SILENCE = bytes(SAMPLE_BYTES)


class Emission:
    """The audio of one attempt at a text, without what earlier attempts have emitted."""

    def __init__(
        self,
        emitter: AudioEmitter,
        *,
        sample_rate: int,
        spoken_samples: int,
        pause: Callable[[float], None] | None,
    ) -> None:
        """Emit audio of `sample_rate` Hz.

        Args:
            emitter: Takes the frames.
            sample_rate: Of the audio and the frames.
            spoken_samples: How many samples to leave out at the beginning.
            pause: Ends reading for some seconds. None with a client that cannot.
        """
        self._emitter = emitter
        self._cutter = FrameCutter(sample_rate)
        self._pause = pause
        self._clock = asyncio.get_running_loop().time
        # Bytes that are still to be left out.
        self._spoken_bytes = spoken_samples * SAMPLE_BYTES
        # True once there was audio that no earlier attempt has emitted.
        self.began = False

    def push(self, pcm: bytes) -> None:
        """Take more audio: int16 mono, in whole samples."""
        new = pcm[self._spoken_bytes :]
        self._spoken_bytes -= len(pcm) - len(new)
        if not new:
            return
        self.began = True
        now_s = self._clock()
        for frame in self._cutter.push(new, now_s):
            self._emitter.push_frame(frame)
        if self._pause is not None and self._cutter.ahead_s(now_s) >= AHEAD_S:
            self._pause(PAUSE_S)

    def flush(self) -> None:
        """Emit the rest."""
        for frame in self._cutter.flush():
            self._emitter.push_frame(frame)
        if not self.began:
            # All of it was spoken before.
            push_silence(self._emitter)


def push_silence(emitter: AudioEmitter) -> None:
    """Emit one sample, for a text that needs no more."""
    emitter.push(_SILENCE)
