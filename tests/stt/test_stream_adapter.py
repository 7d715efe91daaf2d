"""The eager adapter's streams: their events and their requests."""

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
    counts,
    listening,
    make_adapter,
    retracted,
    silence,
    speech,
)
from tests.helpers.stt_calls import SPEECH, make_stt
from tests.helpers.support import FIXTURES, read_wav

IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.3)
RECORDED = read_wav((FIXTURES / "goodbye.wav").read_bytes())[3][:22_400]


async def test_preflight_and_final_transcript_share_one_request(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "livekit.plugins.speko")
    gateway.transcribe.script(Transcript("Hello.", confidence=0.7))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE)
        preflight = await listener.until(PREFLIGHT)
        assert counts(adapter) == (1, 0, 0)
        listener.push(REST)
        final = await listener.until(FINAL)
        assert listener.summary == [START, (PREFLIGHT, "Hello."), END, (FINAL, "Hello.")]
    assert preflight.alternatives == final.alternatives
    assert final.alternatives[0].confidence == 0.7
    end = listener.events[2]
    assert final.speech_end_time == end.speech_end_time is not None
    assert preflight.speech_end_time == pytest.approx(end.speech_end_time, abs=5.0)
    assert adapter.eager_stats == EagerStats(requests=1, used=1, wasted=0)
    (record,) = [each for each in caplog.records if "eager" in each.getMessage()]
    assert vars(record).items() >= {"used": True, "reason": "final"}.items()
    assert "Hello" not in str(vars(record))


