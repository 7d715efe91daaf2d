"""Pauses worth an early recognition, from the VAD's events alone."""

from __future__ import annotations

import pytest
from livekit.agents import utils

from livekit_plugins_speko.stt.eager import Change, EagerStats, Utterance, begins_with
from tests.helpers.eager_calls import WINDOW_S, silence, speech, window
from tests.helpers.support import frame

NONE, PAUSED, RESUMED = Change.NONE, Change.PAUSED, Change.RESUMED


class Ear:
    """Reports the windows of an utterance as Silero does: a loud one resets the silence."""

    def __init__(self, *, delay_s: float = 0.2) -> None:
        """Begin with one loud window."""
        self.utterance = Utterance([frame(speech(1))], delay_s=delay_s)
        self._silence_s = 0.0

    def hear(self, probability: float, *, loud: bool | None = None) -> Change:
        """One window more. `loud` overrides the VAD's usual verdict."""
        told = window(probability=probability, silence_s=self._silence_s)
        loud = probability > 0.35 if loud is None else loud
        self._silence_s = 0.0 if loud else self._silence_s + WINDOW_S
        return self.utterance.add(told)

    def listen(self, windows: str, **options: bool) -> list[Change]:
        """Some windows: ``#`` is speech, ``.`` is silence."""
        return [self.hear({"#": 0.9, ".": 0.02}[each], **options) for each in windows]


def test_silence_as_long_as_the_delay_is_a_pause() -> None:
    assert Ear(delay_s=0.2).listen("##.......") == [NONE] * 8 + [PAUSED]
    assert Ear(delay_s=0.09).listen("##...") == [NONE] * 4 + [PAUSED]


def test_silence_counts_from_the_last_speech() -> None:
    assert PAUSED not in Ear().listen("......#......#......")


def test_pause_is_reported_once() -> None:
    assert Ear().listen("." * 40).count(PAUSED) == 1


def test_uncertain_window_waits_for_the_vad() -> None:
    ear = Ear()
    ear.listen("......")
    assert ear.hear(0.4, loud=False) is NONE
    assert ear.hear(0.4, loud=False) is PAUSED


def test_speech_after_a_pause_is_reported() -> None:
    ear = Ear()
    ear.listen(".......")
    assert ear.listen("##.") == [NONE, NONE, RESUMED]


def test_one_window_of_noise_is_not_speech() -> None:
    ear = Ear()
    ear.listen(".......")
    assert set(ear.listen("..#..........")) == {NONE}


def test_repeated_noise_is_speech() -> None:
    ear = Ear()
    ear.listen(".......")
    assert ear.listen("..#....#.")[-1] is RESUMED


def test_next_pause_is_reported_after_speech() -> None:
    ear = Ear()
    assert ear.listen(".......###.......").count(PAUSED) == 2


def test_utterance_has_at_most_two_snapshots() -> None:
    ear = Ear()
    assert ear.listen(".......###" * 5).count(PAUSED) == 2
    assert not ear.utterance._frames  # unused audio is not kept


def test_snapshot_is_all_audio_so_far() -> None:
    utterance = Utterance([frame(speech(3))], delay_s=0.2)
    utterance.add(window(probability=0.9, pcm=speech(2)))
    assert bytes(utterance.snapshot().data) == speech(3) + speech(2)
    utterance.add(window(probability=0.02, pcm=silence(1)))
    assert bytes(utterance.snapshot().data) == speech(3) + speech(2) + silence(1)


def test_utterance_over_a_minute_is_not_kept() -> None:
    utterance = Utterance([frame(speech(1))], delay_s=0.2)
    minute = window(probability=0.9, pcm=silence(1875))
    assert utterance.add(minute) is NONE
    long_pause = window(probability=0.02, silence_s=0.3)
    assert utterance.add(long_pause) is NONE
    assert not utterance._frames


def test_snapshot_outlives_the_audio_limit() -> None:
    ear = Ear()
    ear.listen(".......")
    assert ear.utterance.add(window(probability=0.02, silence_s=0.3, pcm=silence(1875))) is NONE
    assert ear.utterance.add(window(probability=0.02, silence_s=60.0)) is NONE


def test_flushed_vad_drops_the_utterance() -> None:
    utterance = Utterance([frame(speech(1))], delay_s=0.2)
    assert utterance.add(window(probability=0.02, speaking=False)) is Change.DROPPED


@pytest.mark.parametrize(
    ("whole", "same"),
    [(speech(4), True), (speech(3), True), (speech(2), False), (silence(1) + speech(3), False)],
)
def test_snapshot_must_be_a_prefix_of_the_final_audio(whole: bytes, same: bool) -> None:
    frames = [frame(whole[:700]), frame(whole[700:])]
    assert begins_with(frames, utils.merge_frames([frame(speech(3))])) is same


def test_requests_count_as_used_or_wasted() -> None:
    stats = EagerStats().begun().begun().begun().settled(True).settled(False)
    assert stats == EagerStats(requests=3, used=1, wasted=1)
