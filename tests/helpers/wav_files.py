"""WAV files chunk by chunk, right and wrong ones."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import strategies as st

from tests.helpers.support import tone

PCM = tone(0.01)

rates = st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
samples = st.lists(st.integers(-32768, 32767), max_size=60)


def pcm16(values: list[int]) -> bytes:
    return np.array(values, dtype="<i2").tobytes()


def chunk(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    """A RIFF chunk, padded to an even length; `size` declares another one than its content's."""
    declared = len(content) if size is None else size
    return struct.pack("<4sI", name, declared) + content + b"\0" * (len(content) % 2)


def fmt(*, kind: int = 1, channels: int = 1, rate: int = 24_000, bits: int = 16) -> bytes:
    width = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * width, width, bits))


def riff(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body