async def test_editing_the_preflight_leaves_the_final_transcript_alone(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hello."))
    async with listening(make_adapter(speko)) as listener:
        listener.push(SOME_WORDS, PAUSE)
        (await listener.until(PREFLIGHT)).alternatives[0].text = "Bye."
        listener.push(REST)
        assert (await listener.until(FINAL)).alternatives[0].text == "Hello."


async def test_each_request_has_the_language_of_the_stream(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hallo."), Transcript("Hallo da."))
    async with listening(make_adapter(speko), language="de") as listener:
        listener.push(SOME_WORDS, PAUSE)
        assert (await listener.until(PREFLIGHT)).alternatives[0].language == LanguageCode("de")
        listener.push(SOME_WORDS, PAUSE, REST)
        assert (await listener.until(FINAL)).alternatives[0].language == LanguageCode("de")


async def test_resumed_speech_retracts_the_text_and_is_recognised_in_full(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("I want."), Transcript("I want tea."))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        await listener.until_preflight()
        listener.push(SOME_WORDS)
        mark = (await listener.until(INTERIM)).alternatives[0].text
        assert len(gateway.requests) == 1
        listener.push(PAUSE)
        await listener.until(PREFLIGHT, times=2)
        listener.push(REST)
        await listener.until(FINAL)
    assert listener.summary == [
        START,
        (PREFLIGHT, "I want."),
        *retracted("I want."),
        (PREFLIGHT, "I want tea."),
        END,
        (FINAL, "I want tea."),
    ]
    assert counts(adapter) == (2, 1, 1)
    assert not _transcripts_equivalent("I want.", mark)
    assert len(words(mark)) == len(words("I want."))


async def test_resumed_speech_cancels_a_running_request(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "livekit.plugins.speko")
    held = Held("text/event-stream", headers=False)
    gateway.transcribe.script(held, Transcript("All of it."))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE)
        await held.settled()
        listener.push(SOME_WORDS)
        await gateway.requests[0].finished()  # the client went away
        listener.push(PAUSE)
        await listener.until(PREFLIGHT)
        listener.push(REST)
        await listener.over()
    assert listener.summary == [START, (PREFLIGHT, "All of it."), END, (FINAL, "All of it.")]
    assert counts(adapter) == (2, 1, 1)
    reasons = [vars(each).get("reason") for each in caplog.records if "eager" in each.getMessage()]
    assert reasons == ["speech_followed", "final"]


async def test_text_is_retracted_once(gateway: LocalGateway, speko: Speko) -> None:
    held = Held("text/event-stream", headers=False)
    gateway.transcribe.script(Transcript("I want."), held, Transcript("I want tea, please."))
    async with listening(make_adapter(speko)) as listener:
        await listener.until_preflight()
        listener.push(SOME_WORDS, PAUSE)
        await held.settled()
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(FINAL)
    assert listener.summary == [
        START,
        (PREFLIGHT, "I want."),
        *retracted("I want."),
        END,
        (FINAL, "I want tea, please."),
    ]


async def test_end_of_speech_waits_for_a_running_request(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate = Gate()
    gateway.transcribe.script(Transcript("Hello.", interim=[gate]))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(END)
        await gate.reached()
        assert listener.summary == [START, END]
        gate.open()
        await listener.over()
    # The final one makes a preflight transcript superfluous.
    assert listener.summary == [START, END, (FINAL, "Hello.")]
    assert counts(adapter) == (1, 1, 0)


async def test_only_the_final_transcript_is_earlier_without_preflight(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hello."))
    adapter = make_adapter(speko, preflight=False)
    answered = asyncio.Event()
    adapter.on("metrics_collected", lambda _: answered.set())
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE)
        await asyncio.wait_for(answered.wait(), WITHIN_S)
        listener.push(REST)
        await listener.over()
    assert listener.summary == [START, END, (FINAL, "Hello.")]
    assert counts(adapter) == (1, 1, 0)


@pytest.mark.parametrize("text", ["", " "])
async def test_blank_text_makes_no_preflight_transcript(
    gateway: LocalGateway, speko: Speko, text: str
) -> None:
    gateway.transcribe.script(Transcript(text), Transcript("Hello."))
    adapter = make_adapter(speko)
    answered = asyncio.Event()
    adapter.on("metrics_collected", lambda _: answered.set())
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE)
        await asyncio.wait_for(answered.wait(), WITHIN_S)
        await listener.until_preflight()
        await listener.over()
    assert listener.summary[:2] == [START, (PREFLIGHT, "Hello.")]


async def test_empty_final_response_clears_the_preflight_text(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hm."), Transcript(""))
    async with listening(make_adapter(speko)) as listener:
        await listener.until_preflight()
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(INTERIM, times=3)
    assert listener.summary == [START, (PREFLIGHT, "Hm."), *retracted("Hm."), END, (INTERIM, "")]


async def test_empty_response_is_used_as_the_final_one(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript(""))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.over()
    assert listener.summary == [START, END]
    assert counts(adapter) == (1, 1, 0)


async def test_one_noisy_window_keeps_the_request(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript("Hello."))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, speech(1), PAUSE, REST)
        await listener.over()
    assert listener.summary[-2:] == [END, (FINAL, "Hello.")]
    assert counts(adapter) == (1, 1, 0)


async def test_short_word_after_a_pause_is_recognised(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript("Go."), Transcript("Go on."))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        await listener.until_preflight()
        listener.push(speech(2), PAUSE, REST)
        await listener.over()
    assert listener.summary[-1] == (FINAL, "Go on.")
    assert counts(adapter) == (2, 1, 1)


async def test_utterance_makes_at_most_two_early_requests(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(*map(Transcript, ("One.", "One two.", "All.")))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        for times in (1, 2):
            listener.push(SOME_WORDS, PAUSE)
            await listener.until(PREFLIGHT, times)
        listener.push(*[SOME_WORDS, PAUSE] * 3, REST)
        await listener.over()
    assert listener.summary[-2:] == [END, (FINAL, "All.")]
    assert counts(adapter) == (2, 0, 2)


async def test_every_utterance_has_a_preflight_outside_a_session(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(*map(Transcript, ("One.", "Two.", "Three.")))
    async with listening(make_adapter(speko)) as listener:
        for times in (1, 2, 3):
            listener.push(SOME_WORDS, PAUSE)
            await listener.until(PREFLIGHT, times)
            listener.push(REST)
            await listener.until(FINAL, times)


async def test_different_final_audio_is_recognised_again(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Much."), Transcript("Less."))
    adapter = make_adapter(speko, LoudnessVAD(max_windows=10))
    async with listening(adapter) as listener:
        await listener.until_preflight()
        listener.push(REST)
        await listener.over()
    assert listener.summary[-4:] == [END, *retracted("Much."), (FINAL, "Less.")]
    assert parse_wav(gateway.requests[1].audio).pcm == SOME_WORDS[:10_240]


async def test_early_silero_audio_is_a_prefix_of_the_final_audio(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript("Thanks."), Transcript("Thanks."))
    audio = []
    for eager in (True, False):
        async with listening(make_adapter(speko, voice_detector, eager=eager)) as listener:
            listener.push(silence(20), RECORDED, silence(12))
            if eager:
                await listener.until(PREFLIGHT)
            listener.push(silence(20))
            await listener.until(FINAL)
        audio.append(parse_wav(gateway.requests[-1].audio).pcm)
    ahead, whole = audio
    assert RECORDED[1_000:-1_000] in ahead
    assert whole.startswith(ahead)
    assert len(whole) - len(ahead) > 2 * 16_000 * 0.25


class Dated(stt.STT[Any]):
    """Reports when speech ended, as some providers do."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))

    async def _recognize_impl(self, buffer: Any, **options: Any) -> stt.SpeechEvent:
        heard = stt.SpeechData(language=LanguageCode("en"), text="Hello.")
        return stt.SpeechEvent(FINAL, alternatives=[heard], speech_end_time=7.0)


async def test_stt_reports_the_end_of_speech() -> None:
    adapter = SpekoSTTAdapter(stt=Dated(), vad=LoudnessVAD(), eager=True)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        assert (await listener.until(FINAL)).speech_end_time == 7.0


def test_capabilities_are_livekits_without_eager(speko: Speko) -> None:
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
        {"preflight": 1},
        *({"eager_delay": each} for each in (0, -1, "0.2", True, None)),
    ],
    ids=str,
)
def test_unusable_options_are_refused(speko: Speko, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make_adapter(speko, **options)


async def test_events_of_the_wrapped_stt_are_forwarded_until_aclose(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.always(Transcript("Hello."))
    adapter = make_adapter(speko)
    emitted: list[str] = []
    for name in ("metrics_collected", "route"):
        adapter.on(name, lambda _, name=name: emitted.append(name))
    await adapter.recognize(SPEECH)
    wrapped = adapter.wrapped_stt
    wrapped.emit("route", object())
    # The adapter's own `recognize` measures itself as well.
    assert set(emitted) == {"metrics_collected", "route"}
    await adapter.aclose()
    emitted.clear()
    await wrapped.recognize(SPEECH)
    wrapped.emit("route", object())
    assert emitted == []
