"""Decoding of each kind of audio that a provider may send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import SpekoAdapterError, SpekoApiError, decode_synthesis_result
from livekit_plugins_speko.audio.content_type import PCM_TYPES
from livekit_plugins_speko.audio.decoding import Late, decode
from livekit_plugins_speko.audio.pcm import mix_down
from tests.helpers.decoding_calls import RATES, assert_alike, audio_format, decoded, pieces, refused
from tests.helpers.support import compressed, int16, pitch, shown, tone, wav
from tests.helpers.wav_files import chunk, extensible, fmt, riff, sized

EMPTY = ("SpekoTTS: provider returned empty audio", "EMPTY_AUDIO")
PCM = tone(0.3)
# One file of each encoding that is converted, as ffmpeg writes it.
CONVERTED = {
    codec: compressed(PCM, container="wav", codec=codec)
    for codec in ("pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_alaw", "pcm_mulaw")
}


@dataclass(frozen=True)
class Result:
    """A complete response of `synthesize()`, as far as decoding reads it."""

    audio: bytes
    content_type: str


def refused_whole(audio: bytes, content_type: str) -> tuple[str, str]:
    with pytest.raises(SpekoAdapterError) as raised:
        decode_synthesis_result(Result(audio, content_type))
    return str(raised.value), raised.value.code


# Audio that needs no conversion


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("content_type", ["audio/pcm", "audio/x-wav"])
async def test_mono_at_the_requested_rate_is_unchanged(
    convert: bool, rate: int, content_type: str
) -> None:
    pcm = tone(0.02, rate=rate)
    data = pcm if content_type == "audio/pcm" else wav(pcm, rate=rate)
    wanted = audio_format(f"{content_type};rate={rate}", sample_rate=rate, convert=convert)
    assert await decoded(pieces(data, 333), wanted) == pcm


@pytest.mark.parametrize("content_type", ["audio/pcm", "audio/pcm;rate=0", "AUDIO/L16; Rate=fast"])
async def test_pcm_without_a_rate_has_the_requested_one(content_type: str) -> None:
    assert await decoded([PCM], audio_format(content_type, sample_rate=16_000)) == PCM


@pytest.mark.parametrize("label", ["Audio/Wave", "audio/vnd.wave; codecs=1", "audio/pcm", ""])
async def test_wav_is_read_as_wav_with_any_label(label: str) -> None:
    for size in (1, 11, 1000):
        assert await decoded(pieces(wav(PCM), size), audio_format(label)) == PCM
    assert decode_synthesis_result(Result(wav(PCM), label)) == (PCM, 24_000, 1)


@pytest.mark.parametrize("label", sorted(PCM_TYPES))
async def test_pcm_is_recognised_by_each_of_its_names(label: str) -> None:
    assert await decoded([PCM], audio_format(f"{label};rate=24000")) == PCM
    assert decode_synthesis_result(Result(PCM + b"\1", f"{label};rate=8000")) == (PCM, 8_000, 1)
    assert decode_synthesis_result(Result(PCM, label)) == (PCM, 24_000, 1)


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("content_type", ["audio/pcm", "audio/wav", "audio/mpeg", "text/html"])
@pytest.mark.parametrize("chunks", [[], [b"", b""]])
async def test_no_bytes_of_any_type_are_empty_audio(
    content_type: str, convert: bool, chunks: list[bytes]
) -> None:
    assert await refused(chunks, audio_format(content_type, convert=convert)) == EMPTY
    assert refused_whole(b"", content_type) == EMPTY


@pytest.mark.parametrize(
    ("audio", "content_type"),
    [(b"\1", "audio/pcm"), (b"R", "audio/pcm"), (wav(b""), "audio/wav"), (wav(b"") * 2, "")],
)
async def test_bytes_without_a_sample_are_empty_audio(audio: bytes, content_type: str) -> None:
    assert await refused([audio], audio_format(content_type)) == EMPTY
    assert refused_whole(audio, content_type) == EMPTY


@pytest.mark.parametrize(
    ("content_type", "start", "more"),
    [
        ("audio/pcm;rate=24000", PCM, PCM),
        ("audio/wav", sized(PCM, 0), PCM),
        ("audio/wav", wav(PCM), wav(PCM)),
        ("audio/pcm;rate=24000", wav(PCM), wav(PCM)),
    ],
    ids=shown,
)
async def test_audio_is_forwarded_before_more_arrives(
    content_type: str, start: bytes, more: bytes
) -> None:
    gate = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield start
        await gate.wait()
        yield more

    pcm = decode(held(), audio_format(content_type))
    assert await asyncio.wait_for(anext(pcm), 5) == PCM
    gate.set()
    assert b"".join([piece async for piece in pcm]) == PCM


# Splits


@given(cuts=st.lists(st.integers(0, 2100), max_size=8), channels=st.integers(1, 3))
async def test_wavs_split_anywhere_give_the_same_samples(cuts: list[int], channels: int) -> None:
    pcm = tone(0.005, channels=channels)
    # Half a sample more, as a stopped stream leaves it.
    streamed = sized(pcm, 0, fmt_chunk=fmt(channels=channels)) + b"\1"
    data = streamed + wav(pcm, channels=channels)
    ends = sorted(min(cut, len(data)) for cut in cuts)
    chunks = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
    expected = 2 * mix_down(pcm, channels)
    assert await decoded(chunks, audio_format("audio/wav", convert=True)) == expected


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
@pytest.mark.parametrize("size", [1, 3, 481])
async def test_audio_of_another_rate_split_anywhere_is_resampled_alike(
    rate: int, size: int
) -> None:
    pcm = tone(0.05, rate=rate)
    wanted = audio_format(f"audio/pcm;rate={rate}", convert=True)
    assert_alike(await decoded(pieces(pcm, size), wanted), await decoded([pcm], wanted))


# Several WAVs in one response


async def test_wavs_of_several_formats_are_each_converted() -> None:
    files = [
        wav(PCM),
        wav(tone(0.3, rate=48_000), rate=48_000),
        wav(tone(0.3, channels=2), channels=2),
        CONVERTED["pcm_s24le"],
    ]
    pcm = await decoded(pieces(b"".join(files), 777), audio_format("audio/wav", convert=True))
    assert len(pcm) == 4 * len(PCM)
    for at in range(4):
        part = pcm[at * len(PCM) : (at + 1) * len(PCM)]
        assert np.abs(int16(part) - int16(PCM)).max() < 300


async def test_wavs_of_one_format_are_resampled_as_one() -> None:
    whole = tone(0.6, rate=48_000)
    files = [wav(part, rate=48_000) for part in pieces(whole, len(whole) // 4)]
    wanted = audio_format("audio/wav", convert=True)
    joined = await decoded([wav(whole, rate=48_000)], wanted)
    assert_alike(await decoded(files, wanted), joined)


async def test_second_wav_at_another_rate_is_refused_like_the_first() -> None:
    other = wav(tone(rate=16_000), rate=16_000)
    text, code = await refused([wav(PCM), other], audio_format("audio/wav"))
    assert ("audio at 16000 Hz" in text, code) == (True, "SAMPLE_RATE_MISMATCH")
    assert refused_whole(wav(PCM) + other, "audio/wav") == (
        "SpekoTTS: expected WAVs of one sample rate, got [16000, 24000] Hz. Let "
        "SpekoTTS(convert_audio=True) decode them.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )


def test_complete_wavs_of_one_rate_are_joined() -> None:
    response = sized(PCM, 0) + b"\1" + wav(PCM)
    assert decode_synthesis_result(Result(response, "audio/wav")) == (PCM + PCM, 24_000, 1)


@pytest.mark.parametrize("error", [SpekoApiError("gone", status=200, code="CUT"), None])
async def test_complete_wav_ends_where_the_response_fails_or_hangs(
    error: SpekoApiError | None,
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield wav(PCM)
        if error is not None:
            raise error
        await asyncio.Event().wait()

    late = Late(seconds=0.05)
    pcm = [piece async for piece in decode(broken(), audio_format("audio/wav"), late)]
    assert b"".join(pcm) == PCM


async def test_tail_that_trickles_is_not_waited_for() -> None:
    async def trickling() -> AsyncIterator[bytes]:
        yield wav(PCM)
        while True:
            await asyncio.sleep(0.01)
            yield b"{"

    decoding = decode(trickling(), audio_format("audio/wav"), Late(seconds=0.1))
    assert [piece async for piece in decoding] == [PCM]


async def test_wait_after_each_complete_wav_is_bounded_separately() -> None:
    first, second = wav(PCM), wav(PCM)

    async def slow() -> AsyncIterator[bytes]:
        yield first
        await asyncio.sleep(0.05)
        yield second[:100]
        await asyncio.sleep(0.25)
        yield second[100:]
        await asyncio.sleep(0.05)
        yield wav(PCM)

    pcm = [piece async for piece in decode(slow(), audio_format("audio/wav"), Late(seconds=0.2))]
    assert b"".join(pcm) == 3 * PCM


async def test_tail_larger_than_any_tags_ends_the_audio() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield wav(PCM)
        for _ in range(100):
            yield b"{" * 1000
        raise AssertionError("all of the tail was read")

    decoding = decode(endless(), audio_format("audio/wav"), Late(seconds=60))
    assert [piece async for piece in decoding] == [PCM]


@pytest.mark.parametrize("response", [wav(PCM)[:-100], wav(PCM) + wav(PCM)[:100], sized(PCM, 0)])
async def test_incomplete_wav_fails_as_its_response_does(response: bytes) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield response
        raise SpekoApiError("gone", status=200, code="CUT")

    with pytest.raises(SpekoApiError, match="gone"):
        async for _ in decode(broken(), audio_format("audio/wav")):
            pass


# Samples that are not int16


@pytest.mark.parametrize("codec", CONVERTED)
async def test_other_samples_in_a_wav_are_refused_unless_they_may_be_converted(codec: str) -> None:
    file = CONVERTED[codec]
    text, code = await refused([file], audio_format("audio/wav"))
    assert text.startswith(
        "SpekoAdapter: expected a WAV of format 1 (PCM) with 16 bits, got format "
    )
    assert text.endswith(
        " bits. Pass convert_audio=True, or pin the Speko router to a provider that sends "
        "16-bit PCM."
    )
    assert (code, refused_whole(file, "audio/wav")[1]) == ("UNSUPPORTED_AUDIO_FORMAT",) * 2
    pcm = await decoded(pieces(file, 101), audio_format("audio/wav", convert=True))
    assert len(pcm) == len(PCM)
    assert np.abs(int16(pcm) - int16(PCM)).max() <= 256


@pytest.mark.parametrize(
    "header", [extensible(kind=7, bits=8), fmt(kind=7, bits=8)], ids=["extensible", "plain"]
)
async def test_mu_law_is_converted_at_the_rate_wanted(header: bytes) -> None:
    file = riff(header, chunk(b"data", bytes([0x80, 0xFF, 0x00])))
    audio = audio_format("audio/wav", convert=True)
    assert int16(await decoded([file], audio)).tolist() == [32124, 0, -32124]


@pytest.mark.parametrize("convert", [False, True])
async def test_wav_that_cannot_be_converted_is_refused_by_format(convert: bool) -> None:
    adpcm = riff(fmt(kind=0x11, bits=4, frame_bytes=256), chunk(b"data", bytes(512)))
    assert await refused([adpcm], audio_format("audio/wav", convert=convert)) == (
        "SpekoAdapter: expected a WAV of format 1 (PCM) with 16 bits, got format 17 with 4 bits.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )


async def test_other_samples_are_refused_by_label_unless_they_may_be_converted() -> None:
    label = "audio/L16;rate=24000;endianness=big-endian"
    stored = np.frombuffer(PCM, "<i2").byteswap().tobytes()
    assert await refused([stored], audio_format(label)) == (
        f"SpekoTTS: acme returned {label}, expected int16 little-endian samples. Pass "
        "convert_audio=True, or pin the Speko router to a provider that sends 16-bit PCM.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )
    assert refused_whole(stored, label)[1] == "UNSUPPORTED_AUDIO_FORMAT"
    assert await decoded(pieces(stored, 7), audio_format(label, convert=True)) == PCM
    assert (await refused([stored], audio_format("audio/pcm;bits=12", convert=True)))[1] == (
        "UNSUPPORTED_AUDIO_FORMAT"
    )


# Other channels, other rates


@pytest.mark.parametrize("content_type", ["audio/wav", "audio/pcm;rate=24000;channels=2"])
async def test_two_channels_are_refused_unless_they_may_be_converted(content_type: str) -> None:
    pcm = tone(channels=2)
    data = wav(pcm, channels=2) if content_type == "audio/wav" else pcm
    expected = (
        "SpekoTTS: expected mono audio (1 channel), got 2 channels. Pin the Speko router to a "
        "provider that sends mono, or pass convert_audio=True.",
        "UNSUPPORTED_CHANNELS",
    )
    assert await refused([data], audio_format(content_type)) == expected
    assert refused_whole(data, content_type) == expected
    assert await decoded([data], audio_format(content_type, convert=True)) == tone()


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


async def test_long_read_is_resampled_completely() -> None:
    pcm = await decoded([tone(20, rate=48_000)], audio_format("audio/pcm;rate=48000", convert=True))
    assert len(pcm) / 2 / 24_000 == pytest.approx(20, abs=0.001)


@pytest.mark.parametrize("rate", [1, 3_999, 384_001, 4_000_000])
async def test_rate_that_cannot_be_resampled_is_refused_by_name(rate: int) -> None:
    assert await refused([tone()], audio_format(f"audio/pcm;rate={rate}", convert=True)) == (
        f"SpekoTTS: acme returned audio at {rate} Hz, expected a rate between 4000 and 384000 Hz.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )


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


@pytest.mark.parametrize(
    ("content_type", "audio", "named"),
    [
        ("audio/mpeg", PCM, "audio/mpeg"),
        ("Audio/OGG; codecs=opus", PCM, "audio/ogg"),
        ("audio/pcm", b"OggS", "audio/ogg"),
        ("application/octet-stream", PCM, "application/octet-stream"),
        ("", PCM, "no content type"),
    ],
    ids=shown,
)
def test_complete_file_other_than_pcm_or_wav_is_refused_by_name(
    content_type: str, audio: bytes, named: str
) -> None:
    assert refused_whole(audio, content_type) == (
        f"SpekoTTS: expected audio/pcm or audio/wav, got {named}. Pin the Speko router to a "
        "provider that sends PCM, or let SpekoTTS(convert_audio=True) decode it.",
        "UNSUPPORTED_CONTENT_TYPE",
    )


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize(
    ("data", "found"),
    [
        (wav(PCM)[:-4800], f"it holds {len(PCM) - 4800} bytes of the {len(PCM)} it declares"),
        (b"{}", "it begins with b'{}', expected RIFF and WAVE"),
    ],
    ids=shown,
)
async def test_malformed_wav_is_refused_with_what_was_found(
    data: bytes, found: str, convert: bool
) -> None:
    expected = (f"SpekoAdapter: malformed WAV: {found}.", "MALFORMED_AUDIO")
    wanted = audio_format("audio/wav", convert=convert)
    assert await refused(pieces(data, 40), wanted) == expected
    assert refused_whole(data, "audio/wav") == expected
