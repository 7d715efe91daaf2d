"""The eager adapter's streams: what comes out, and what is asked for, whatever the caller does."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from livekit.agents import LanguageCode, stt, vad
from livekit.agents.tokenize._basic_word import split_words as words
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice.agent_activity import _transcripts_equivalent

from livekit_plugins_speko import Speko, parse_wav
from livekit_plugins_speko.stt.stream_adapter import EagerStats, SpekoSTTAdapter
from livekit_plugins_speko.testing import Gate, LocalGateway, Transcript
from tests.cancel.answers import Held
from tests.helpers.eager_calls import (
    END,
    FINAL,
    INTERIM,
    PAUSE,
    PREFLIGHT,
    REST,
    SOME_WORDS,
    START,
    WITHIN_S,
    LoudnessVAD,
    facts,
    hearing,
    make_adapter,
    silence,
    speech,
    taken_back,
)
from tests.helpers.stt_calls import SPEECH, make_stt
from tests.helpers.support import FIXTURES, read_wav

IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.3)
RECORDED = read_wav((FIXTURES / "goodbye.wav").read_bytes())[3][:22_400]


async def test_the_text_comes_before_the_end_and_is_the_final_one(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "livekit.plugins.speko")
    gateway.transcribe.script(Transcript("Hello.", confidence=0.7))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        preflight = await heard.until(PREFLIGHT)
        assert facts(adapter) == (1, 0, 0)
        heard.hear(REST)
        final = await heard.until(FINAL)
        assert heard.told == [START, (PREFLIGHT, "Hello."), END, (FINAL, "Hello.")]
    assert preflight.alternatives == final.alternatives
    assert final.alternatives[0].confidence == 0.7
    end = heard.events[2]
    assert final.speech_end_time == end.speech_end_time is not None
    assert preflight.speech_end_time == pytest.approx(end.speech_end_time, abs=5.0)
    assert adapter.eager_stats == EagerStats(requests=1, used=1, wasted=0)
    (record,) = [each for each in caplog.records if "eager" in each.getMessage()]
    assert vars(record).items() >= {"used": True, "reason": "final"}.items()
    assert "Hello" not in str(vars(record))


async def test_whoever_edits_the_preflight_does_not_edit_the_final_transcript(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hello."))
    async with hearing(make_adapter(speko)) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        (await heard.until(PREFLIGHT)).alternatives[0].text = "Bye."
        heard.hear(REST)
        assert (await heard.until(FINAL)).alternatives[0].text == "Hello."


async def test_the_language_of_the_stream_is_asked_for_each_time(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hallo."), Transcript("Hallo da."))
    async with hearing(make_adapter(speko), language="de") as heard:
        heard.hear(SOME_WORDS, PAUSE)
        assert (await heard.until(PREFLIGHT)).alternatives[0].language == LanguageCode("de")
        heard.hear(SOME_WORDS, PAUSE, REST)
        assert (await heard.until(FINAL)).alternatives[0].language == LanguageCode("de")


async def test_when_the_caller_goes_on_the_text_is_taken_back_and_the_whole_recognised(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("I want."), Transcript("I want tea."))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        heard.hear(SOME_WORDS)
        mark = (await heard.until(INTERIM)).alternatives[0].text
        assert len(gateway.requests) == 1
        heard.hear(PAUSE)
        await heard.until(PREFLIGHT, times=2)
        heard.hear(REST)
        await heard.until(FINAL)
    assert heard.told == [
        START,
        (PREFLIGHT, "I want."),
        *taken_back("I want."),
        (PREFLIGHT, "I want tea."),
        END,
        (FINAL, "I want tea."),
    ]
    assert facts(adapter) == (2, 1, 1)
    assert not _transcripts_equivalent("I want.", mark)
    assert len(words(mark)) == len(words("I want."))


async def test_a_request_is_dropped_when_the_caller_goes_on_before_its_answer(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "livekit.plugins.speko")
    held = Held("text/event-stream", headers=False)
    gateway.transcribe.script(held, Transcript("All of it."))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await held.settled()
        heard.hear(SOME_WORDS)
        await gateway.requests[0].finished()  # the client went away
        heard.hear(PAUSE)
        await heard.until(PREFLIGHT)
        heard.hear(REST)
        await heard.over()
    assert heard.told == [START, (PREFLIGHT, "All of it."), END, (FINAL, "All of it.")]
    assert facts(adapter) == (2, 1, 1)
    reasons = [vars(each).get("reason") for each in caplog.records if "eager" in each.getMessage()]
    assert reasons == ["speech_followed", "final"]


async def test_a_text_is_taken_back_once(gateway: LocalGateway, speko: Speko) -> None:
    held = Held("text/event-stream", headers=False)
    gateway.transcribe.script(Transcript("I want."), held, Transcript("I want tea, please."))
    async with hearing(make_adapter(speko)) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        heard.hear(SOME_WORDS, PAUSE)
        await held.settled()
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.until(FINAL)
    assert heard.told == [
        START,
        (PREFLIGHT, "I want."),
        *taken_back("I want."),
        END,
        (FINAL, "I want tea, please."),
    ]


async def test_the_end_waits_for_a_request_that_is_under_way(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate = Gate()
    gateway.transcribe.script(Transcript("Hello.", interim=[gate]))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.until(END)
        await gate.reached()
        assert heard.told == [START, END]
        gate.open()
        await heard.over()
    # The final one makes a preflight transcript superfluous.
    assert heard.told == [START, END, (FINAL, "Hello.")]
    assert facts(adapter) == (1, 1, 0)


@pytest.mark.parametrize("text", ["", " "])
async def test_silence_makes_no_preflight_transcript(
    gateway: LocalGateway, speko: Speko, text: str
) -> None:
    gateway.transcribe.script(Transcript(text), Transcript("Hello."))
    adapter = make_adapter(speko)
    answered = asyncio.Event()
    adapter.on("metrics_collected", lambda _: answered.set())
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await asyncio.wait_for(answered.wait(), WITHIN_S)
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        await heard.over()
    assert heard.told[:2] == [START, (PREFLIGHT, "Hello.")]


async def test_a_text_is_cleared_when_nothing_is_understood_in_the_end(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hm."), Transcript(""))
    async with hearing(make_adapter(speko)) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.until(INTERIM, times=3)
    assert heard.told == [START, (PREFLIGHT, "Hm."), *taken_back("Hm."), END, (INTERIM, "")]


async def test_silence_is_not_asked_for_twice(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript(""))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.over()
    assert heard.told == [START, END]
    assert facts(adapter) == (1, 1, 0)


async def test_one_noisy_window_in_a_pause_throws_nothing_away(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hello."))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE, speech(1), PAUSE, REST)
        await heard.over()
    assert heard.told[-2:] == [END, (FINAL, "Hello.")]
    assert facts(adapter) == (1, 1, 0)


async def test_a_short_word_behind_a_pause_is_not_lost(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript("Go."), Transcript("Go on."))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        heard.hear(speech(2), PAUSE, REST)
        await heard.over()
    assert heard.told[-1] == (FINAL, "Go on.")
    assert facts(adapter) == (2, 1, 1)


async def test_a_caller_who_pauses_all_the_time_costs_two_requests_and_the_last(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(*map(Transcript, ("One.", "One two.", "All.")))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        for times in (1, 2):
            heard.hear(SOME_WORDS, PAUSE)
            await heard.until(PREFLIGHT, times)
        heard.hear(*[SOME_WORDS, PAUSE] * 3, REST)
        await heard.over()
    assert heard.told[-2:] == [END, (FINAL, "All.")]
    assert facts(adapter) == (2, 0, 2)


async def test_outside_of_a_session_each_utterance_is_handed_on_early(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(*map(Transcript, ("One.", "Two.", "Three.")))
    async with hearing(make_adapter(speko)) as heard:
        for times in (1, 2, 3):
            heard.hear(SOME_WORDS, PAUSE)
            await heard.until(PREFLIGHT, times)
            heard.hear(REST)
            await heard.until(FINAL, times)


async def test_when_the_vad_kept_less_the_end_is_recognised_as_it_is(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Much."), Transcript("Less."))
    adapter = make_adapter(speko, LoudnessVAD(max_windows=10))
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        heard.hear(REST)
        await heard.over()
    assert heard.told[-4:] == [END, *taken_back("Much."), (FINAL, "Less.")]
    assert parse_wav(gateway.requests[1].audio).pcm == SOME_WORDS[:10_240]


async def test_sileros_pause_is_recognised_as_its_end_would_be(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript("Thanks."), Transcript("Thanks."))
    audio = []
    for eager in (True, False):
        async with hearing(make_adapter(speko, voice_detector, eager=eager)) as heard:
            heard.hear(silence(20), RECORDED, silence(12))
            if eager:
                await heard.until(PREFLIGHT)
            heard.hear(silence(20))
            await heard.until(FINAL)
        audio.append(parse_wav(gateway.requests[-1].audio).pcm)
    ahead, whole = audio
    assert RECORDED[1_000:-1_000] in ahead
    assert whole.startswith(ahead)
    assert len(whole) - len(ahead) > 2 * 16_000 * 0.25


class Dated(stt.STT[Any]):
    """Knows when speech ended, as some do."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))

    async def _recognize_impl(self, buffer: Any, **options: Any) -> stt.SpeechEvent:
        heard = stt.SpeechData(language=LanguageCode("en"), text="Hello.")
        return stt.SpeechEvent(FINAL, alternatives=[heard], speech_end_time=7.0)


