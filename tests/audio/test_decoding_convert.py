"""What a session gets to play of audio that has to be converted first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import numpy as np
import pytest

from livekit_plugins_speko.audio.decoding import COMPRESSED_TYPES, decode
from tests.helpers.decoding_calls import RATES, assert_alike, audio_format, decoded, pieces, refused
from tests.helpers.support import compressed, int16, pitch, tone, wav

# Two channels


@pytest.mark.parametrize("content_type", ["audio/wav", "audio/pcm;rate=24000;channels=2"])
async def test_two_channels_are_refused_unless_they_may_be_converted(content_type: str) -> None:
    pcm = tone(channels=2)
    data = wav(pcm, channels=2) if content_type == "audio/wav" else pcm
    assert await refused([data], audio_format(content_type)) == (
        "SpekoTTS: expected mono audio (1 channel), got 2 channels. Pin the Speko router to a "
        "provider that sends mono, or pass convert_audio=True.",
        "UNSUPPORTED_CHANNELS",
    )
    assert await decoded([data], audio_format(content_type, convert=True)) == tone()


async def test_two_channels_at_another_rate_are_mixed_and_resampled() -> None:
    stereo = wav(tone(0.5, rate=48_000, channels=2), rate=48_000, channels=2)
    converted = await decoded(pieces(stereo, 1001), audio_format("audio/wav", convert=True))
    mono = await decoded(
        [tone(0.5, rate=48_000)], audio_format("audio/pcm;rate=48000", convert=True)
    )
    assert_alike(converted, mono)


# Another rate


@pytest.mark.parametrize("content_type", ["audio/wav", "audio/pcm;rate=16000"])
async def test_another_rate_is_refused_unless_it_may_be_converted(content_type: str) -> None:
    pcm = tone(rate=16_000)
    data = wav(pcm, rate=16_000) if content_type == "audio/wav" else pcm
    assert await refused([data], audio_format(content_type)) == (
        "SpekoTTS: provider returned audio at 16000 Hz but the TTS was configured for 24000 Hz. "
        "Either set sample_rate=16000 on SpekoTTS, pin the Speko router to a provider that "
        "matches the expected rate, or pass convert_audio=True.",
        "SAMPLE_RATE_MISMATCH",
    )


@pytest.mark.parametrize("wanted", RATES)
@pytest.mark.parametrize("found", RATES)
async def test_resampled_audio_keeps_its_length_pitch_and_loudness(found: int, wanted: int) -> None:
    pcm = await decoded(
        pieces(tone(0.5, rate=found), 4800),
        audio_format(f"audio/pcm;rate={found}", sample_rate=wanted, convert=True),
    )
    assert len(pcm) / 2 / wanted == pytest.approx(0.5, abs=0.001)
    assert pitch(pcm, wanted) == pytest.approx(440, abs=2)
    middle = int16(pcm)[wanted // 10 : -wanted // 10]
    assert np.abs(middle).max() == pytest.approx(8000, rel=0.02)


async def test_a_long_read_is_resampled_whole() -> None:
    pcm = await decoded([tone(20, rate=48_000)], audio_format("audio/pcm;rate=48000", convert=True))
    assert len(pcm) / 2 / 24_000 == pytest.approx(20, abs=0.001)


@pytest.mark.parametrize("rate", [1, 3_999, 384_001, 4_000_000])
async def test_a_rate_that_cannot_be_resampled_is_refused_by_name(rate: int) -> None:
    assert await refused([tone()], audio_format(f"audio/pcm;rate={rate}", convert=True)) == (
        f"SpekoTTS: acme returned audio at {rate} Hz, expected a rate between 4000 and 384000 Hz.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )


# Compressed audio


@pytest.mark.parametrize("content_type", sorted(COMPRESSED_TYPES))
async def test_compressed_audio_is_refused_unless_it_may_be_converted(content_type: str) -> None:
    assert await refused([b"any"], audio_format(content_type)) == (
        f"SpekoTTS: acme returned {content_type}, which is played only after decoding. Pass "
        "convert_audio=True, or pin the Speko router to a provider that sends PCM.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )


@pytest.mark.parametrize("encoded_rate", [16_000, 24_000, 44_100])
@pytest.mark.parametrize("wanted", [16_000, 24_000, 48_000])
async def test_mp3_is_decoded_to_the_rate_wanted(encoded_rate: int, wanted: int) -> None:
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
    ("audio/opus", "ogg", "libopus", 48_000),
    ("audio/ogg; codecs=opus", "ogg", "libopus", 48_000),
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


async def test_mp3_is_handed_on_before_all_of_it_came() -> None:
    mp3, more = compressed(tone(1.0)), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield mp3[: len(mp3) // 2]
        await more.wait()
        yield mp3[len(mp3) // 2 :]

    pcm = decode(held(), audio_format("audio/mpeg", convert=True))
    heard = 0
    while heard < 0.2 * 2 * 24_000:
        heard += len(await asyncio.wait_for(anext(pcm), 5))
    more.set()
    heard += len(b"".join([chunk async for chunk in pcm]))
    assert heard / 2 / 24_000 == pytest.approx(1.0, abs=0.1)


async def test_a_decoder_that_is_left_early_leaves_nothing_behind() -> None:
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


async def test_a_fault_of_the_source_ends_the_decoding_with_it() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield compressed(tone(0.5))
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        async for _ in decode(broken(), audio_format("audio/mpeg", convert=True)):
            pass


@pytest.mark.parametrize("data", [b"\0" * 5000, b"<html>502</html>" * 100, b"x"])
async def test_bytes_that_are_no_mp3_are_malformed(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="livekit.agents")
    assert await refused([data], audio_format("audio/mpeg", convert=True)) == (
        "SpekoTTS: acme returned audio/mpeg that can't be decoded.",
        "MALFORMED_AUDIO",
    )
