"""Knows the fixtures by their sound: an engine of recognition that costs next to nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livekit_plugins_speko import parse_wav
from livekit_plugins_speko.testing import GatewayRequest, Transcript
from tests.e2e.words import FIXTURES, SAID

STEPS_PER_S = 50
# Root mean square of int16 samples that no silent microphone has.
SOUND = 100.0
# What callers of the scripted gateway say: few, so that they are told apart on a busy machine too,
# on which the sound of a room has holes.
KNOWN = ("question", "goodbye")

Envelope = NDArray[np.float64]


class FixtureRecogniser:
    """Returns the text of the fixture whose loudness over time is most like what was said.

    It has no state, so any number of requests can be answered at once.
    """

    def __init__(self) -> None:
        """Read the fixtures."""
        self._known = {name: envelope((FIXTURES / f"{name}.wav").read_bytes()) for name in KNOWN}

    async def __call__(self, request: GatewayRequest) -> Transcript:
        """Return the transcript of a request's WAV; an empty text for silence."""
        return Transcript(self.recognise(request.audio))

    def recognise(self, wav: bytes) -> str:
        """Name what was said in a WAV."""
        found = envelope(wav)
        if not found.size or found.max() < SOUND:
            return ""
        likeness = {name: like(found, known) for name, known in self._known.items()}
        return SAID[max(likeness, key=likeness.__getitem__)]


def envelope(wav: bytes) -> Envelope:
    """Return the loudness of a WAV, 50 times a second."""
    audio = parse_wav(wav)
    mono = audio.samples.mean(axis=1)
    step = audio.sample_rate // STEPS_PER_S
    whole = mono[: len(mono) // step * step].reshape(-1, step)
    loudness: Envelope = np.sqrt(np.mean(whole**2, axis=1))
    return loudness


def like(found: Envelope, known: Envelope) -> float:
    """Return how alike two sounds are at their best shift, from 0 to 1."""
    products = np.correlate(found, known, mode="full")
    return float(products.max() / (np.linalg.norm(found) * np.linalg.norm(known)))
