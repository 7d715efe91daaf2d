"""WAVs piece by piece: their samples, and the start of the next file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import SpekoAdapterError
from livekit_plugins_speko.audio.wav import MAX_WAV_HEADER_BYTES, WavHeader
from livekit_plugins_speko.audio.wav_reader import WavReader
from tests.helpers.decoding_calls import pieces
from tests.helpers.support import tone, wav
from tests.helpers.wav_files import PCM, STREAMED_SIZES, chunk, fmt, riff, sized

# 0.1 s at 24,000 Hz.
SLACK_BYTES = 4_800
SPEECH = tone(0.3)
LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0\0")


def read(file: bytes, size: int | None = None) -> list[bytes]:
    """The samples of each file, read in pieces of a size."""
    reader = WavReader()
    items = [item for piece in pieces(file, size or len(file)) for item in reader.push(piece)]
    files: list[bytes] = []
    for item in items + reader.finish():
        if isinstance(item, WavHeader):
            files.append(b"")
        else:
            files[-1] += item
    return files


def refused(file: bytes) -> str:
    with pytest.raises(SpekoAdapterError) as raised:
        read(file)
    assert raised.value.code == "MALFORMED_AUDIO"
    return str(raised.value).removeprefix("SpekoAdapter: malformed WAV: ").removesuffix(".")


def calls_of(function: Callable[[], object]) -> int:
    """Number of calls that a function makes, into Python and into C."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


FORMS = {
    "true size": [wav(PCM)],
    **{f"size {size}": [sized(PCM, size)] for size in STREAMED_SIZES},
    "chunks before and after": [
        riff(LIST, fmt(), chunk(b"note", b"odd"), chunk(b"data", PCM), LIST)
    ],
    "size too large": [sized(PCM, len(PCM) + SLACK_BYTES - 2)],
    "size too small": [sized(PCM, 100)],
    "size too small and odd": [sized(PCM, 101)],
    "samples in two chunks": [
        riff(fmt(), chunk(b"data", PCM[:100]), chunk(b"data", PCM[100:]), LIST)
    ],
    "text after the samples": [wav(PCM) + b'{"alignment": [[0, 1]]}\r\n'],
    "tags without a form after the samples": [wav(PCM) + LIST + b"\xff\xfe" * 8],
    "two files": [wav(PCM), wav(PCM)],
    "two streamed files": [sized(PCM, 0), sized(PCM, 0xFFFFFFFF)],
    "the first too large": [sized(PCM, len(PCM) + 100), wav(PCM)],
    "the first too small": [sized(PCM, 100), wav(PCM)],
    "chunks between two files": [wav(PCM) + LIST + LIST, wav(PCM)],
    "text between two files": [wav(PCM) + b"\r\n--boundary--\r\n", wav(PCM)],
    "a chunk of odd length between": [wav(PCM) + chunk(b"note", b"odd"), wav(PCM)],
    "one without its padding": [wav(PCM) + chunk(b"note", b"odd")[:-1], wav(PCM)],
    "an empty file between": [wav(PCM), wav(b""), wav(PCM)],
}
"""The files of a response, each of which holds `PCM` or nothing."""


@pytest.mark.parametrize("files", FORMS.values(), ids=FORMS.keys())
def test_all_samples_are_read_in_pieces_of_any_size(files: list[bytes]) -> None:
    response = b"".join(files)
    expected = [PCM if len(file) > 44 else b"" for file in files]
    assert read(response) == expected
    for size in (1, 2, 3, 7, 11, 12, 43, 44, 45, 100):
        assert read(response, size) == expected


@given(st.binary(max_size=64), st.integers(1, 400))
def test_samples_that_look_like_the_start_of_a_file_are_samples(data: bytes, size: int) -> None:
    like_a_file = data + b"RIFRIFF1234WAVRIFF" + data + b" RIF"
    response = sized(like_a_file, 0) + wav(PCM)
    assert read(response, size) == [like_a_file, PCM]