async def test_the_end_of_speech_is_when_the_stt_says_it_was() -> None:
    adapter = SpekoSTTAdapter(stt=Dated(), vad=LoudnessVAD(), eager=True)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE, REST)
        assert (await heard.until(FINAL)).speech_end_time == 7.0


def test_without_eager_it_is_livekits_own_adapter(speko: Speko) -> None:
    adapter = SpekoSTTAdapter(stt=make_stt(speko), vad=LoudnessVAD())
    assert adapter.eager_stats == EagerStats()
    assert (
        adapter.capabilities
        == stt.StreamAdapter(stt=make_stt(speko), vad=LoudnessVAD()).capabilities
    )


@pytest.mark.parametrize(
    "options",
    [
        {"eager": 1},
        {"eager": None},
        *({"eager_delay": each} for each in (0, -1, "0.2", True, None)),
    ],
    ids=str,
)
def test_options_that_cannot_be_used_are_refused(speko: Speko, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make_adapter(speko, **options)


async def test_events_of_the_wrapped_stt_are_handed_on_until_it_is_closed(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.always(Transcript("Hello."))
    adapter = make_adapter(speko)
    heard: list[str] = []
    for name in ("metrics_collected", "route"):
        adapter.on(name, lambda _, name=name: heard.append(name))
    await adapter.recognize(SPEECH)
    wrapped = adapter.wrapped_stt
    wrapped.emit("route", object())
    # The adapter's own `recognize` measures itself as well.
    assert set(heard) == {"metrics_collected", "route"}
    await adapter.aclose()
    heard.clear()
    await wrapped.recognize(SPEECH)
    wrapped.emit("route", object())
    assert heard == []
