"""Samples: their format by content type, and their conversion to int16 mono."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko.audio.pcm import (
    A_LAW,
    FLOATS,
    INT16,
    INT16_BIG_ENDIAN,
    INTEGERS,
    MU_LAW,
    Converter,
    Encoding,
    SampleFormat,
    mix_down,
    pcm_format_from_content_type,
)
from tests.helpers.decoding_calls import audio_format, pieces
from tests.helpers.support import compressed, int16, tone

WIDE = {
    "pcm_s24le": Encoding(INTEGERS, 24),
    "pcm_s32le": Encoding(INTEGERS, 32),
    "pcm_f32le": Encoding(FLOATS, 32),
    "pcm_f64le": Encoding(FLOATS, 64),
}
"""Encodings that hold every int16 sample, by ffmpeg's names."""


def ffmpeg_samples(codec: str, pcm: bytes) -> bytes:
    """The samples of a tone as ffmpeg stores them, without the header of the file."""
    file = compressed(pcm, container="wav", codec=codec)
    return file[file.index(b"data") + 8 :]


@pytest.mark.parametrize("codec", WIDE)
def test_wider_samples_become_their_int16_originals(codec: str) -> None:
    pcm = tone(0.05)
    stored = ffmpeg_samples(codec, pcm)
    assert WIDE[codec].to_int16(stored).tobytes() == pcm


@pytest.mark.parametrize(
    ("codec", "encoding"),
    [
        ("pcm_u8", Encoding(INTEGERS, 8)),
        ("pcm_alaw", Encoding(A_LAW, 8)),
        ("pcm_mulaw", Encoding(MU_LAW, 8)),
    ],
)
def test_each_byte_becomes_the_sample_that_ffmpeg_decodes(codec: str, encoding: Encoding) -> None:
    every_byte = bytes(range(256))
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    resampler = av.AudioResampler(format="s16")
    decoded = [
        converted.to_ndarray()
        for frame in decoder.decode(av.Packet(every_byte))
        for converted in resampler.resample(frame)
    ]
    expected = np.concatenate(decoded, axis=1)[0]
    assert encoding.to_int16(every_byte).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("encoding", "stored", "expected"),
    [
        # 0.5 and 1.5 of an int16's step are rounded to even; what is out of range is clipped.
        (Encoding(INTEGERS, 24), [128, 384, 0x7FFFFF, -0x800000], [0, 2, 32767, -32768]),
        (Encoding(INTEGERS, 32), [32768, 3 * 32768, 2**31 - 1], [0, 2, 32767]),
    ],
)
def test_wide_integers_are_rounded_and_clipped(
    encoding: Encoding, stored: list[int], expected: list[int]
) -> None:
    data = b"".join(each.to_bytes(encoding.sample_bytes, "little", signed=True) for each in stored)
    assert encoding.to_int16(data).tolist() == expected


@pytest.mark.parametrize("bits", [32, 64])
def test_floats_out_of_range_are_clipped_and_nan_is_silence(bits: int) -> None:
    stored = np.array([2.0, -2.0, np.inf, -np.inf, np.nan, 1.5 / 32768], dtype=f"<f{bits // 8}")
    converted = Encoding(FLOATS, bits).to_int16(stored.tobytes())
    assert converted.tolist() == [32767, -32768, 32767, -32768, 0, 2]


# Content types


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("audio/pcm", SampleFormat(INT16, 24_000, 1)),
        ("audio/L16;codec=pcm;rate=16000", SampleFormat(INT16, 16_000, 1)),
        ("audio/l16; Channels=2", SampleFormat(INT16, 24_000, 2)),
        ("audio/pcm;channels=0;rate=0", SampleFormat(INT16, 24_000, 1)),
        ("audio/x-pcm;bit=16;rate=8000", SampleFormat(INT16, 8_000, 1)),
        (
            "audio/lpcm; sample-rate=8000; sample-size-bits=16; channel-count=2; "
            "is-big-endian=false",
            SampleFormat(INT16, 8_000, 2),
        ),
        ("audio/pcm;encoding=linear16", SampleFormat(INT16, 24_000, 1)),
        ("audio/raw;format=S16LE", SampleFormat(INT16, 24_000, 1)),
        ("audio/L16;endianness=little-endian", SampleFormat(INT16, 24_000, 1)),
        ("audio/L16;endianness=big-endian", SampleFormat(INT16_BIG_ENDIAN, 24_000, 1)),
        ("audio/lpcm;is-big-endian=TRUE", SampleFormat(INT16_BIG_ENDIAN, 24_000, 1)),
        ("audio/pcm;encoding=pcm_s16be", SampleFormat(INT16_BIG_ENDIAN, 24_000, 1)),
        ("audio/pcm;encoding=pcm_s24le", SampleFormat(Encoding(INTEGERS, 24), 24_000, 1)),
        ("audio/pcm;bits=8", SampleFormat(Encoding(INTEGERS, 8), 24_000, 1)),
        ("audio/pcm;encoding=float;bits=64", SampleFormat(Encoding(FLOATS, 64), 24_000, 1)),
        ("audio/pcm;encoding=ulaw;rate=8000", SampleFormat(Encoding(MU_LAW, 8), 8_000, 1)),
        ("audio/x-pcm;codec=alaw;bit=13", SampleFormat(Encoding(A_LAW, 8), 24_000, 1)),
    ],
)
def test_parameters_of_a_content_type_set_the_sample_format(
    content_type: str, expected: SampleFormat
) -> None:
    assert pcm_format_from_content_type(content_type, 24_000) == expected


@pytest.mark.parametrize(
    "encoding",
    [Encoding(INTEGERS, 12), Encoding(FLOATS, 16), Encoding(2, 4), Encoding(INTEGERS, 24, True)],
)
def test_other_encodings_cannot_be_converted(encoding: Encoding) -> None:
    assert not encoding.convertible


# Conversion


@given(
    size=st.integers(1, 40),
    channels=st.integers(1, 3),
    encoding=st.sampled_from([INT16, INT16_BIG_ENDIAN]),
)
def test_samples_split_anywhere_are_converted_alike(
    size: int, channels: int, encoding: Encoding
) -> None:
    mono = tone(0.005)
    stored = tone(0.005, channels=channels)
    if encoding.big_endian:
        stored = np.frombuffer(stored, "<i2").byteswap().tobytes()
    source = SampleFormat(encoding, 24_000, channels)
    converter = Converter(source, audio_format(convert=True))
    converted = [converter.push(piece) for piece in pieces(stored + b"\1", size)]
    assert b"".join(converted) + converter.flush() == mono
    assert {len(piece) % 2 for piece in converted} == {0}


def test_mixing_down_is_the_rounded_mean_and_never_overflows() -> None:
    pairs = [(0, 0), (100, -100), (32767, 32767), (-32768, -32768), (32767, -32768), (10, 13)]
    mixed = mix_down(np.array(pairs, dtype="<i2").tobytes(), 2)
    assert int16(mixed).tolist() == [0, 0, 32767, -32768, 0, 12]
