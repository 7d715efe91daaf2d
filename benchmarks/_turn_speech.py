"""What the caller of the turns says: recorded utterances, 16000 Hz mono int16."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
RATE_HZ = 16_000
# What is quieter than this is silence (of 32767), as for who trimmed the recordings.
QUIET = 400
# A pause is put into the middle of an utterance, where it is quietest over this stretch.
QUIET_STRETCH_S = 0.03
NAMES = ("question", "weather", "time", "story", "goodbye")


@dataclass(frozen=True)
class Utterance:
    """Something that a caller says.

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
    """The same utterance with that much silence put into its middle."""
    silence = np.zeros(round(pause_s * RATE_HZ), dtype=np.int16)
    samples = np.insert(whole.samples, whole.quiet_at, silence)
    return Utterance(whole.name, samples, whole.quiet_at, pause_s)
