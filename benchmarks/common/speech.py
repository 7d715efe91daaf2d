"""The caller's words: recorded utterances, 16000 Hz mono int16."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.report import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
TEXTS: dict[str, str] = json.loads((FIXTURES / "fixtures.json").read_text())
RATE_HZ = 16_000
# Quieter samples than this (of 32767) are silence; the recordings were trimmed by the same bound.
QUIET = 400
# A pause is put into the middle of an utterance, where it is quietest over this stretch.
QUIET_STRETCH_S = 0.03
NAMES = ("question", "weather", "time", "story", "goodbye")
# The VAD hands on this much of the silence before an utterance with it.
VAD_PADDING_S = 0.5


@dataclass(frozen=True)
class Utterance:
    """One recorded utterance.

    Attributes:
        name: Of the recording.
        samples: int16, shape (samples,), 16000 Hz.
        quiet_at: A sample in the quietest place of its middle third.
        pause_s: Silence that was put in before that sample, in seconds.
    """

    name: str
    samples: NDArray[np.int16]
    quiet_at: int
    pause_s: float = 0.0

    @property
    def last_sound(self) -> int:
        """The last sample that is louder than silence."""
        return int(np.flatnonzero(np.abs(self.samples.astype(np.int32)) > QUIET)[-1])

    def transcripts(self) -> list[tuple[float, str]]:
        """The gateway's transcripts by the seconds uploaded: half the text for half the audio."""
        text = TEXTS[self.name]
        # The silence after a half is uploaded with it, and is no second half.
        whole_s = VAD_PADDING_S + self.quiet_at / RATE_HZ + self.pause_s + 0.25
        return [(0.0, text[: len(text) // 2]), (whole_s, text)]

    def words(self) -> list[tuple[float, str]]:
        """Each word, and the seconds from the first sound to its end.

        The quiet place, and a pause there, are between two words; the others are spread by their
        letters.
        """
        loud = np.flatnonzero(np.abs(self.samples.astype(np.int32)) > QUIET)
        first, last, pause = int(loud[0]), int(loud[-1]), round(self.pause_s * RATE_HZ)
        words = TEXTS[self.name].split()
        letters = sum(map(len, words))
        share = (self.quiet_at - first) / (last - first - pause)
        places = (sum(map(len, words[:at])) / letters for at in range(1, len(words)))
        at = 1 + min(enumerate(places), key=lambda place: abs(place[1] - share))[0]
        halves = (
            (words[:at], first, self.quiet_at),
            (words[at:], self.quiet_at + pause, last),
        )
        return [((end - first) / RATE_HZ, word) for half in halves for end, word in spread(*half)]


def spread(words: list[str], start: int, end: int) -> Iterator[tuple[float, str]]:
    """Yield each word's last sample, by its share of the letters, and the word."""
    letters = sum(map(len, words))
    said = 0
    for word in words:
        said += len(word)
        yield start + (end - start) * said / letters, word


def recorded(name: str) -> Utterance:
    """Read one of the recordings in tests/fixtures."""
    with wave.open(str(FIXTURES / f"{name}.wav")) as reader:
        if (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) != (RATE_HZ, 1, 2):
            raise SystemExit(f"{name}.wav: expected 16000 Hz, mono, 16 bit")
        samples = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2")
    size = round(QUIET_STRETCH_S * RATE_HZ)
    energy = np.convolve(samples.astype(np.float64) ** 2, np.ones(size), mode="valid")
    third = len(samples) // 3
    quietest = third + int(np.argmin(energy[third : 2 * third]))
    return Utterance(name, samples, quietest + size // 2)


def with_pause(whole: Utterance, pause_s: float) -> Utterance:
    """Put that much silence into the middle of an utterance."""
    silence = np.zeros(round(pause_s * RATE_HZ), dtype=np.int16)
    samples = np.insert(whole.samples, whole.quiet_at, silence)
    return Utterance(whole.name, samples, whole.quiet_at, pause_s)
