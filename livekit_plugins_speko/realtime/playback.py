"""The clock of what is being played, as far as it can be known without the loudspeaker."""

from __future__ import annotations

import time

UNHEARD_S = 0.5
"""Audio left unplayed, in seconds, from which on a complete text can't have been heard whole."""


def cut_text(text: str, played_s: float, audio_s: float) -> str:
    """Return the part of a text that was heard, in whole words, from how much of its audio was.

    Args:
        text: All of the reply.
        played_s: Audio that was played, in seconds.
        audio_s: Audio of the whole text, in seconds.
    """
    if played_s + UNHEARD_S > audio_s:
        return text
    end = round(len(text) * played_s / audio_s)
    if " " in text:  # a language without spaces is cut between two characters
        end = max(0, text.rfind(" ", 0, end + 1))
    return text[:end].rstrip()


class Playback:
    """Estimates when the audio that was received has been played.

    Audio comes faster than it is played. LiveKit reports a position only for a reply that it cut,
    so the end is computed from durations. In seconds of `time.monotonic`.
    """

    def __init__(self) -> None:
        # Time at which the last sample received has been played. Before any, the beginning.
        self.ends_at = time.monotonic()

    def add(self, duration_s: float) -> None:
        """Queue `duration_s` seconds of audio."""
        self.ends_at = max(self.ends_at, time.monotonic()) + duration_s

    def cut(self) -> None:
        """Drop what was not played yet."""
        self.ends_at = min(self.ends_at, time.monotonic())

    @property
    def left_s(self) -> float:
        """Return the seconds that are still to be played; below 0 since the last was played."""
        return self.ends_at - time.monotonic()
