"""What a session gets to play of each kind of audio that a provider may send."""

from __future__ import annotations

import asyncio
import io
import logging
import struct
from collections.abc import AsyncIterator, Iterable

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from livekit_plugins_speko import SpekoAdapterError
from livekit_plugins_speko._decoding import COMPRESSED_TYPES, decode
from livekit_plugins_speko._pcm import AudioFormat, Converter, WavReader, mix_down
from livekit_plugins_speko.audio import WAV_HEADER_BYTES
from tests.support import tone, wav

STREAMED_SIZES = (0, 0x7FFFF000, 0xFFFFFFFF)

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


EMPTY = ("SpekoTTS: provider returned empty audio", "EMPTY_AUDIO")


def streamed(wav_file: bytes, size: int) -> bytes:
    """A WAV as a stream begins it: both sizes unknown."""
    unknown = struct.pack("<I", size)
    return wav_file[:4] + unknown + wav_file[8:40] + unknown + wav_file[WAV_HEADER_BYTES:]


def compressed(
    pcm: bytes, *, container: str = "mp3", codec: str = "libmp3lame", rate: int = 24_000
) -> bytes:
    """A tone in a real compressed file; MP4 in fragments, which is how it can be streamed."""
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    file = io.BytesIO()
    with av.open(
        file, "w", format=container, options=options if container == "mp4" else {}
    ) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        samples = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def shown(value: object) -> str | None:
    """The name of a parameter in a test's id, where the whole of it would be too long."""
    return f"{len(value)}_bytes" if isinstance(value, bytes) else None


def int16(pcm: bytes) -> NDArray[np.int64]:
    return np.frombuffer(pcm, dtype="<i2").astype(np.int64)


def pitch(pcm: bytes, rate: int = 24_000) -> float:
    """The loudest frequency in Hz."""
    samples = int16(pcm)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def assert_alike(pcm: bytes, expected: bytes) -> None:
    assert len(pcm) == len(expected)
    assert np.abs(int16(pcm) - int16(expected)).max() <= DITHER


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


@given(st.integers(1, 600))
def test_a_wav_reader_fed_piece_by_piece_hands_out_the_samples(size: int) -> None:
    pcm, reader = tone(0.01), WavReader()
    assert b"".join(map(reader.push, pieces(wav(pcm), size))) == pcm
    reader.finish()


def test_a_wav_reader_knows_the_header_with_its_last_byte() -> None:
    reader = WavReader()
    header = wav(tone())[:WAV_HEADER_BYTES]
    assert [reader.push(header[at : at + 1]) for at in range(WAV_HEADER_BYTES - 1)] == [b""] * 43
    assert reader.header is None
    assert reader.push(header[-1:]) == b""
    assert reader.header is not None
    assert (reader.header.sample_rate, reader.header.channels) == (24_000, 1)


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


def test_mixing_down_is_the_rounded_mean_and_never_overflows() -> None:
    pairs = [(0, 0), (100, -100), (32767, 32767), (-32768, -32768), (32767, -32768), (10, 13)]
    mixed = mix_down(np.array(pairs, dtype="<i2").tobytes(), 2)
    assert int16(mixed).tolist() == [0, 0, 32767, -32768, 0, 12]


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


def test_a_converter_that_has_nothing_to_do_holds_nothing_back() -> None:
    converter = Converter(24_000, 1, audio_format())
    assert (converter.push(b"\1"), converter.flush()) == (b"\1", b"")


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
