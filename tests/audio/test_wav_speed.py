"""Building and reading a WAV makes no needless work: the event loop waits for it."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from livekit import rtc

from livekit_plugins_speko import frames_to_wav
from livekit_plugins_speko.audio.pcm import WavReader
from tests.helpers.support import frame
from tests.helpers.wav_files import chunk, fmt, riff

RATE_HZ = 16_000


def calls_of(function: Callable[[], object]) -> int:
    """How many calls a function makes, into Python and into C."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # what it would call is not the function's work
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls


def peak_bytes_of(function: Callable[[], object]) -> int:
    """How much memory a function takes at once, its result included."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def silence(seconds: float, *, frame_ms: int | None = None) -> list[rtc.AudioFrame]:
    """Silence in frames of that length, or in one."""
    count = round(seconds * RATE_HZ)
    size = count if frame_ms is None else RATE_HZ * frame_ms // 1000
    return [frame(bytes(2 * size), rate=RATE_HZ) for _ in range(count // size)]


def test_a_merged_frame_takes_as_many_calls_however_long_it_is() -> None:
    short, long = silence(0.01), silence(60)
    assert calls_of(lambda: frames_to_wav(long)) == calls_of(lambda: frames_to_wav(short))


@pytest.mark.parametrize("count", [1, 100])
def test_frames_take_as_many_calls_however_long_they_are(count: int) -> None:
    short = silence(count * 0.01, frame_ms=10)
    long = silence(count * 0.5, frame_ms=500)
    assert len(short) == len(long) == count
    assert calls_of(lambda: frames_to_wav(long)) == calls_of(lambda: frames_to_wav(short))


@pytest.mark.parametrize("frame_ms", [None, 500])
def test_the_samples_are_copied_once_and_never_listed(frame_ms: int | None) -> None:
    """One object per sample, or one more copy, would take as much memory again."""
    frames = silence(30, frame_ms=frame_ms)
    size = len(frames_to_wav(frames))
    assert size <= peak_bytes_of(lambda: frames_to_wav(frames)) < 1.2 * size


def test_a_header_that_comes_byte_by_byte_is_walked_over_once() -> None:
    """Walked over anew with each byte, the largest header takes a minute."""

    def read(tags: int) -> int:
        reader, file = WavReader(), riff(fmt(), *[chunk(b"JUNK", b"")] * tags)
        pieces = [file[at : at + 1] for at in range(len(file))]
        return calls_of(lambda: [reader.push(piece) for piece in pieces])

    assert read(tags=400) < 3 * read(tags=200)
