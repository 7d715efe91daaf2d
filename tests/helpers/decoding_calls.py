"""Audio of any type, decoded completely."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import numpy as np
import pytest

from livekit_plugins_speko import SpekoAdapterError
from livekit_plugins_speko.audio.decoding import decode
from livekit_plugins_speko.audio.pcm import AudioFormat
from tests.helpers.support import int16

# Resampling dithers: the same input gives samples that differ by so much from run to run.
DITHER = 2

RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)


def audio_format(
    content_type: str = "audio/pcm;rate=24000", *, sample_rate: int = 24_000, convert: bool = False
) -> AudioFormat:
    return AudioFormat(content_type, provider="acme", sample_rate=sample_rate, convert=convert)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def as_async(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def decoded(chunks: Iterable[bytes], audio: AudioFormat) -> bytes:
    return b"".join([pcm async for pcm in decode(as_async(chunks), audio)])


async def refused(chunks: Iterable[bytes], audio: AudioFormat) -> tuple[str, str]:
    with pytest.raises(SpekoAdapterError) as raised:
        await decoded(chunks, audio)
    return str(raised.value), raised.value.code


def assert_alike(pcm: bytes, expected: bytes) -> None:
    assert len(pcm) == len(expected)
    assert np.abs(int16(pcm) - int16(expected)).max() <= DITHER
