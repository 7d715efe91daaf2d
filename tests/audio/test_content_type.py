"""Content types: the type of a response's audio, by its label and by its first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import pcm_sample_rate_from_content_type
from livekit_plugins_speko.audio.content_type import PCM_TYPES, media_type, sniff
from tests.helpers.support import tone, wav

WAV = wav(tone())


@pytest.mark.parametrize(
    ("content_type", "rate"),
    [
        ("audio/pcm;rate=24000", 24_000),
        ("audio/pcm; rate=16000", 16_000),
        ("AUDIO/PCM;RATE=48000", 48_000),
        ("audio/pcm ; Rate = 8000 ", 8_000),
        ('audio/pcm;rate="22050"', 22_050),
        ("audio/L16;codec=pcm;rate=44100", 44_100),
        ("audio/pcm", 11),
        ("", 11),
        ("audio/pcm;rate", 11),
        ("audio/pcm;rate=", 11),
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
def test_rate_is_the_content_types_or_the_fallback(content_type: str, rate: int) -> None:
    assert pcm_sample_rate_from_content_type(content_type, 11) == rate


@given(st.text())
def test_any_content_type_has_a_positive_rate(content_type: str) -> None:
    assert pcm_sample_rate_from_content_type(f"audio/pcm;rate={content_type}", 24_000) > 0


@pytest.mark.parametrize("content_type", ["audio/pcm", " Audio/PCM ; rate=8000", "AUDIO/pcm;"])
def test_media_type_is_lower_case_and_without_parameters(content_type: str) -> None:
    assert media_type(content_type) == "audio/pcm"


@pytest.mark.parametrize(
    "label", [*sorted(PCM_TYPES), "audio/mpeg", "audio/basic", "application/octet-stream", ""]
)
def test_wav_is_recognised_by_its_start_with_any_label(label: str) -> None:
    assert sniff(f"{label};rate=8000", WAV) == "audio/wav"
    # Its twelfth byte decides, and no byte before that.
    assert [sniff(label, WAV[:size]) for size in range(1, 12)] == [None] * 11
    assert sniff(label, WAV[:12]) == "audio/wav"


@pytest.mark.parametrize(
    ("start", "found"), [(b"OggS", "audio/ogg"), (b"fLaC", "audio/flac"), (b"ID3", "audio/mpeg")]
)
def test_compressed_file_labelled_as_samples_is_recognised_by_its_start(
    start: bytes, found: str
) -> None:
    for label in ("audio/pcm;rate=24000", "application/octet-stream", ""):
        assert sniff(label, start[:-1]) is None
        assert sniff(label, start + b"more") == found


@pytest.mark.parametrize(
    ("label", "start"),
    [
        ("audio/pcm;rate=24000", b"\0"),
        ("audio/pcm", b"RIFX"),
        ("audio/pcm", b"RIFF\0\0\0\0AVI "),
        ("audio/pcm", b"fL\0"),
        ("audio/aac", b"ID3"),
        ("audio/wav", b"O"),
        ("text/html", WAV),
        ("application/json", b"R"),
    ],
)
def test_any_other_start_confirms_the_label_at_once(label: str, start: bytes) -> None:
    assert sniff(label, start) == media_type(label)
