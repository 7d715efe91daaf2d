"""WAV: what is read, and what is refused with which words."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import SpekoAdapterError, WavAudio, parse_wav
from livekit_plugins_speko.audio.wav import (
    MAX_WAV_HEADER_BYTES,
    STREAMED_WAV_SIZE,
    check_wav_complete,
    read_wav_header,
)
from tests.helpers.support import tone, wav
from tests.helpers.wav_files import PCM, chunk, fmt, pcm16, rates, riff, samples

STREAMED_SIZES = (0, STREAMED_WAV_SIZE, 0x7FFFF000, 0xFFFFFFFF)


def refused(data: bytes) -> SpekoAdapterError:
    with pytest.raises(SpekoAdapterError) as raised:
        parse_wav(data)
    return raised.value


# parse_wav: what is read


@given(values=samples, rate=rates, channels=st.integers(1, 6))
def test_a_wav_of_the_standard_library_is_read_back(
    values: list[int], rate: int, channels: int
) -> None:
    pcm = pcm16(values * channels)
    assert parse_wav(wav(pcm, rate=rate, channels=channels)) == WavAudio(pcm, rate, channels)


chunk_names = st.sampled_from([b"LIST", b"JUNK", b"bext", b"fact"])
other_chunks = st.lists(st.tuples(chunk_names, st.binary(max_size=41)), max_size=4)


@given(before=other_chunks, between=other_chunks, after=other_chunks)
def test_chunks_around_fmt_and_data_are_walked_over(
    before: list[tuple[bytes, bytes]],
    between: list[tuple[bytes, bytes]],
    after: list[tuple[bytes, bytes]],
) -> None:
    head, middle, tail = ([chunk(*each) for each in group] for group in (before, between, after))
    data = riff(*head, fmt(rate=16_000), *middle, chunk(b"data", PCM), *tail)
    assert parse_wav(data) == WavAudio(PCM, 16_000, 1)


def test_an_odd_chunk_is_followed_by_a_pad_byte() -> None:
    padded = chunk(b"LIST", b"odd")
    assert len(padded) == 12
    assert parse_wav(riff(fmt(), padded, chunk(b"data", PCM))).pcm == PCM


def test_a_longer_fmt_chunk_is_read() -> None:
    extended = chunk(b"fmt ", fmt()[8:] + struct.pack("<H", 0))
    assert parse_wav(riff(extended, chunk(b"data", PCM))).pcm == PCM


@pytest.mark.parametrize("size", STREAMED_SIZES)
def test_a_streamed_size_means_to_the_end(size: int) -> None:
    data = b"RIFF" + struct.pack("<I", size) + b"WAVE" + fmt() + chunk(b"data", PCM, size=size)
    assert parse_wav(data) == WavAudio(PCM, 24_000, 1)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_streamed_wav_may_end_before_its_first_sample(size: int) -> None:
    assert parse_wav(riff(fmt(), chunk(b"data", b"", size=size))).pcm == b""


def test_a_size_just_below_the_streamed_ones_is_a_size() -> None:
    size = STREAMED_WAV_SIZE - 1
    error = refused(riff(fmt(), chunk(b"data", PCM, size=size)))
    assert f"the {size} it declares" in str(error)


@pytest.mark.parametrize(("channels", "left_over"), [(1, 1), (2, 1), (2, 3)])
def test_a_frame_that_is_not_whole_is_left_out(channels: int, left_over: int) -> None:
    pcm = tone(0.01, channels=channels)
    streamed = riff(fmt(channels=channels), chunk(b"data", pcm, size=0))
    assert parse_wav(streamed + b"\1" * left_over).pcm == pcm


def test_the_samples_are_a_read_only_view_of_frames_by_channels() -> None:
    stereo = parse_wav(wav(pcm16([1, -2, 3, -4, 5, -6]), channels=2))
    assert stereo.samples.dtype == np.int16
    assert stereo.samples.tolist() == [[1, -2], [3, -4], [5, -6]]
    assert np.shares_memory(stereo.samples, np.frombuffer(stereo.pcm, np.uint8))
    assert not stereo.samples.flags.writeable


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (48_000, 2)])
def test_the_duration_is_in_seconds(rate: int, channels: int) -> None:
    pcm = tone(0.25, rate=rate, channels=channels)
    assert parse_wav(wav(pcm, rate=rate, channels=channels)).duration == 0.25


# parse_wav: what is refused


MALFORMED = {
    "nothing": (b"", "it ends after 0 bytes, before its data chunk"),
    "no RIFF": (b"<html></html>", "it begins with b'<html></html', expected RIFF and WAVE"),
    "ID3": (b"ID3\4", "it begins with b'ID3\\x04', expected RIFF and WAVE"),
    "big endian": (
        b"RIFX\0\0\0\0WAVE",
        "it begins with b'RIFX\\x00\\x00\\x00\\x00WAVE', expected RIFF and WAVE",
    ),
    "no WAVE": (
        b"RIFF\0\0\0\0AVI ",
        "it begins with b'RIFF\\x00\\x00\\x00\\x00AVI ', expected RIFF and WAVE",
    ),
    "no data": (riff(fmt()), "it ends after 36 bytes, before its data chunk"),
    "data first": (
        riff(chunk(b"data", PCM), fmt()),
        "its data chunk comes before its fmt chunk",
    ),
    "short fmt": (
        riff(chunk(b"fmt ", fmt()[8:22]), chunk(b"data", PCM)),
        "its fmt chunk has 14 bytes, expected 16 or more",
    ),
    "no channels": (
        riff(fmt(channels=0), chunk(b"data", PCM)),
        "it declares 0 channels at 24000 Hz",
    ),
    "no rate": (riff(fmt(rate=0), chunk(b"data", PCM)), "it declares 1 channels at 0 Hz"),
    "broken off": (
        riff(fmt(), chunk(b"data", PCM))[:-2],
        f"it holds {len(PCM) - 2} bytes of the {len(PCM)} it declares",
    ),
    "endless tags": (
        riff(fmt(), chunk(b"LIST", b"", size=MAX_WAV_HEADER_BYTES)),
        "its data chunk does not begin in 65536 bytes",
    ),
}


@pytest.mark.parametrize(("data", "found"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_wav_is_refused_with_what_was_found(data: bytes, found: str) -> None:
    error = refused(data)
    assert (str(error), error.code) == (
        f"SpekoAdapter: malformed WAV: {found}.",
        "MALFORMED_AUDIO",
    )


@pytest.mark.parametrize(
    ("kind", "bits"), [(1, 8), (1, 24), (1, 32), (3, 32), (6, 8), (0x11, 4), (0xFFFE, 16)]
)
def test_a_wav_that_is_not_pcm16_is_refused_with_what_it_is(kind: int, bits: int) -> None:
    error = refused(riff(fmt(kind=kind, bits=bits), chunk(b"data", PCM)))
    assert (str(error), error.code) == (
        f"SpekoAdapter: expected a WAV of format 1 (PCM) with 16 bits, got format {kind} "
        f"with {bits} bits.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )


WITH_TAGS = riff(chunk(b"LIST", b"odd"), fmt(), chunk(b"JUNK", b"even"), chunk(b"data", PCM))


def test_a_wav_cut_anywhere_is_malformed() -> None:
    codes = {refused(WITH_TAGS[:length]).code for length in range(len(WITH_TAGS))}
    assert codes == {"MALFORMED_AUDIO"}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_one_way(data: bytes) -> None:
    for candidate in (data, WITH_TAGS[:12] + data, riff(fmt()) + data):
        try:
            parse_wav(candidate)
        except SpekoAdapterError:
            pass


# read_wav_header and check_wav_complete


def test_a_header_is_complete_with_its_last_byte_and_not_before() -> None:
    start = len(WITH_TAGS) - len(PCM)
    assert [read_wav_header(WITH_TAGS[:length]) for length in range(start)] == [None] * start
    for length in range(start, len(WITH_TAGS)):
        header = read_wav_header(bytearray(WITH_TAGS[:length]))
        assert header is not None
        assert (header.sample_rate, header.channels) == (24_000, 1)
        assert (header.data_start, header.data_bytes) == (start, len(PCM))


@pytest.mark.parametrize("data", [b"X", b"RI_", b"RIFF\0\0\0\0WAVF", b"ID3\4\0\0"])
def test_what_is_no_wav_is_refused_as_soon_as_that_is_certain(data: bytes) -> None:
    with pytest.raises(SpekoAdapterError, match="expected RIFF and WAVE"):
        read_wav_header(data)


@pytest.mark.parametrize("size", STREAMED_SIZES)
def test_a_streamed_header_knows_no_length(size: int) -> None:
    header = read_wav_header(riff(fmt(), chunk(b"data", b"", size=size)))
    assert header is not None
    assert header.data_bytes is None
    check_wav_complete(header, 0)


def test_tags_up_to_the_limit_are_walked_over() -> None:
    tags = chunk(b"LIST", bytes(MAX_WAV_HEADER_BYTES - 12 - len(fmt()) - 8))
    header = read_wav_header(riff(fmt(), tags, chunk(b"data", PCM)))
    assert header is not None
    assert header.data_start == MAX_WAV_HEADER_BYTES + 8
