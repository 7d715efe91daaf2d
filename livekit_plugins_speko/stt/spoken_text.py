"""The text of one utterance, out of finals and interims of a stream that knows no utterances."""

from __future__ import annotations

from dataclasses import replace

from livekit.agents import stt

from .._text import with_space
from .continuation import continuation


class SpokenText:
    """Transcripts since the last utterance was sent. Fed by hand; used by one task."""

    def __init__(self) -> None:
        # Final transcripts of the utterance so far.
        self._finals: list[stt.SpeechData] = []
        # The last interim transcript of the open segment. None when none is open.
        self._interim: stt.SpeechData | None = None
        # Text of the open segment that was sent with earlier utterances.
        self._sent = ""

    @property
    def is_open(self) -> bool:
        """True while a segment has interim text and no final yet."""
        return self._interim is not None

    def add_interim(self, data: stt.SpeechData) -> None:
        """Take the open segment's text so far."""
        rest = self._unsent(data)
        self._interim = rest if rest.text else None

    def add_final(self, data: stt.SpeechData) -> None:
        """Take the open segment's final text, which closes it."""
        rest = self._unsent(data)
        self.close_segment()
        if rest.text:
            self._finals.append(rest)

    def close_segment(self) -> None:
        """Drop the open segment's interim text: it was final, or there was nothing to it."""
        self._interim = None
        self._sent = ""

    def joined(self) -> stt.SpeechData | None:
        """Return the text so far, the open segment's included. None when there is none."""
        parts = [*self._finals, *([self._interim] if self._interim is not None else [])]
        if not parts:
            return None
        text = ""
        for part in parts:
            text += with_space(text, part.text)
        words = [word for part in parts for word in part.words or ()]
        return replace(
            parts[-1],
            text=text,
            start_time=parts[0].start_time,
            end_time=parts[-1].end_time,
            confidence=sum(part.confidence for part in parts) / len(parts),
            words=words or None,
        )

    def take(self) -> stt.SpeechData | None:
        """Return the text so far and begin the next utterance.

        What is left of an open segment belongs to that one: its text, without the words that were
        returned here, which its final will repeat.
        """
        data = self.joined()
        if self._interim is not None:
            self._sent += with_space(self._sent, self._interim.text)
        self._finals, self._interim = [], None
        return data

    def _unsent(self, data: stt.SpeechData) -> stt.SpeechData:
        if not self._sent:
            return data
        return replace(data, text=continuation(self._sent, data.text), words=None)
