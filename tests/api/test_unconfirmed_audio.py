"""The audio that no final covers: each word is recognised once after any drop."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, strategies
from hypothesis.strategies import DrawFn

from livekit_plugins_speko.api.stream_clock import StreamClock
from livekit_plugins_speko.api.unconfirmed_audio import Flush, UnconfirmedAudio
from tests.helpers.stt_server import RATE_HZ, Ears, frames_of, pause, word

FLUSH = "flush"
WORDS = 6


def taken(audio: UnconfirmedAudio, now_s: float = 0.0) -> list[bytes | str]:
    """Everything still to send."""
    items: list[bytes | str] = []
    while (item := audio.take(now_s)) is not None:
        items.append(FLUSH if isinstance(item, Flush) else item)
    return items


def joined(items: list[bytes | str]) -> bytes:
    return b"".join(item for item in items if isinstance(item, bytes))


class Wire:
    """A caller, a connection and a recogniser, each of which is advanced step by step."""

    def __init__(self, *, with_times: bool) -> None:
        self.audio = UnconfirmedAudio(RATE_HZ)
        self.said: list[str] = []
        self._with_times = with_times
        self._script: deque[bytes | str] = deque()
        for number in range(1, WORDS + 1):
            self._script.extend((*frames_of(word(number), 0.05), FLUSH, *frames_of(pause(), 0.05)))
        self._connect()

    def _connect(self) -> None:
        self._ears = Ears()
        self._out: deque[bytes | str] = deque()
        self._back: deque[tuple[str, float]] = deque()

    @property
    def is_over(self) -> bool:
        return len(self.said) >= WORDS and not self._script

    def push(self) -> None:
        if self._script:
            item = self._script.popleft()
            if isinstance(item, bytes):
                self.audio.push(item, 0.0)
            else:
                self.audio.flush()

    def send(self) -> None:
        item = self.audio.take(0.0)
        if item is not None:
            self._out.append(FLUSH if isinstance(item, Flush) else item)

    def serve(self) -> None:
        if self._out:
            item = self._out.popleft()
            if isinstance(item, bytes):
                self._ears.feed(item)
            elif self._ears.words:
                text = " ".join(str(number) for number, _, _ in self._ears.words)
                self._back.append((text, self._ears.words[-1][2] / RATE_HZ))
                self._ears.words = []

    def deliver(self) -> None:
        if self._back:
            text, end_s = self._back.popleft()
            self.audio.confirm(0.0, end_s if self._with_times else None)
            self.said += text.split()

    def drop(self) -> None:
        self._connect()
        self.audio.rewind()


STEPS = ("push", "push", "push", "send", "send", "serve", "serve", "deliver", "drop")


@given(
    strategies.lists(strategies.sampled_from(STEPS), max_size=200),
    strategies.booleans(),
)
def test_each_word_comes_once_wherever_connections_drop(steps: list[str], with_times: bool) -> None:
    wire = Wire(with_times=with_times)
    for step in steps:
        getattr(wire, step)()
    for _ in range(1_000):
        if wire.is_over:
            break
        for step in ("push", "send", "serve", "deliver"):
            getattr(wire, step)()
    assert wire.said == [str(number) for number in range(1, WORDS + 1)]


@strategies.composite
def pieces(draw: DrawFn) -> list[bytes]:
    sizes = draw(strategies.lists(strategies.integers(1, 5_000), max_size=30))
    return [bytes([number % 256]) * 2 * size for number, size in enumerate(sizes)]


@given(pieces(), strategies.integers(0, 30))
def test_unconfirmed_audio_is_sent_again_unchanged(pushed: list[bytes], count: int) -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    for piece in pushed:
        audio.push(piece, 0.0)
    for _ in range(count):
        audio.take(0.0)
    audio.rewind()
    assert joined(taken(audio)) == b"".join(pushed)


def test_ten_seconds_of_a_long_silence_are_kept() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    for _ in range(600):
        audio.push(pause(1.0), 0.0)
        taken(audio)
    audio.rewind()
    assert len(joined(taken(audio))) == len(pause(10.0))


def test_all_audio_pushed_after_a_drop_is_kept() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(word(1), 0.0)
    taken(audio)
    audio.rewind()
    for _ in range(30):
        audio.push(pause(1.0), 0.0)
    assert len(joined(taken(audio))) == len(word(1) + pause(30.0))


def test_final_after_a_flush_covers_the_audio_before_the_flush() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(word(1), 0.0)
    audio.flush()
    audio.push(word(2), 0.0)
    taken(audio)
    audio.confirm(0.1, None)
    audio.rewind()
    assert taken(audio) == [word(2)]


def test_late_final_after_a_flush_belongs_to_the_pause() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(word(1), 0.0)
    audio.flush()
    audio.push(word(2), 0.0)
    taken(audio)
    audio.confirm(1.5, None)
    audio.rewind()
    assert taken(audio) == []


def test_flush_in_silence_awaits_no_final() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(pause(), 0.0)
    audio.flush()
    audio.push(word(1), 0.0)
    audio.flush()
    taken(audio)
    audio.confirm(0.1, None)
    audio.rewind()
    assert taken(audio) == []


def test_empty_final_settles_a_flush_and_covers_nothing() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(word(1), 0.0)
    audio.flush()
    taken(audio)
    audio.settle_flush(0.1)
    assert not audio.awaits_final(0.1)
    audio.rewind()
    assert taken(audio) == [word(1)]


@pytest.mark.parametrize("end_s", [-5.0, 0.0, 1e9])
def test_impossible_word_times_are_ignored(end_s: float) -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(word(1), 0.0)
    taken(audio)
    audio.push(word(2), 0.0)
    audio.confirm(0.1, end_s)
    audio.rewind()
    assert taken(audio) == [word(2)]


def test_times_continue_over_a_drop() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(word(1) + pause(), 0.3)
    taken(audio)
    audio.confirm(0.3, 0.2)
    audio.rewind()
    audio.push(word(2), 0.5)
    taken(audio)
    assert audio.stream_s(0.0) == pytest.approx(0.2)
    assert audio.stream_s(0.1) == pytest.approx(0.3)
    assert audio.stream_s(99.0, end=True) == pytest.approx(0.5)


class Microphone:
    """Pushes frames of 20 ms into a clock."""

    FRAME_S = 0.02

    def __init__(self) -> None:
        self.clock = StreamClock(2 * RATE_HZ)
        self.now_s = 0.0
        self.place = 0

    def speak(self, seconds: float, *, in_a_burst: bool = False) -> None:
        for _ in range(round(seconds / self.FRAME_S)):
            self.now_s += 0.0 if in_a_burst else self.FRAME_S
            self.clock.push(round(self.FRAME_S * 2 * RATE_HZ), self.now_s)
            self.place += round(self.FRAME_S * 2 * RATE_HZ)

    def end_s(self) -> float:
        return self.clock.time_of(self.place, end=True)


def test_gap_without_frames_counts_as_time() -> None:
    microphone = Microphone()
    microphone.speak(1.0)
    at_gap = microphone.place
    microphone.now_s += 3.0
    microphone.speak(1.0)
    assert microphone.end_s() == pytest.approx(5.0)
    assert microphone.clock.time_of(at_gap, end=True) == pytest.approx(1.0)
    assert microphone.clock.time_of(at_gap) == pytest.approx(4.0)


def test_late_burst_of_audio_is_not_a_gap() -> None:
    microphone = Microphone()
    microphone.speak(1.0)
    microphone.now_s += 2.0
    microphone.speak(2.0, in_a_burst=True)
    microphone.speak(1.0)
    assert microphone.end_s() == pytest.approx(4.0, abs=0.05)


def test_audio_pushed_faster_than_real_time_has_its_own_time() -> None:
    microphone = Microphone()
    microphone.speak(5.0, in_a_burst=True)
    assert microphone.end_s() == pytest.approx(5.0)
    microphone.now_s += 1.0
    microphone.speak(5.0, in_a_burst=True)
    assert microphone.end_s() == pytest.approx(11.0, abs=0.05)


def test_small_lags_add_up_to_a_gap() -> None:
    microphone = Microphone()
    for _ in range(20):
        microphone.speak(0.1)
        microphone.now_s += 0.1
    assert microphone.end_s() == pytest.approx(microphone.now_s, abs=0.4)


def test_empty_piece_is_no_audio() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(b"", 0.0)
    assert audio.is_empty and not audio.has_news
    assert taken(audio) == []


def test_time_on_a_connection_without_audio_is_where_its_audio_would_begin() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    assert audio.place_of(3.0) == 0
    audio.push(word(1), 0.0)
    taken(audio)
    audio.confirm(0.0, None)
    audio.rewind()
    assert audio.place_of(3.0) == len(word(1))


def test_oldest_of_very_many_gaps_is_left_out() -> None:
    clock = StreamClock(2 * RATE_HZ)
    size = 2 * RATE_HZ // 50
    for number in range(1, 1_102):
        clock.push(size, float(number))
    assert len(clock._places) == 1_000
    assert clock.time_of(1_101 * size, end=True) == pytest.approx(1_101.0)


def test_times_beyond_all_numbers_are_within_what_was_sent() -> None:
    audio = UnconfirmedAudio(RATE_HZ)
    audio.push(bytes(2 * RATE_HZ), 0.0)
    assert len(joined(taken(audio))) == 2 * RATE_HZ
    assert audio.place_of(1e308) == 2 * RATE_HZ
    assert audio.place_of(-1e308) == 0
    audio.confirm(1.0, 1e308)
    assert audio.is_empty
