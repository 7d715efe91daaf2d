"""WAV files chunk by chunk, right and wrong ones."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import strategies as st

from tests.helpers.support import tone

PCM = tone(0.01)
# Sizes that a stream's writer makes up.
STREAMED_SIZES = (0, 2_000_000_000, 0x7FFFFF9B, 0xFFFFFFFF)

rates = st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
samples = st.lists(st.integers(-32768, 32767), max_size=60)

_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def pcm16(values: list[int]) -> bytes:
    return np.array(values, dtype="<i2").tobytes()


def chunk(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    """A RIFF chunk, padded to an even length; `size` declares another one than its content's."""
    declared = len(content) if size is None else size
    return struct.pack("<4sI", name, declared) + content + b"\0" * (len(content) % 2)


def fmt(
    *,
    kind: int = 1,
    channels: int = 1,
    rate: int = 24_000,
    bits: int = 16,
    frame_bytes: int | None = None,
    more: bytes = b"",
) -> bytes:
    width = channels * bits // 8 if frame_bytes is None else frame_bytes
    fields = struct.pack("<HHIIHH", kind, channels, rate, rate * width, width, bits)
    return chunk(b"fmt ", fields + more)


def extensible(
    *, kind: int = 1, channels: int = 1, bits: int = 16, tail: bytes = _GUID_TAIL
) -> bytes:
    """A ``fmt`` chunk of WAVE_FORMAT_EXTENSIBLE, whose GUID names the kind of samples."""
    more = struct.pack("<HHIH", 22, bits, (1 << channels) - 1, kind) + tail
    return fmt(kind=0xFFFE, channels=channels, bits=bits, more=more)


def riff(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body


def sized(pcm: bytes, size: int, *, fmt_chunk: bytes | None = None) -> bytes:
    """A WAV with these samples that declares so many bytes of them."""
    return riff(fmt_chunk or fmt(), chunk(b"data", pcm, size=size))
