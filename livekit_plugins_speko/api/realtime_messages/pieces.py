"""Pieces that the codecs share: JSON, and PCM of odd lengths. No I/O."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from . import SAMPLE_BYTES

FRAMES_PER_S = 50
"""Frames of audio that hold a second: 20 ms each."""

MAX_COUNT = 10**12
"""Largest count that is believed."""


def read_object(frame: str | bytes) -> dict[str, Any] | None:
    """Parse the JSON object of a frame; None for anything else."""
    try:
        text = frame if isinstance(frame, str) else frame.decode()
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            # Half of a surrogate pair can be written as JSON and as nothing else.
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


_COMPACT = json.JSONEncoder(separators=(",", ":"))


def to_json(value: object) -> str:
    """Write compact JSON."""
    return _COMPACT.encode(value)


def to_base64(pcm: bytes) -> str:
    """Write PCM as a JSON message holds it."""
    return base64.b64encode(pcm).decode("ascii")


def read_base64(value: object) -> bytes:
    """Parse PCM out of a JSON message; nothing where it is none."""
    if not isinstance(value, str):
        return b""
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return b""


def read_map(value: object, *keys: str) -> Mapping[str, Any]:
    """Return the object at a path of keys; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def read_text(value: object) -> str:
    """Return a text; an empty one for any other value."""
    return value if isinstance(value, str) else ""


def read_count(value: object) -> int:
    """Return a count; 0 for any other value."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 <= value <= MAX_COUNT else 0


class WholeSamples:
    """Makes pieces of PCM end between two samples: half a sample waits for the next piece."""

    def __init__(self) -> None:
        # The first byte of a sample whose second has not come. Empty without one.
        self._half = b""

    def feed(self, pcm: bytes) -> bytes:
        """Return the whole samples so far."""
        if not self._half and len(pcm) % 2 == 0:
            return pcm
        pcm = self._half + pcm
        even = len(pcm) - len(pcm) % 2
        self._half = pcm[even:]
        return pcm[:even]

    def frames(self, pcm: bytes, sample_rate: int) -> list[bytes]:
        """Return the whole samples so far, in frames of 20 ms and a rest."""
        pcm = self.feed(pcm)
        size = sample_rate // FRAMES_PER_S * SAMPLE_BYTES
        return [pcm[at : at + size] for at in range(0, len(pcm), size)]

    def reset(self) -> None:
        """Drop the half sample: what follows is other audio."""
        self._half = b""
