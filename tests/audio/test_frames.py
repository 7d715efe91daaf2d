"""WAV and PCM: what frames become, what a content type tells, and whole answers."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from typing import Any

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
from livekit_plugins_speko.audio.wav import (
    WAV_HEADER_BYTES,
    media_type,
    pcm_channels_from_content_type,
)
from tests.helpers.support import frame, tone, wav
from tests.helpers.wav_files import PCM, chunk, fmt, pcm16, rates, riff, samples


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


def test_frames_may_come_from_any_iterable() -> None:
    frames = [frame(tone(0.01)), frame(tone(0.02))]
    assert frames_to_wav(each for each in frames) == frames_to_wav(frames)


@pytest.mark.parametrize("frames", [[1], "x", [None]])
def test_what_is_no_frame_is_refused(frames: Any) -> None:
    with pytest.raises(ValueError, match="expected livekit's audio frames, got"):
        frames_to_wav(frames)


@pytest.mark.parametrize("data", ["RIFF", None, 5])
def test_what_is_no_bytes_is_no_wav(data: Any) -> None:
    with pytest.raises(ValueError, match="expected the bytes of a WAV, got"):
        parse_wav(data)
