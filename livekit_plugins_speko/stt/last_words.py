"""The end of a call, as LiveKit tells an STT of it: silence, faster than it would sound. No I/O."""

from __future__ import annotations

from livekit import rtc
from livekit.agents import vad

AHEAD_S = 1.5
"""Audio that comes at once when a session closes, in seconds. LiveKit pushes 2 s of silence."""


class LastWords:
    """Notices that a session asks for the last words of its caller, and when there are none left.

    A session that closes pushes silence and waits, 2 s by default, for the final transcript of what
    was said. Where nothing was, none comes, and the caller waits in a silent room. An empty one
    ends the wait. Used by the tasks of one stream.
    """

    def __init__(self) -> None:
        # Audio that was pushed so far, and how much of it came ahead of its time, in seconds.
        self._pushed_s = self._ahead_s = 0.0
        # When audio was pushed last. None before the first.
        self._last: float | None = None
        # Where in the audio the question stands, in seconds. None when none is open.
        self._asked_s: float | None = None

    def pushed(self, frame: rtc.AudioFrame, now: float) -> None:
        """Note audio on its way to the VAD.

        Args:
            frame: The audio.
            now: Seconds of any clock.
        """
        self._pushed_s += frame.duration
        elapsed = 0.0 if self._last is None else now - self._last
        self._last = now
        self._ahead_s = max(0.0, self._ahead_s - elapsed) + frame.duration
        if self._ahead_s >= AHEAD_S and not any(frame.data):
            self._ahead_s = 0.0
            self._asked_s = self._pushed_s

    def flushed(self) -> None:
        """Note a flush, after which a VAD counts its audio anew."""
        self._pushed_s, self._asked_s = 0.0, None

    def answers(self, event: vad.VADEvent) -> bool:
        """Return True, once, when the VAD has come to the question. Call it between utterances."""
        # A VAD keeps some audio back, for a window or for its resampler.
        due = self._asked_s is not None and event.timestamp >= self._asked_s - AHEAD_S / 2
        if due:
            self._asked_s = None
        return due
