"""WAV and PCM: what is written, what is read, and what is refused with which words."""

from __future__ import annotations

import io
import struct
import wave
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc

from livekit_plugins_speko import (
    SpekoAdapterError,
    WavAudio,
    decode_synthesis_result,
    frames_to_wav,
    parse_wav,
    pcm_sample_rate_from_content_type,
)
from livekit_plugins_speko.audio import (
    MAX_WAV_HEADER_BYTES,
    STREAMED_WAV_SIZE,
    WAV_HEADER_BYTES,
    check_wav_complete,
    media_type,
    pcm_channels_from_content_type,
    read_wav_header,
)
from tests.support import frame, tone, wav

PCM = tone(0.01)
STREAMED_SIZES = (0, STREAMED_WAV_SIZE, 0x7FFFF000, 0xFFFFFFFF)

rates = st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
samples = st.lists(st.integers(-32768, 32767), max_size=60)


def pcm16(values: list[int]) -> bytes:
    return np.array(values, dtype="<i2").tobytes()


def chunk(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    """A RIFF chunk, padded to an even length; `size` declares another one than its content's."""
    declared = len(content) if size is None else size
    return struct.pack("<4sI", name, declared) + content + b"\0" * (len(content) % 2)


def fmt(*, kind: int = 1, channels: int = 1, rate: int = 24_000, bits: int = 16) -> bytes:
    width = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * width, width, bits))


