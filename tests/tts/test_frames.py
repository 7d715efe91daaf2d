"""Frames of a text's audio: short ones first, then what has arrived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc

from livekit_plugins_speko.tts.frames import FIRST_S, LONG_FRAME_S, SHORT_FRAME_S, FrameCutter

RATE = 24_000
PCM = bytes(range(256)) * 375  # 2 s


def cut(sizes: list[int], pcm: bytes = PCM, rate: int = RATE) -> list[tuple[float, bytes]]:
    """Duration and bytes of each frame, of audio that arrives in pieces of so many samples."""
    cutter, at = FrameCutter(rate), 0
    frames: list[rtc.AudioFrame] = []
    for size in sizes:
        frames += cutter.push(pcm[at : at + 2 * size], 0.0)
        at += 2 * size
    frames += cutter.push(pcm[at:], 0.0)
    frames += cutter.flush()
    return [(frame.duration, bytes(frame.data)) for frame in frames]


@given(
    st.lists(st.integers(0, 9_000), max_size=20), st.sampled_from([8_000, 16_000, 24_000, 48_000])
)
def test_all_audio_comes_once_in_frames_of_the_right_length(sizes: list[int], rate: int) -> None:
    frames = cut(sizes, rate=rate)
    assert b"".join(data for _, data in frames) == PCM
    begins = 0.0
    for number, (duration, _) in enumerate(frames):
        longest = SHORT_FRAME_S if begins < FIRST_S - 1e-6 else LONG_FRAME_S
        shortest = 0.0 if number == len(frames) - 1 else SHORT_FRAME_S
        assert shortest - 1e-6 <= duration <= longest + 1e-6
        begins += duration


def test_later_frame_holds_what_has_arrived() -> None:
    durations = [duration for duration, _ in cut([4_800, 960, 1_440])]
    assert durations[:13] == pytest.approx([0.02] * 10 + [0.04, 0.06, 0.1])


def test_less_than_a_short_frame_waits_for_more() -> None:
    cutter = FrameCutter(RATE)
    assert list(cutter.push(PCM[:958], 0.0)) == []
    assert [frame.duration for frame in cutter.push(PCM[958:960], 0.0)] == [0.02]


def test_frames_are_ahead_of_playing_by_what_has_not_been_played() -> None:
    cutter, second = FrameCutter(RATE), PCM[: 2 * RATE]
    assert cutter.ahead_s(5.0) < 0
    list(cutter.push(second, 10.0))
    assert cutter.ahead_s(10.4) == pytest.approx(0.6)
    list(cutter.push(second, 10.4))
    assert cutter.ahead_s(10.4) == pytest.approx(1.6)


def test_audio_after_an_outage_is_not_ahead_by_what_was_played_before() -> None:
    cutter = FrameCutter(RATE)
    list(cutter.push(PCM[:RATE], 10.0))
    list(cutter.push(PCM[:960], 20.0))
    assert cutter.ahead_s(20.0) == pytest.approx(0.02)
