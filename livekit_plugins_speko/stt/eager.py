"""When an utterance is worth recognising before the VAD has declared its end. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from livekit import rtc
from livekit.agents import utils, vad

SILENT_BELOW = 0.35
"""Probability of speech below which a window counts as silent before the VAD has said so.

An event tells the VAD's verdict on the windows before it, not on its own. This is where Silero, as
it is set by default, takes a speaker for silent; with another setting a pause is found one window
(32 ms) earlier or later, and nothing else.
"""

RESUMED_S = 0.05
"""Speech behind a snapshot, in seconds, that makes it worthless: two of Silero's windows.

What is shorter the VAD itself would not have taken for the beginning of an utterance
(``min_speech_duration``), and no syllable is: it is a click or a breath. All of a pause counts
together, so a word that is spoken in bits is not lost.
"""

MAX_SNAPSHOTS = 2
"""Most snapshots of one utterance: somebody who pauses all the time costs no more than that."""

MAX_KEPT_S = 60.0
"""Longest audio that is kept for a snapshot, in seconds, as Silero's ``max_buffered_speech``."""


@dataclass(frozen=True, kw_only=True)
class EagerStats:
    """What recognising ahead has cost so far: requests of one adapter, over all of its streams.

    Attributes:
        requests: How many were begun before the VAD had declared the end of the utterance.
        used: Those whose answer became the final transcript, or the silence in its place.
        wasted: Those whose answer did not: speech followed, they failed, or the stream was closed.
            ``requests - used - wasted`` are under way, or wait for the end.
    """

    requests: int = 0
    used: int = 0
    wasted: int = 0

    def begun(self) -> EagerStats:
        """These, and one request more."""
        return replace(self, requests=self.requests + 1)

    def settled(self, used: bool) -> EagerStats:
        """These, with one request more of which it is known what became of it."""
        return replace(self, used=self.used + used, wasted=self.wasted + (not used))


class Verdict(Enum):
    """What one more window of audio means."""

    GOES_ON = auto()
    """Nothing changed."""
    PAUSED = auto()
    """The caller may have ended: time for a snapshot."""
    RESUMED = auto()
    """The caller had not: the last snapshot is not the whole utterance."""
    FORGOTTEN = auto()
    """The VAD was flushed, dropped the utterance, and will declare no end of it."""


class Utterance:
    """One utterance from START_OF_SPEECH on, as far as the VAD has told of it.

    Fed by hand, event by event, by one task.
    """

    def __init__(self, frames: Sequence[rtc.AudioFrame], *, delay_s: float) -> None:
        """Begin with the frames of START_OF_SPEECH; a pause is `delay_s` of silence."""
        self._delay_s = delay_s
        # What END_OF_SPEECH would hand over by now. Empty when it is no longer kept.
        self._frames = list(frames)
        # How much of it there is, in seconds, kept or not.
        self._heard_s = sum(frame.duration for frame in frames)
        # How many snapshots were taken.
        self._snapshots = 0
        # Speech since the last snapshot, in seconds. None when there is no snapshot that counts.
        self._speech_s: float | None = None
        # The last window, in seconds, whose verdict comes with the next event.
        self._window_s = 0.0
        self.silence_s = 0.0
        """Silence at the end of what was heard, in seconds."""

    def hear(self, event: vad.VADEvent) -> Verdict:
        """Take in an INFERENCE_DONE event."""
        if not event.speaking:
            return Verdict.FORGOTTEN
        verdict_before, self._window_s = self._window_s, self._keep(event.frames)
        self.silence_s = event.raw_accumulated_silence
        if event.probability < SILENT_BELOW:
            self.silence_s += self._window_s
        if self._speech_s is None:
            return self._look_for_a_pause()
        # Speech takes the VAD's silence back to nothing.
        if event.raw_accumulated_silence == 0.0:
            self._speech_s += verdict_before
        if self._speech_s < RESUMED_S:
            return Verdict.GOES_ON
        self._speech_s = None
        return Verdict.RESUMED

    def snapshot(self) -> rtc.AudioFrame:
        """All that was heard, in one frame, after `hear` has said `Verdict.PAUSED`."""
        audio = utils.merge_frames(self._frames)
        self._frames = [audio]
        return audio

    def _look_for_a_pause(self) -> Verdict:
        if self.silence_s < self._delay_s or self._snapshots == MAX_SNAPSHOTS or not self._frames:
            return Verdict.GOES_ON
        self._snapshots += 1
        self._speech_s = 0.0
        return Verdict.PAUSED

    def _keep(self, frames: Sequence[rtc.AudioFrame]) -> float:
        """Keep a window's audio while there will be snapshots; return its length in seconds."""
        window_s = sum(frame.duration for frame in frames)
        self._heard_s += window_s
        if self._heard_s > MAX_KEPT_S or self._snapshots == MAX_SNAPSHOTS:
            self._frames.clear()
        else:
            self._frames += frames
        return window_s


def begins_with(frames: Sequence[rtc.AudioFrame], snapshot: rtc.AudioFrame) -> bool:
    """Whether a snapshot is the beginning of the audio that END_OF_SPEECH handed over.

    It is not when the VAD kept less of the utterance (its ``max_buffered_speech``) or other audio.
    """
    whole, beginning = utils.merge_frames(list(frames)).data.cast("B"), snapshot.data.cast("B")
    return bytes(whole[: len(beginning)]) == bytes(beginning)
