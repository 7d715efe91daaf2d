"""Find the moment to recognise an utterance before the VAD has declared its end. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from livekit import rtc
from livekit.agents import utils, vad

SILENT_BELOW = 0.35
"""Probability of speech below which a window counts as silent before the VAD has said so.

An event reports the VAD's verdict on the windows before it, not on its own. This is where Silero's
default settings take a speaker for silent; with others a pause is found one window (32 ms) earlier
or later, and nothing else changes.
"""

RESUMED_S = 0.05
"""Speech after a snapshot, in seconds, that makes it worthless: two of Silero's windows.

Anything shorter the VAD itself would not have taken for the beginning of an utterance
(``min_speech_duration``), and no syllable is that short: it is a click or a breath. All speech of a
pause counts together, so a word that is spoken in bits is not lost.
"""

MAX_SNAPSHOTS = 2
"""Most snapshots of one utterance: a caller who pauses all the time costs no more than that."""

MAX_KEPT_S = 60.0
"""Longest audio that is kept for a snapshot, in seconds, as Silero's ``max_buffered_speech``."""


@dataclass(frozen=True, kw_only=True)
class EagerStats:
    """Requests that one adapter has made ahead, in all of its streams.

    Attributes:
        requests: Those begun before the VAD had declared the end of the utterance.
        used: Those whose response became the final transcript, or the silence in its place.
        wasted: Those whose response did not: speech followed, they failed, or the stream was
            closed. ``requests - used - wasted`` are under way, or wait for the end.
    """

    requests: int = 0
    used: int = 0
    wasted: int = 0

    def begun(self) -> EagerStats:
        """Return these with one request more."""
        return replace(self, requests=self.requests + 1)

    def settled(self, used: bool) -> EagerStats:
        """Return these with one more request that was either used or wasted."""
        return replace(self, used=self.used + used, wasted=self.wasted + (not used))


class Change(Enum):
    """The change that one more window of audio made."""

    NONE = auto()
    """Nothing that matters."""
    PAUSED = auto()
    """The caller may have ended: time for a snapshot."""
    RESUMED = auto()
    """The caller had not ended: the last snapshot is not the whole utterance."""
    DROPPED = auto()
    """The VAD was flushed, dropped the utterance, and will declare no end of it."""


class Pauses:
    """The pauses in one utterance, as far as the VAD has reported it.

    Fed by hand, event by event, by one task.
    """

    def __init__(self, *, delay_s: float) -> None:
        """Find pauses of `delay_s` of silence, `MAX_SNAPSHOTS` at most."""
        self._delay_s = delay_s
        self.count = 0
        """How many pauses were found."""
        # Speech since the last pause, in seconds. None when the caller has not paused.
        self._speech_s: float | None = None
        # Length of the last window, in seconds, whose verdict comes with the next event.
        self._window_s = 0.0
        self.silence_s = 0.0
        """Silence at the end of the audio so far, in seconds."""

    def add(self, event: vad.VADEvent, *, may_pause: bool = True) -> Change:
        """Take in an INFERENCE_DONE event. Without `may_pause` no pause is found in it."""
        if not event.speaking:
            return Change.DROPPED
        window_s = sum(frame.duration for frame in event.frames)
        verdict_before, self._window_s = self._window_s, window_s
        self.silence_s = event.raw_accumulated_silence
        if event.probability < SILENT_BELOW:
            self.silence_s += window_s
        if self._speech_s is None:
            return self._look_for_a_pause(may_pause)
        # Speech takes the VAD's silence back to nothing.
        if event.raw_accumulated_silence == 0.0:
            self._speech_s += verdict_before
        if self._speech_s < RESUMED_S:
            return Change.NONE
        self._speech_s = None
        return Change.RESUMED

    def _look_for_a_pause(self, may_pause: bool) -> Change:
        if self.silence_s < self._delay_s or self.count == MAX_SNAPSHOTS or not may_pause:
            return Change.NONE
        self.count += 1
        self._speech_s = 0.0
        return Change.PAUSED


class Utterance:
    """One utterance from START_OF_SPEECH on, with its audio while there will be snapshots of it.

    Fed by hand, event by event, by one task.
    """

    def __init__(self, frames: Sequence[rtc.AudioFrame], *, delay_s: float) -> None:
        """Begin with the frames of START_OF_SPEECH; a pause is `delay_s` of silence."""
        self._pauses = Pauses(delay_s=delay_s)
        # The audio that END_OF_SPEECH would hand over by now. Empty when it is no longer kept.
        self._frames = list(frames)
        # Length of the utterance so far, in seconds, kept or not.
        self._audio_s = sum(frame.duration for frame in frames)

    @property
    def silence_s(self) -> float:
        """Silence at the end of the audio so far, in seconds."""
        return self._pauses.silence_s

    def add(self, event: vad.VADEvent) -> Change:
        """Take in an INFERENCE_DONE event."""
        if event.speaking:
            self._keep(event.frames)
        return self._pauses.add(event, may_pause=bool(self._frames))

    def snapshot(self) -> rtc.AudioFrame:
        """Return the audio so far in one frame, after `add` has returned `Change.PAUSED`."""
        audio = utils.merge_frames(self._frames)
        self._frames = [audio]
        return audio

    def _keep(self, frames: Sequence[rtc.AudioFrame]) -> None:
        """Keep a window's audio while there will be snapshots."""
        self._audio_s += sum(frame.duration for frame in frames)
        if self._audio_s > MAX_KEPT_S or self._pauses.count == MAX_SNAPSHOTS:
            self._frames.clear()
        else:
            self._frames += frames


def begins_with(frames: Sequence[rtc.AudioFrame], snapshot: rtc.AudioFrame) -> bool:
    """Return True if the audio of END_OF_SPEECH begins with a snapshot.

    It does not when the VAD kept less of the utterance (``max_buffered_speech``), or other audio.
    """
    whole, beginning = utils.merge_frames(list(frames)).data.cast("B"), snapshot.data.cast("B")
    return bytes(whole[: len(beginning)]) == bytes(beginning)
