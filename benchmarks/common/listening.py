"""A provider's streaming recognition: audio in, transcripts out, on two wires. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from benchmarks.common.speech import QUIET, RATE_HZ
from benchmarks.common.upstream import Words


@dataclass(frozen=True)
class Heard:
    """The text of a segment.

    Attributes:
        is_final: True if it will not change.
        words: Each word, and its first and last second in the connection's audio.
    """

    is_final: bool
    words: tuple[tuple[str, float, float], ...]

    @property
    def text(self) -> str:
        return " ".join(word for word, _, _ in self.words)


class Listener:
    """Knows the words of each utterance, and says them as far as their audio has come.

    An utterance begins with the first sound after its words were set. Fed by hand.
    """

    def __init__(self) -> None:
        self.audio_s = 0.0
        """Seconds of audio so far."""
        # The words of the utterance under way, compared by identity.
        self._words: Words = ()
        # Second of the audio at which its first sound came. None before it.
        self._began_s: float | None = None
        # How many of the words the audio has, and how many of these a final had.
        self._known = self._final = 0

    def add(self, pcm: bytes, words: Words) -> Heard | None:
        """Take audio; return the segment's text if it has a word more."""
        if words is not self._words:
            self._words, self._began_s = words, None
            self._known = self._final = 0
        before_s, self.audio_s = self.audio_s, self.audio_s + len(pcm) / (2 * RATE_HZ)
        if self._began_s is None:
            samples = np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32))
            loud = np.flatnonzero(samples > QUIET)
            if not loud.size:
                return None
            self._began_s = before_s + int(loud[0]) / RATE_HZ
        spoken_s = self.audio_s - self._began_s
        known = sum(end_s <= spoken_s for end_s, _ in self._words)
        if known == self._known:
            return None
        self._known = known
        return self._heard(is_final=False)

    def flush(self) -> Heard:
        """Return the final of the segment, which has no words when nothing was said."""
        heard = self._heard(is_final=True)
        self._final = self._known
        return heard

    def _heard(self, *, is_final: bool) -> Heard:
        began_s = self._began_s or 0.0
        ends = [0.0, *(end_s for end_s, _ in self._words)]
        spans = (
            (word, began_s + start_s, began_s + end_s)
            for start_s, (end_s, word) in zip(ends, self._words, strict=False)
        )
        return Heard(is_final, tuple(spans)[self._final : self._known])


class Wire(Protocol):
    """The messages of a recognition that streams, as a service spells them."""

    def opened(self) -> str | None:
        """Build what it sends when the first message has come; None for nothing."""

    def command(self, text: str) -> str | None:
        """Return "flush" or "end" for a client's text message; None for another."""

    def transcript(self, heard: Heard) -> str:
        """Build a transcript."""

    def end(self) -> str | None:
        """Build its last message; None for nothing."""


class SpekoWire:
    """Speko's own."""

    def opened(self) -> str | None:
        return dumped(type="ready", provider="bench", model="bench-1")

    def command(self, text: str) -> str | None:
        kind = json.loads(text)["type"]
        return kind if kind in ("flush", "end") else None

    def transcript(self, heard: Heard) -> str:
        words = [
            {"text": word, "start": start_s, "end": end_s, "confidence": 0.98}
            for word, start_s, end_s in heard.words
        ]
        return dumped(
            type="transcript",
            text=heard.text,
            isFinal=heard.is_final,
            confidence=0.98,
            words=words,
        )

    def end(self) -> str | None:
        return dumped(type="end")


class DeepgramWire:
    """Deepgram's, as far as livekit-plugins-deepgram reads it."""

    def opened(self) -> str | None:
        return None

    def command(self, text: str) -> str | None:
        return {"Finalize": "flush", "CloseStream": "end"}.get(json.loads(text)["type"])

    def transcript(self, heard: Heard) -> str:
        words = [
            {
                "word": word.lower(),
                "start": start_s,
                "end": end_s,
                "confidence": 0.98,
                "punctuated_word": word,
            }
            for word, start_s, end_s in heard.words
        ]
        alternative = {"transcript": heard.text, "confidence": 0.98, "words": words}
        return dumped(
            type="Results",
            channel_index=[0, 1],
            is_final=heard.is_final,
            speech_final=heard.is_final,
            channel={"alternatives": [alternative]},
            metadata={"request_id": "req-1"},
        )

    def end(self) -> str | None:
        return None


WIRES: dict[str, Wire] = {"/v1/transcribe/stream": SpekoWire(), "/v1/listen": DeepgramWire()}
"""By the path of the socket."""


def dumped(**message: Any) -> str:
    """Write a message as a service does, without spaces."""
    return json.dumps(message, separators=(",", ":"))