def riff(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body


def refused(data: bytes) -> SpekoAdapterError:
    with pytest.raises(SpekoAdapterError) as raised:
        parse_wav(data)
    return raised.value


@dataclass(frozen=True)
class Result:
    """The two attributes of a whole `synthesize()` answer that decoding reads."""

    audio: bytes
    content_type: str


# frames_to_wav


@given(values=samples, rate=rates)
def test_frames_come_back_from_their_wav_as_they_were(values: list[int], rate: int) -> None:
    pcm = pcm16(values)
    assert parse_wav(frames_to_wav(frame(pcm, rate=rate))) == WavAudio(pcm, rate, 1)


@given(pieces=st.lists(samples, min_size=1, max_size=5), rate=rates)
def test_several_frames_are_joined_in_their_order(pieces: list[list[int]], rate: int) -> None:
    written = frames_to_wav([frame(pcm16(piece), rate=rate) for piece in pieces])
    assert parse_wav(written).pcm == b"".join(map(pcm16, pieces))


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_another_reader_finds_mono_pcm16_at_the_frames_own_rate(rate: int) -> None:
    pcm = tone(0.05, rate=rate)
    with wave.open(io.BytesIO(frames_to_wav(frame(pcm, rate=rate)))) as reader:
        assert reader.getparams()[:3] == (1, 2, rate)
        assert reader.readframes(reader.getnframes()) == pcm


def test_the_header_is_44_bytes_with_true_sizes() -> None:
    written = frames_to_wav(frame(PCM, rate=24_000))
    assert len(written) == WAV_HEADER_BYTES + len(PCM)
    assert written == wav(PCM, rate=24_000)


@pytest.mark.parametrize("as_list", [False, True])
def test_two_channels_are_refused_with_the_way_to_mend_it(as_list: bool) -> None:
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
    with pytest.raises(ValueError) as raised:
        frames_to_wav(no_frames)
    assert str(raised.value) == "SpekoSTT: expected at least one audio frame, got none."


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


# Content types


@pytest.mark.parametrize(
    ("content_type", "rate"),
    [
        ("audio/pcm;rate=24000", 24_000),
        ("audio/pcm; rate=16000", 16_000),
        ("AUDIO/PCM;RATE=48000", 48_000),
        ("audio/pcm ; Rate = 8000 ", 8_000),
        ('audio/pcm;rate="22050"', 22_050),
        ("audio/pcm;channels=1;rate=44100", 44_100),
        ("audio/pcm", 11),
        ("", 11),
        ("audio/pcm;rate", 11),
        ("audio/pcm;rate=", 11),
        ("audio/pcm;rate=0", 11),
        ("audio/pcm;rate=000", 11),
        ("audio/pcm;rate=-24000", 11),
        ("audio/pcm;rate=24000.5", 11),
        ("audio/pcm;rate=fast", 11),
        ("audio/pcm;rate=²", 11),
        ("audio/pcm;rate=٢٤٠٠٠", 11),
        ("audio/pcm;bitrate=64000", 11),
        ("audio/pcm rate=24000", 11),
        (f"audio/pcm;rate={'9' * 5000}", 11),
    ],
)
def test_the_rate_of_a_content_type_or_the_fallback(content_type: str, rate: int) -> None:
    assert pcm_sample_rate_from_content_type(content_type, 11) == rate


@given(st.text())
def test_any_content_type_has_a_positive_rate(content_type: str) -> None:
    assert pcm_sample_rate_from_content_type(f"audio/pcm;rate={content_type}", 24_000) > 0


@pytest.mark.parametrize(
    ("content_type", "channels"),
    [("audio/pcm;rate=8000;channels=2", 2), ("audio/pcm;channels=0", 1), ("audio/pcm", 1)],
)
def test_pcm_is_mono_unless_its_type_says_otherwise(content_type: str, channels: int) -> None:
    assert pcm_channels_from_content_type(content_type) == channels


@pytest.mark.parametrize("content_type", ["audio/pcm", " Audio/PCM ; rate=8000", "AUDIO/pcm;"])
def test_a_media_type_is_lower_case_and_without_parameters(content_type: str) -> None:
    assert media_type(content_type) == "audio/pcm"


# decode_synthesis_result


@pytest.mark.parametrize(
    ("audio", "content_type", "rate"),
    [
        (PCM, "audio/pcm;rate=16000", 16_000),
        (PCM, "Audio/PCM; Rate=48000", 48_000),
        (PCM, "audio/pcm", 24_000),
        (PCM + b"\1", "audio/pcm;rate=24000", 24_000),
        (wav(PCM, rate=22_050), "audio/wav", 22_050),
        (wav(PCM, rate=8_000), "Audio/X-WAV; codecs=1", 8_000),
        (riff(fmt(), chunk(b"data", PCM, size=0xFFFFFFFF)), "audio/wav", 24_000),
    ],
)
def test_a_whole_answer_is_decoded_to_mono_pcm(audio: bytes, content_type: str, rate: int) -> None:
    assert decode_synthesis_result(Result(audio, content_type)) == (PCM, rate, 1)


@pytest.mark.parametrize(
    ("content_type", "named"),
    [
        ("audio/mpeg", "audio/mpeg"),
        ("Audio/OGG; codecs=opus", "audio/ogg"),
        ("application/octet-stream", "application/octet-stream"),
        ("", "no content type"),
    ],
)
def test_anything_but_pcm_and_wav_is_refused_by_name(content_type: str, named: str) -> None:
    with pytest.raises(SpekoAdapterError) as raised:
        decode_synthesis_result(Result(PCM, content_type))
    assert str(raised.value) == (
        f"SpekoTTS: expected audio/pcm or audio/wav, got {named}. Pin the Speko router to a "
        "provider that sends PCM, or let SpekoTTS(convert_audio=True) decode it."
    )
    assert raised.value.code == "UNSUPPORTED_CONTENT_TYPE"


@pytest.mark.parametrize(
    ("audio", "content_type"),
    [
        (wav(tone(0.01, channels=2), channels=2), "audio/wav"),
        (tone(0.01, channels=2), "audio/pcm;rate=24000;channels=2"),
    ],
)
def test_a_whole_answer_of_two_channels_is_refused(audio: bytes, content_type: str) -> None:
    with pytest.raises(SpekoAdapterError) as raised:
        decode_synthesis_result(Result(audio, content_type))
    assert str(raised.value) == (
        "SpekoTTS: expected mono audio (1 channel), got 2 channels. Pin the Speko router to a "
        "provider that sends mono, or pass convert_audio=True."
    )
    assert raised.value.code == "UNSUPPORTED_CHANNELS"


@pytest.mark.parametrize(
    ("audio", "content_type"),
    [
        (b"", "audio/pcm;rate=24000"),
        (b"\1", "audio/pcm;rate=24000"),
        (b"", "audio/wav"),
        (b"", "audio/mpeg"),
        (wav(b""), "audio/wav"),
    ],
    ids=["pcm", "half a sample", "wav", "mp3", "wav without samples"],
)
def test_an_answer_without_a_sample_is_empty(audio: bytes, content_type: str) -> None:
    with pytest.raises(SpekoAdapterError) as raised:
        decode_synthesis_result(Result(audio, content_type))
    assert str(raised.value) == "SpekoTTS: provider returned empty audio"
    assert raised.value.code == "EMPTY_AUDIO"


def test_a_whole_answer_that_broke_off_is_malformed() -> None:
    with pytest.raises(SpekoAdapterError, match="malformed WAV") as raised:
        decode_synthesis_result(Result(wav(PCM)[:-4], "audio/wav"))
    assert raised.value.code == "MALFORMED_AUDIO"
