"""A provider's streaming recognition: audio in, transcripts out, on three wires. No I/O."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

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

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        self._rate_hz = rate_hz
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
        before_s, self.audio_s = self.audio_s, self.audio_s + len(pcm) / (2 * self._rate_hz)
        if self._began_s is None:
            samples = np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32))
            loud = np.flatnonzero(samples > QUIET)
            if not loud.size:
                return None
            self._began_s = before_s + int(loud[0]) / self._rate_hz
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


class Endpointing:
    """The service's own VAD: sound is speech, and silence of a length ends it. Fed by hand."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        # Seconds since the last sound of the speech under way. None between two.
        self._silent_s: float | None = None

    def add(self, pcm: bytes, seconds: float) -> bool | None:
        """Take audio; return True where speech begins, False where it is over."""
        began = self._silent_s is None
        if pcm.strip(b"\0"):
            self._silent_s = 0.0
            return True if began else None
        if self._silent_s is None:
            return None
        self._silent_s += seconds
        if self._silent_s < self._silence_s:
            return None
        self._silent_s = None
        return False


class Wire:
    """The messages of a recognition that streams, as a service spells them."""

    rate_hz = RATE_HZ
    """The rate of its audio."""
    endpoint_s = math.inf
    """Silence after which it ends a segment itself. Endless where its client does."""

    def audio(self, message: str | bytes) -> bytes:
        """Return the audio in a message; nothing for another message."""
        return message if isinstance(message, bytes) else b""

    def speech(self, *, began: bool, audio_s: float) -> str:
        """Build the beginning or the end of speech, for those that end segments themselves."""
        raise NotImplementedError

    def opened(self) -> str | None:
        """Build what it sends when the first message has come; None for nothing."""
        return None

    def command(self, text: str) -> str | None:
        """Return "flush" or "end" for a client's text message; None for another."""
        return None

    def transcript(self, heard: Heard) -> str:
        """Build a transcript."""
        raise NotImplementedError

    def end(self) -> str | None:
        """Build its last message; None for nothing."""
        return None


class SpekoWire(Wire):
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


class DeepgramWire(Wire):
    """Deepgram's, as far as livekit-plugins-deepgram reads it."""

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


class OpenAIWire(Wire):
    """OpenAI's transcription in real time, as far as livekit-plugins-openai reads it."""

    rate_hz = 24_000
    endpoint_s = 0.35

    def audio(self, message: str | bytes) -> bytes:
        fields = json.loads(message)
        return base64.b64decode(fields["audio"]) if "audio" in fields else b""

    def opened(self) -> str | None:
        return dumped(type="session.created")

    def speech(self, *, began: bool, audio_s: float) -> str:
        kind, at = ("started", "start") if began else ("stopped", "end")
        times = {f"audio_{at}_ms": round(1e3 * audio_s)}
        return dumped(type=f"input_audio_buffer.speech_{kind}", item_id="item-1", **times)

    def transcript(self, heard: Heard) -> str:
        kind = "conversation.item.input_audio_transcription"
        if heard.is_final:
            usage = {"type": "tokens", "input_tokens": 20, "output_tokens": 5}
            return dumped(
                type=f"{kind}.completed", item_id="item-1", transcript=heard.text, usage=usage
            )
        return dumped(type=f"{kind}.delta", item_id="item-1", delta=heard.words[-1][0] + " ")


TRANSCRIPTION = "intent=transcription"
"""The query by which OpenAI's socket is one of recognition, and not of a voice model."""
WIRES: dict[str, Wire] = {
    "/v1/transcribe/stream": SpekoWire(),
    "/v1/listen": DeepgramWire(),
    f"/v1/realtime?{TRANSCRIPTION}": OpenAIWire(),
}
"""By the path of the socket."""


def dumped(**message: Any) -> str:
    """Write a message as a service does, without spaces."""
    return json.dumps(message, separators=(",", ":"))
