"""A VAD that takes no time: sound is speech."""

from __future__ import annotations

import time

from livekit import rtc
from livekit.agents import utils, vad

SILENCE_S = 0.5
"""Silence after which speech is over, as with Silero's usual settings."""


class EnergyVAD(vad.VAD):
    """For callers whose silence is digital."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.05))

    def stream(self) -> vad.VADStream:
        return EnergyStream(self)


class EnergyStream(vad.VADStream):
    """One caller's audio."""

    def __init__(self, detector: EnergyVAD) -> None:
        super().__init__(detector)
        # The frames of the speech under way. Empty in silence.
        self._frames: list[rtc.AudioFrame] = []
        # Seconds of silence since its last sound.
        self._silence_s = 0.0

    async def _main_task(self) -> None:
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame):
                self._take(frame)
            else:
                self._frames, self._silence_s = [], 0.0

    def _take(self, frame: rtc.AudioFrame) -> None:
        is_loud = bool(bytes(frame.data).strip(b"\0"))
        if not is_loud and not self._frames:
            return
        self._frames.append(frame)
        self._silence_s = 0.0 if is_loud else self._silence_s + frame.duration
        kinds = vad.VADEventType
        if len(self._frames) == 1:
            self._send(kinds.START_OF_SPEECH)
        self._send(kinds.INFERENCE_DONE, speaking=is_loud)
        if self._silence_s >= SILENCE_S:
            self._send(kinds.END_OF_SPEECH)
            self._frames, self._silence_s = [], 0.0

    def _send(self, kind: vad.VADEventType, *, speaking: bool = True) -> None:
        is_over = kind is vad.VADEventType.END_OF_SPEECH
        speech_s = sum(each.duration for each in self._frames) - self._silence_s
        self._event_ch.send_nowait(
            vad.VADEvent(
                type=kind,
                samples_index=0,
                timestamp=time.time(),
                speech_duration=speech_s,
                silence_duration=self._silence_s,
                frames=[utils.merge_frames(self._frames)] if is_over else [self._frames[-1]],
                probability=float(speaking),
                speaking=speaking and not is_over,
                raw_accumulated_silence=self._silence_s,
                raw_accumulated_speech=speech_s,
            )
        )