def test_8_bit_samples_of_odd_length_are_padded() -> None:
    odd = riff(fmt(bits=8), chunk(b"data", b"\x80" * 99))
    unknown_size = odd[:4] + b"\xff" * 4 + odd[8:]
    for size in range(1, 200):
        assert read(odd + unknown_size + LIST, size) == [b"\x80" * 99] * 2


def test_zero_after_the_declared_end_is_a_sample_unless_a_chunk_follows() -> None:
    assert read(sized(bytes(200), 100)) == [bytes(200)]


def test_samples_are_returned_as_they_arrive() -> None:
    reader = WavReader()
    assert reader.push(wav(SPEECH)[:43]) == []
    header, first = reader.push(wav(SPEECH)[43:1000])
    assert isinstance(header, WavHeader)
    assert first == SPEECH[: 1000 - 44]
    assert reader.push(SPEECH[956:2000]) == [SPEECH[956:2000]]


# Wrong sizes


@pytest.mark.parametrize("missing", [2, SLACK_BYTES - 2])
def test_less_than_a_tenth_of_a_second_missing_is_tolerated(missing: int) -> None:
    assert read(wav(SPEECH)[:-missing]) == [SPEECH[:-missing]]


@pytest.mark.parametrize("missing", [SLACK_BYTES, len(SPEECH)])
@pytest.mark.parametrize("then", [b"", wav(PCM)])
def test_more_missing_is_a_cut_with_any_bytes_after_it(missing: int, then: bytes) -> None:
    left = len(SPEECH) - missing
    assert refused(wav(SPEECH)[: 44 + left] + then) == (
        f"it holds {left} bytes of the {len(SPEECH)} it declares"
    )


def test_file_cut_in_its_header_is_malformed() -> None:
    assert refused(wav(PCM)[:43]) == "it ends after 43 bytes, before its data chunk"
    assert refused(wav(PCM) + wav(PCM)[:30]) == "it ends after 30 bytes, before its data chunk"


# The end


@pytest.mark.parametrize("tail", [b"", b"\0", LIST, b'{"alignment": []}'])
def test_file_is_complete_with_its_last_declared_sample(tail: bytes) -> None:
    reader = WavReader()
    reader.push(wav(PCM)[:-1])
    assert not reader.complete
    reader.push(wav(PCM)[-1:] + tail)
    assert reader.complete


def test_file_is_not_complete_once_the_next_has_begun() -> None:
    reader = WavReader()
    reader.push(wav(PCM) + wav(PCM)[:12])
    assert not reader.complete


def test_streamed_file_is_never_complete() -> None:
    reader = WavReader()
    reader.push(sized(PCM, 0))
    assert not reader.complete


@pytest.mark.parametrize("tail", [chunk(b"LIST", bytes(24)), b"plain text, and no end of it... "])
def test_reading_ends_after_more_than_any_tags(tail: bytes) -> None:
    assert len(tail) == 32
    most = tail * (MAX_WAV_HEADER_BYTES // len(tail))
    reader = WavReader()
    reader.push(wav(PCM) + most)
    assert not reader.ended
    reader.push(tail)
    assert reader.ended
    assert reader.push(wav(PCM)) + reader.finish() == []
    assert read(wav(PCM) + most + wav(PCM)) == [PCM, PCM]
    assert read(wav(PCM) + most + tail + wav(PCM)) == [PCM]


def test_header_that_arrives_byte_by_byte_is_parsed_once() -> None:
    """Walked over anew with each byte, the largest header takes a minute."""

    def calls(tags: int) -> int:
        reader, file = WavReader(), riff(fmt(), *[chunk(b"JUNK", b"")] * tags)
        return calls_of(lambda: [reader.push(piece) for piece in pieces(file, 1)])

    assert calls(tags=400) < 3 * calls(tags=200)
