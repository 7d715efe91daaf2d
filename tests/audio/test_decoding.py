"""What a session gets to play of each kind of audio that a provider may send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko.audio.decoding import decode
from livekit_plugins_speko.audio.pcm import mix_down
from livekit_plugins_speko.audio.wav import WAV_HEADER_BYTES
from tests.helpers.decoding_calls import RATES, assert_alike, audio_format, decoded, pieces, refused
from tests.helpers.support import compressed, shown, streamed, tone, wav

STREAMED_SIZES = (0, 0x7FFFF000, 0xFFFFFFFF)

EMPTY = ("SpekoTTS: provider returned empty audio", "EMPTY_AUDIO")


# Audio that is already as it is wanted


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", ["pcm", "wav", *STREAMED_SIZES])
async def test_mono_at_the_rate_wanted_is_the_same_bytes(
    convert: bool, rate: int, kind: str | int
) -> None:
    pcm = tone(0.02, rate=rate)
    data = pcm if kind == "pcm" else wav(pcm, rate=rate)
    if isinstance(kind, int):
        data = streamed(data, kind)
    content_type = f"audio/pcm;rate={rate}" if kind == "pcm" else "audio/x-wav"
    wanted = audio_format(content_type, sample_rate=rate, convert=convert)
    assert await decoded(pieces(data, 333), wanted) == pcm


@pytest.mark.parametrize("content_type", ["audio/pcm", "audio/pcm;rate=0", "AUDIO/PCM; Rate=fast"])
async def test_pcm_that_does_not_say_its_rate_has_the_one_wanted(content_type: str) -> None:
    pcm = tone(0.02)
    assert await decoded([pcm], audio_format(content_type, sample_rate=16_000)) == pcm


@pytest.mark.parametrize("content_type", ["audio/wav", "Audio/Wave", "audio/vnd.wave; codecs=1"])
async def test_each_name_of_wav_is_known(content_type: str) -> None:
    assert await decoded([wav(tone())], audio_format(content_type)) == tone()


@pytest.mark.parametrize("chunks", [[], [b""]])
@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize(
    "content_type", ["audio/pcm", "audio/pcm;rate=8000", "audio/wav", "audio/mpeg", "text/html"]
)
async def test_no_bytes_are_empty_audio_whatever_their_type(
    content_type: str, convert: bool, chunks: list[bytes]
) -> None:
    assert await refused(chunks, audio_format(content_type, convert=convert)) == EMPTY


@pytest.mark.parametrize(("audio", "content_type"), [(b"\1", "audio/pcm"), (wav(b""), "audio/wav")])
async def test_bytes_without_a_sample_are_empty_audio(audio: bytes, content_type: str) -> None:
    assert await refused([audio], audio_format(content_type)) == EMPTY


async def test_chunks_after_the_samples_of_a_wav_are_left_out() -> None:
    tagged = wav(tone()) + b"LIST\4\0\0\0tags"
    assert await decoded(pieces(tagged, 100), audio_format("audio/wav")) == tone()


@pytest.mark.parametrize("content_type", ["audio/pcm;rate=24000", "audio/wav"])
async def test_audio_is_handed_on_before_more_of_it_comes(content_type: str) -> None:
    first, more = tone(0.1), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield first if content_type != "audio/wav" else streamed(wav(first), 0)
        await more.wait()
        yield tone(0.05)

    pcm = decode(held(), audio_format(content_type))
    assert await asyncio.wait_for(anext(pcm), 5) == first
    more.set()
    assert b"".join([chunk async for chunk in pcm]) == tone(0.05)


# Splits


@given(cuts=st.lists(st.integers(0, 524), max_size=8), stereo=st.booleans())
async def test_a_wav_split_anywhere_gives_the_same_samples(cuts: list[int], stereo: bool) -> None:
    channels = 2 if stereo else 1
    pcm = tone(0.01 / channels, channels=channels)
    data, ends = wav(pcm, channels=channels), sorted(cuts)
    chunks = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
    expected = mix_down(pcm, channels)
    assert await decoded(chunks, audio_format("audio/wav", convert=True)) == expected


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("content_type", ["audio/pcm;rate=24000", "audio/wav"])
async def test_audio_cut_in_two_at_every_byte_gives_the_same_samples(
    content_type: str, convert: bool
) -> None:
    pcm = tone(0.005)
    data = wav(pcm) if content_type == "audio/wav" else pcm
    wanted = audio_format(content_type, convert=convert)
    for cut in range(len(data) + 1):
        assert await decoded([data[:cut], data[cut:]], wanted) == pcm


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("channels", [2, 3])
async def test_channels_split_anywhere_are_mixed_alike(channels: int, size: int) -> None:
    pcm = tone(0.01, channels=channels)
    wanted = audio_format(f"audio/pcm;rate=24000;channels={channels}", convert=True)
    assert await decoded(pieces(pcm, size), wanted) == tone(0.01)


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
@pytest.mark.parametrize("size", [1, 3, 481])
async def test_audio_of_another_rate_split_anywhere_is_resampled_alike(
    rate: int, size: int
) -> None:
    pcm = tone(0.05, rate=rate)
    wanted = audio_format(f"audio/pcm;rate={rate}", convert=True)
    assert_alike(await decoded(pieces(pcm, size), wanted), await decoded([pcm], wanted))


async def test_mp3_split_at_every_byte_gives_the_same_samples() -> None:
    mp3 = compressed(tone(0.2))
    wanted = audio_format("audio/mpeg", convert=True)
    assert await decoded(pieces(mp3, 1), wanted) == await decoded([mp3], wanted)


# Anything else


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize(
    ("content_type", "named"),
    [
        ("text/html; charset=utf-8", "text/html"),
        ("application/json", "application/json"),
        ("application/octet-stream", "application/octet-stream"),
        ("audio/basic", "audio/basic"),
        ("audio/pcmu;rate=8000", "audio/pcmu"),
        ("", "no content type"),
    ],
)
async def test_any_other_type_is_refused_by_type_and_provider(
    content_type: str, named: str, convert: bool
) -> None:
    assert await refused([tone()], audio_format(content_type, convert=convert)) == (
        f"SpekoTTS: acme returned {named}, which is no audio that SpekoTTS knows. Pin the Speko "
        "router to another provider (constraints={'allowedProviders': {'tts': [...]}}).",
        "UNSUPPORTED_CONTENT_TYPE",
    )


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize(
    ("data", "found"),
    [
        (wav(tone())[:-2], "it holds 4798 bytes of the 4800 it declares"),
        (wav(tone())[:WAV_HEADER_BYTES], "it holds 0 bytes of the 4800 it declares"),
        (wav(tone())[:43], "it ends after 43 bytes, before its data chunk"),
        (b"RIFF", "it ends after 4 bytes, before its data chunk"),
        (b"{}", "it begins with b'{}', expected RIFF and WAVE"),
    ],
    ids=shown,
)
async def test_a_malformed_wav_is_refused_with_what_was_found(
    data: bytes, found: str, convert: bool
) -> None:
    assert await refused(pieces(data, 40), audio_format("audio/wav", convert=convert)) == (
        f"SpekoAdapter: malformed WAV: {found}.",
        "MALFORMED_AUDIO",
    )


@pytest.mark.parametrize("convert", [False, True])
async def test_a_wav_of_other_than_16_bits_is_refused(convert: bool) -> None:
    text, code = await refused(
        [wav(bytes(300), width=3)], audio_format("audio/wav", convert=convert)
    )
    assert "got format 1 with 24 bits" in text
    assert code == "UNSUPPORTED_AUDIO_FORMAT"
