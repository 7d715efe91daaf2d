"""PCM piece by piece: a WAV's samples, channels mixed down, and what needs no conversion."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko.audio.pcm import Converter, WavReader, mix_down
from livekit_plugins_speko.audio.wav import WAV_HEADER_BYTES
from tests.helpers.decoding_calls import audio_format, pieces
from tests.helpers.support import int16, tone, wav


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


def test_mixing_down_is_the_rounded_mean_and_never_overflows() -> None:
    pairs = [(0, 0), (100, -100), (32767, 32767), (-32768, -32768), (32767, -32768), (10, 13)]
    mixed = mix_down(np.array(pairs, dtype="<i2").tobytes(), 2)
    assert int16(mixed).tolist() == [0, 0, 32767, -32768, 0, 12]


def test_a_converter_that_has_nothing_to_do_holds_nothing_back() -> None:
    converter = Converter(24_000, 1, audio_format())
    assert (converter.push(b"\1"), converter.flush()) == (b"\1", b"")
