"""WAV files: those written for recognition, those parsed, and the errors of those refused."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc

from livekit_plugins_speko import SpekoAdapterError, WavAudio, frames_to_wav, parse_wav
from livekit_plugins_speko.audio.wav import (
    MAX_WAV_HEADER_BYTES,
    MAX_WAV_S,
    WAV_HEADER_BYTES,
    read_wav_header,
)
from tests.helpers.support import frame, tone, wav
from tests.helpers.wav_files import (
    PCM,
    STREAMED_SIZES,
    chunk,
    extensible,
    fmt,
    pcm16,
    rates,
    riff,
    samples,
    sized,
)


def refused(data: Any) -> tuple[str, str]:
    with pytest.raises(ValueError) as raised:
        parse_wav(data)
    assert isinstance(raised.value, SpekoAdapterError)
    return str(raised.value), raised.value.code


# frames_to_wav


@given(parts=st.lists(samples, min_size=1, max_size=5), rate=rates)
def test_frames_are_joined_in_their_order(parts: list[list[int]], rate: int) -> None:
    written = frames_to_wav(frame(pcm16(part), rate=rate) for part in parts)
    assert parse_wav(written) == WavAudio(b"".join(map(pcm16, parts)), rate, 1)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_standard_library_reads_mono_pcm16_at_the_frames_own_rate(rate: int) -> None:
    pcm = tone(0.05, rate=rate)
    with wave.open(io.BytesIO(frames_to_wav(frame(pcm, rate=rate)))) as reader:
        assert reader.getparams()[:3] == (1, 2, rate)
        assert reader.readframes(reader.getnframes()) == pcm


@pytest.mark.parametrize("count", [1, 3])
def test_header_is_44_bytes_with_true_sizes(count: int) -> None:
    written = frames_to_wav([frame(PCM, rate=24_000)] * count)
    assert len(written) == WAV_HEADER_BYTES + count * len(PCM)
    assert written == wav(PCM * count, rate=24_000)


@pytest.mark.parametrize("as_list", [False, True])
def test_two_channels_are_refused_with_a_remedy(as_list: bool) -> None:
    stereo = frame(tone(0.01, channels=2), channels=2)
    with pytest.raises(ValueError) as raised:
        frames_to_wav([frame(PCM), stereo] if as_list else stereo)
    assert str(raised.value) == (
        "SpekoSTT: expected mono audio (1 channel), got 2. Ask LiveKit for mono "
        "(AudioInputOptions(num_channels=1)), or mix the channels down before recognition."
    )
    assert getattr(raised.value, "code", None) == "UNSUPPORTED_CHANNELS"


def test_mixed_sample_rates_are_refused_by_name() -> None:
    with pytest.raises(ValueError) as raised:
        frames_to_wav([frame(PCM, rate=48_000), frame(PCM, rate=16_000)])
    assert str(raised.value) == (
        "SpekoSTT: expected frames of one sample rate, got [16000, 48000] Hz. "
        "Resample them to one rate before recognition."
    )
    assert getattr(raised.value, "code", None) == "UNSUPPORTED_AUDIO_FORMAT"


def test_no_frames_are_refused() -> None:
    no_frames: list[rtc.AudioFrame] = []
    with pytest.raises(ValueError, match="expected at least one audio frame, got none"):
        frames_to_wav(no_frames)


@pytest.mark.parametrize("frames", [[1], "x", [None]])
def test_anything_but_frames_is_refused(frames: Any) -> None:
    with pytest.raises(ValueError, match="expected livekit's audio frames, got"):
        frames_to_wav(frames)


# parse_wav: accepted files


@given(values=samples, rate=rates, channels=st.integers(1, 6))
def test_wav_of_the_standard_library_is_read_back(
    values: list[int], rate: int, channels: int
) -> None:
    pcm = pcm16(values * channels)
    assert parse_wav(wav(pcm, rate=rate, channels=channels)) == WavAudio(pcm, rate, channels)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_extensible_header_with_pcm16_is_read(channels: int) -> None:
    pcm = tone(0.01, channels=channels)
    file = riff(extensible(channels=channels), chunk(b"data", pcm))
    assert parse_wav(file) == WavAudio(pcm, 24_000, channels)


chunk_names = st.sampled_from([b"LIST", b"JUNK", b"bext", b"fact"])
other_chunks = st.lists(st.tuples(chunk_names, st.binary(max_size=41)), max_size=4)


@given(before=other_chunks, between=other_chunks, after=other_chunks)
def test_chunks_around_fmt_and_data_are_skipped(
    before: list[tuple[bytes, bytes]],
    between: list[tuple[bytes, bytes]],
    after: list[tuple[bytes, bytes]],
) -> None:
    head, middle, tail = ([chunk(*each) for each in group] for group in (before, between, after))
    data = riff(*head, fmt(rate=16_000), *middle, chunk(b"data", PCM), *tail)
    assert parse_wav(data) == WavAudio(PCM, 16_000, 1)


@pytest.mark.parametrize("more", [b"\0\0", bytes(24)])
def test_longer_fmt_chunk_is_read(more: bytes) -> None:
    assert parse_wav(sized(PCM, len(PCM), fmt_chunk=fmt(more=more))).pcm == PCM


@pytest.mark.parametrize("size", STREAMED_SIZES)
@pytest.mark.parametrize("pcm", [PCM, b""])
def test_impossible_size_means_to_the_end(pcm: bytes, size: int) -> None:
    assert parse_wav(sized(pcm, size)) == WavAudio(pcm, 24_000, 1)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (48_000, 2)])
def test_longest_possible_size_is_used(rate: int, channels: int) -> None:
    longest = MAX_WAV_S * rate * channels * 2
    header = fmt(rate=rate, channels=channels)
    text, _ = refused(sized(PCM, longest - 1, fmt_chunk=header))
    assert f"of the {longest - 1} it declares" in text
    assert parse_wav(sized(PCM, longest, fmt_chunk=header)).pcm == PCM


@pytest.mark.parametrize(("channels", "left_over"), [(1, 1), (2, 1), (2, 3)])
def test_incomplete_frame_is_left_out(channels: int, left_over: int) -> None:
    pcm = tone(0.01, channels=channels)
    streamed = sized(pcm, 0, fmt_chunk=fmt(channels=channels))
    assert parse_wav(streamed + b"\1" * left_over).pcm == pcm


def test_samples_are_a_read_only_view_of_frames_by_channels() -> None:
    stereo = parse_wav(wav(pcm16([1, -2, 3, -4, 5, -6]), channels=2))
    assert stereo.samples.dtype == np.int16
    assert stereo.samples.tolist() == [[1, -2], [3, -4], [5, -6]]
    assert np.shares_memory(stereo.samples, np.frombuffer(stereo.pcm, np.uint8))
    assert not stereo.samples.flags.writeable


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (48_000, 2)])
def test_duration_is_in_seconds(rate: int, channels: int) -> None:
    pcm = tone(0.25, rate=rate, channels=channels)
    assert parse_wav(wav(pcm, rate=rate, channels=channels)).duration == 0.25


# parse_wav: refused files


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
    "24 bits in frames of 4": (
        riff(fmt(bits=24, frame_bytes=4), chunk(b"data", PCM)),
        "its frames have 4 bytes, expected 3",
    ),
    "cut": (
        riff(fmt(), chunk(b"data", PCM))[:-2],
        f"it holds {len(PCM) - 2} bytes of the {len(PCM)} it declares",
    ),
    "endless tags": (
        riff(fmt(), chunk(b"LIST", b"", size=MAX_WAV_HEADER_BYTES)),
        "its data chunk does not begin in 65536 bytes",
    ),
}


@pytest.mark.parametrize(("data", "found"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_wav_is_refused_with_what_was_found(data: bytes, found: str) -> None:
    assert refused(data) == (f"SpekoAdapter: malformed WAV: {found}.", "MALFORMED_AUDIO")


OTHER_FORMATS = [
    *((fmt(kind=kind, bits=bits), kind, bits) for kind, bits in ((1, 8), (1, 24), (1, 32))),
    *((fmt(kind=kind, bits=bits), kind, bits) for kind, bits in ((3, 32), (6, 8), (7, 8))),
    (fmt(kind=0x11, bits=4, frame_bytes=256), 0x11, 4),
    (extensible(bits=24), 1, 24),
    (extensible(kind=3, bits=32), 3, 32),
    (extensible(tail=bytes(14)), 0xFFFE, 16),
    (fmt(kind=0xFFFE), 0xFFFE, 16),
]


@pytest.mark.parametrize(("header", "kind", "bits"), OTHER_FORMATS)
def test_wav_that_is_not_pcm16_is_refused_with_what_it_is(
    header: bytes, kind: int, bits: int
) -> None:
    assert refused(riff(header, chunk(b"data", PCM))) == (
        f"SpekoAdapter: expected a WAV of format 1 (PCM) with 16 bits, got format {kind} "
        f"with {bits} bits.",
        "UNSUPPORTED_AUDIO_FORMAT",
    )


@pytest.mark.parametrize("data", ["RIFF", None, 5])
def test_anything_but_bytes_is_refused(data: Any) -> None:
    assert "expected the bytes of a WAV, got" in refused(data)[0]


WITH_TAGS = riff(chunk(b"LIST", b"odd"), extensible(), chunk(b"JUNK", b"even"), chunk(b"data", PCM))


def test_wav_cut_anywhere_is_malformed() -> None:
    assert {refused(WITH_TAGS[:size])[1] for size in range(len(WITH_TAGS))} == {"MALFORMED_AUDIO"}


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused_with_one_error(data: bytes) -> None:
    for candidate in (data, WITH_TAGS[:12] + data, riff(fmt()) + data):
        try:
            parse_wav(candidate)
        except SpekoAdapterError:
            pass


# read_wav_header


def test_header_is_complete_only_with_its_last_byte() -> None:
    start = len(WITH_TAGS) - len(PCM)
    assert [read_wav_header(WITH_TAGS[:length]) for length in range(start)] == [None] * start
    header = read_wav_header(bytearray(WITH_TAGS[:start]))
    assert header is not None
    assert (header.format.sample_rate, header.format.channels) == (24_000, 1)
    assert (header.data_start, header.data_bytes) == (start, len(PCM))


@pytest.mark.parametrize("data", [b"X", b"RI_", b"RIFF\0\0\0\0WAVF", b"ID3\4\0\0"])
def test_anything_but_a_wav_is_refused_as_soon_as_that_is_certain(data: bytes) -> None:
    with pytest.raises(SpekoAdapterError, match="expected RIFF and WAVE"):
        read_wav_header(data)


def test_tags_up_to_the_limit_are_skipped() -> None:
    tags = chunk(b"LIST", bytes(MAX_WAV_HEADER_BYTES - 12 - len(fmt()) - 8))
    header = read_wav_header(riff(fmt(), tags, chunk(b"data", PCM)))
    assert header is not None
    assert header.data_start == MAX_WAV_HEADER_BYTES + 8
