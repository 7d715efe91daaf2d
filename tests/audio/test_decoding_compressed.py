"""Decoding of compressed audio, which needs `convert_audio`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import numpy as np
import pytest
from livekit.agents.utils.codecs import AudioStreamDecoder

from livekit_plugins_speko.audio import decoding
from livekit_plugins_speko.audio.content_type import COMPRESSED_TYPES
from livekit_plugins_speko.audio.decoding import decode
from tests.helpers.decoding_calls import audio_format, decoded, pieces, refused
from tests.helpers.support import compressed, int16, pitch, tone


@pytest.mark.parametrize("content_type", sorted(COMPRESSED_TYPES))
async def test_compressed_audio_is_refused_unless_it_may_be_converted(content_type: str) -> None:
    assert await refused([b"any"], audio_format(content_type)) == (
        f"SpekoTTS: acme returned {content_type}, which is played only after decoding. Pass "
        "convert_audio=True, or pin the Speko router to a provider that sends PCM.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )


@pytest.mark.parametrize("encoded_rate", [16_000, 24_000, 44_100])
@pytest.mark.parametrize("wanted", [16_000, 24_000, 48_000])
async def test_mp3_is_decoded_to_the_requested_rate(encoded_rate: int, wanted: int) -> None:
    mp3 = compressed(tone(0.5, rate=encoded_rate), rate=encoded_rate)
    audio = audio_format("Audio/MPEG", sample_rate=wanted, convert=True)
    pcm = await decoded(pieces(mp3, 417), audio)
    # The encoder's padding stays: up to two MP3 frames of 1152 samples.
    assert len(pcm) / 2 / wanted == pytest.approx(0.5, abs=2 * 1152 / encoded_rate)
    assert pitch(pcm, wanted) == pytest.approx(440, abs=3)
    assert np.abs(int16(pcm)).max() == pytest.approx(8000, rel=0.1)


OTHER_CODECS = [
    ("audio/aac", "adts", "aac", 24_000),
    ("audio/flac", "flac", "flac", 24_000),
    ("audio/pcm;rate=24000", "flac", "flac", 24_000),
    ("audio/opus", "ogg", "libopus", 48_000),
    ("audio/ogg; codecs=opus", "ogg", "libopus", 48_000),
    ("application/octet-stream", "ogg", "libopus", 48_000),
    ("audio/webm", "webm", "libopus", 48_000),
    ("audio/mp4", "mp4", "aac", 24_000),
]


@pytest.mark.parametrize(("content_type", "container", "codec", "rate"), OTHER_CODECS)
async def test_other_compressed_audio_is_decoded(
    content_type: str, container: str, codec: str, rate: int
) -> None:
    data = compressed(tone(0.5, rate=rate), container=container, codec=codec, rate=rate)
    pcm = await decoded(pieces(data, 700), audio_format(content_type, convert=True))
    # LiveKit's decoder may lose a block at an end.
    assert len(pcm) / 2 / 24_000 == pytest.approx(0.5, abs=0.1)
    assert pitch(pcm) == pytest.approx(440, abs=4)


async def test_mp3_split_at_every_byte_gives_the_same_samples() -> None:
    mp3 = compressed(tone(0.2))
    wanted = audio_format("audio/mpeg", convert=True)
    assert await decoded(pieces(mp3, 1), wanted) == await decoded([mp3], wanted)


async def test_mp3_is_forwarded_before_the_rest_arrives() -> None:
    mp3, more = compressed(tone(1.0)), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield mp3[: len(mp3) // 2]
        await more.wait()
        yield mp3[len(mp3) // 2 :]

    pcm = decode(held(), audio_format("audio/mpeg", convert=True))
    received = 0
    while received < 0.2 * 2 * 24_000:
        received += len(await asyncio.wait_for(anext(pcm), 5))
    more.set()
    received += len(b"".join([piece async for piece in pcm]))
    assert received / 2 / 24_000 == pytest.approx(1.0, abs=0.1)


async def test_decoder_closed_early_leaves_nothing_open() -> None:
    source_closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield compressed(tone(0.5))
            await asyncio.Event().wait()
        finally:
            source_closed.set()

    pcm = decode(endless(), audio_format("audio/mpeg", convert=True))
    assert await anext(pcm)
    await pcm.aclose()  # type: ignore[attr-defined]
    assert source_closed.is_set()


async def test_decoder_is_closed_when_closing_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[AudioStreamDecoder] = []
    closing = asyncio.Event()

    class Decoder(AudioStreamDecoder):
        async def aclose(self) -> None:
            closed.append(self)
            await super().aclose()

    async def slow_to_close() -> AsyncIterator[bytes]:
        try:
            yield compressed(tone(0.5))
            await asyncio.Event().wait()
        finally:
            closing.set()
            await asyncio.sleep(0.02)

    monkeypatch.setattr(decoding, "AudioStreamDecoder", Decoder)
    pcm = decode(slow_to_close(), audio_format("audio/mpeg", convert=True))
    await anext(pcm)
    leaving = asyncio.create_task(pcm.aclose())  # type: ignore[attr-defined]
    await closing.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    assert len(closed) == 1


async def test_error_of_the_source_is_raised_by_the_decoder() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield compressed(tone(0.5))
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        async for _ in decode(broken(), audio_format("audio/mpeg", convert=True)):
            pass


@pytest.mark.parametrize("data", [b"\0" * 5000, b"<html>502</html>" * 100, b"x"])
async def test_bytes_that_are_not_mp3_are_malformed(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="livekit.agents")
    assert await refused([data], audio_format("audio/mpeg", convert=True)) == (
        "SpekoTTS: acme returned audio/mpeg that can't be decoded.",
        "MALFORMED_AUDIO",
    )
