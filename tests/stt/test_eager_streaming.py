"""The eager adapter over a recognition that streams: one final an utterance, no request wasted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import APIStatusError

from livekit_plugins_speko import Speko, SpekoSTT, SpekoSTTAdapter, create_speko_components
from livekit_plugins_speko.stt import eager_streaming
from livekit_plugins_speko.testing import (
    After,
    AfterAudio,
    CloseSocket,
    ErrorEvent,
    Final,
    Gate,
    Interim,
    LocalGateway,
    RecognitionStep,
    Refusal,
    StreamedTranscript,
    TimedWord,
)
from tests.cancel.calls import nothing_reported
from tests.helpers.eager_calls import (
    END,
    FINAL,
    INTERIM,
    PAUSE,
    PREFLIGHT,
    REST,
    SOME_WORDS,
    START,
    Listener,
    LoudnessVAD,
    listening,
    retracted,
    silence,
)
from tests.helpers.stt_calls import make_stt

SOUND_HEARD = AfterAudio(0.3)


@asynccontextmanager
async def hearing(
    gateway: LocalGateway, speko: Speko, *steps: RecognitionStep, **options: Any
) -> AsyncIterator[Listener]:
    """A stream of the adapter, whose recognition plays the steps."""
    gateway.transcribe_stream.script(StreamedTranscript(steps))
    recognizer = make_stt(speko, streaming=True, **options)
    adapter = SpekoSTTAdapter(stt=recognizer, vad=LoudnessVAD(), eager=True)
    async with listening(adapter) as listener:
        yield listener
    assert gateway.requests_to("transcribe") == []


async def test_interim_is_the_preflight_and_its_final_the_utterances(
    gateway: LocalGateway, speko: Speko
) -> None:
    steps = (SOUND_HEARD, Interim("Hello there"), After("flush"), Final("Hello there."))
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        preflight = await listener.until_pause(PREFLIGHT)
        listener.push(REST)
        final = await listener.until(FINAL)
        assert listener.summary == [
            START,
            (INTERIM, "Hello there"),
            (PREFLIGHT, "Hello there"),
            END,
            (FINAL, "Hello there."),
        ]
    assert final.speech_end_time == pytest.approx(preflight.speech_end_time, abs=5.0)
    connection = await gateway.transcribe_stream.connected()
    assert len(connection.flushes) == 1


async def test_final_with_other_words_replaces_the_preflight(
    gateway: LocalGateway, speko: Speko
) -> None:
    steps = (SOUND_HEARD, Interim("Hello bear"), After("flush"), Final("Hello there."))
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        listener.push(PAUSE)
        await listener.until(PREFLIGHT, 2)
        listener.push(REST)
        await listener.until(FINAL)
        assert listener.summary[2:] == [
            (PREFLIGHT, "Hello bear"),
            (PREFLIGHT, "Hello there."),
            END,
            (FINAL, "Hello there."),
        ]


@pytest.mark.parametrize("interim_results", [True, False])
async def test_text_that_comes_in_the_pause_is_the_preflight(
    gateway: LocalGateway, speko: Speko, interim_results: bool
) -> None:
    steps = (After("flush"), Final("Hello."))
    async with hearing(gateway, speko, *steps, interim_results=interim_results) as listener:
        listener.push(SOME_WORDS, PAUSE)
        await listener.until(PREFLIGHT)
        listener.push(REST)
        await listener.until(FINAL)
        assert listener.summary == [START, (PREFLIGHT, "Hello."), END, (FINAL, "Hello.")]


async def test_caller_who_continues_stops_the_reply_and_has_one_final(
    gateway: LocalGateway, speko: Speko
) -> None:
    steps = (
        SOUND_HEARD,
        Interim("One"),
        After("flush"),
        Final("One."),
        After("flush"),
        Final("Two."),
    )
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        await listener.until_pause(PREFLIGHT)
        listener.push(SOME_WORDS)
        await listener.until(INTERIM, 3)
        listener.push(PAUSE)
        await listener.until(PREFLIGHT, 2)
        listener.push(REST)
        await listener.until(FINAL)
        await listener.over()
        assert listener.summary == [
            START,
            (INTERIM, "One"),
            (PREFLIGHT, "One"),
            *retracted("One"),
            (PREFLIGHT, "One. Two."),
            END,
            (FINAL, "One. Two."),
        ]


async def test_final_that_does_not_come_is_replaced_by_the_interim_and_not_repeated(
    gateway: LocalGateway, speko: Speko, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager_streaming, "FINAL_WAIT_S", 0.05)
    late = Gate()
    steps = (
        SOUND_HEARD,
        Interim("One two"),
        late,
        Final("One, two."),
        After("flush"),
        After("flush"),
        Final("Hi."),
    )
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        listener.push(PAUSE, REST)
        await listener.until(FINAL)
        late.open()
        listener.push(SOME_WORDS, PAUSE)
        await listener.until(PREFLIGHT, 2)
        listener.push(REST)
        await listener.until(FINAL, 2)
        finals = [each.alternatives[0].text for each in listener.events if each.type is FINAL]
        assert finals == ["One two", "Hi."]


async def test_segment_that_continues_after_its_interim_was_sent_loses_no_word(
    gateway: LocalGateway, speko: Speko, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager_streaming, "FINAL_WAIT_S", 0.05)
    more = Gate()
    steps = (SOUND_HEARD, Interim("One two"), more, Final("One, two three."))
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        listener.push(PAUSE, REST)
        await listener.until(FINAL)
        listener.push(SOME_WORDS)
        await listener.until(START, 2)
        more.open()
        await listener.until(INTERIM, 2)
        listener.push(PAUSE, REST)
        final = await listener.until(FINAL, 2)
        assert final.alternatives[0].text == "three."


async def test_noise_has_no_final_and_withdraws_what_was_shown(
    gateway: LocalGateway, speko: Speko
) -> None:
    steps = (SOUND_HEARD, Interim("Hm"), After("flush"), Final(""))
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        listener.push(PAUSE)
        await listener.until(PREFLIGHT)
        listener.push(REST)
        await listener.until(END)
        await listener.over()
        assert listener.summary[-1] == (INTERIM, "")
        assert FINAL not in [each.type for each in listener.events]


async def test_words_that_the_vad_missed_are_not_lost(gateway: LocalGateway, speko: Speko) -> None:
    async with hearing(gateway, speko, AfterAudio(0.2), Final("Quietly.")) as listener:
        listener.push(REST)
        await listener.until(FINAL)
        assert listener.summary == [(FINAL, "Quietly.")]


async def test_input_that_ends_in_mid_utterance_keeps_its_words(
    gateway: LocalGateway, speko: Speko
) -> None:
    async with hearing(gateway, speko, SOUND_HEARD, Interim("Hello"), "Hello.") as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        await listener.over()
        assert listener.summary[-1] == (FINAL, "Hello.")


async def test_wrong_key_ends_the_stream_with_one_error(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe_stream.always(Refusal(401, "bad key", "AUTH_ERROR"))
    adapter = SpekoSTTAdapter(stt=make_stt(speko, streaming=True), vad=LoudnessVAD(), eager=True)
    errors: list[Any] = []
    adapter.on("error", errors.append)
    async with listening(adapter) as listener:
        await listener.ended()
    assert isinstance(listener.failure, APIStatusError) and not listener.failure.retryable
    assert [error.recoverable for error in errors] == [False]
    assert len(gateway.requests) == 1


async def test_final_of_words_without_an_interim_is_waited_for(
    gateway: LocalGateway, speko: Speko
) -> None:
    late = Gate()
    steps = (After("flush"), Final("One."), After("flush"), late, Final("Two."))
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until_pause(PREFLIGHT)
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(END)
        late.open()
        await listener.over()
        finals = [each.alternatives[0].text for each in listener.events if each.type is FINAL]
        assert finals == ["One. Two."]


async def test_word_times_have_the_offset_of_the_stream(
    gateway: LocalGateway, speko: Speko
) -> None:
    words = [TimedWord("Hello", 0.1, 0.3)]
    async with hearing(gateway, speko, After("flush"), Final("Hello.", words=words)) as listener:
        listener.stream.start_time_offset = 100.0
        listener.push(SOME_WORDS, PAUSE, REST)
        (data,) = (await listener.until(FINAL)).alternatives
        assert listener.stream.start_time_offset == pytest.approx(100.0)
        assert (data.start_time, data.end_time) == pytest.approx((100.1, 100.3))


async def test_stream_that_is_closed_at_once_opens_no_connection(
    gateway: LocalGateway, speko: Speko
) -> None:
    adapter = SpekoSTTAdapter(stt=make_stt(speko, streaming=True), vad=LoudnessVAD(), eager=True)
    await adapter.stream().aclose()
    await gateway.idle()
    assert gateway.requests == []


async def test_reported_problem_is_an_error_event_of_the_adapter(
    gateway: LocalGateway, speko: Speko
) -> None:
    steps = (ErrorEvent("provider is slow", "SLOW"), After("flush"), Final("Hi."))
    gateway.transcribe_stream.script(StreamedTranscript(steps))
    adapter = SpekoSTTAdapter(stt=make_stt(speko, streaming=True), vad=LoudnessVAD(), eager=True)
    errors: list[Any] = []
    adapter.on("error", errors.append)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(FINAL)
    assert [(error.recoverable, "SLOW" in str(error.error)) for error in errors] == [(True, True)]
    await adapter.aclose()
    adapter.wrapped_stt.emit("error", errors[0])
    assert len(errors) == 1


def test_factory_returns_the_stream_itself_unless_it_is_eager(speko: Speko) -> None:
    def make(**options: Any) -> Any:
        return create_speko_components(
            speko=speko, vad=LoudnessVAD(), intent={"language": "en"}, stt_options=options
        ).stt

    plain = make(streaming=True)
    assert isinstance(plain, SpekoSTT) and plain.wrapped_stt is plain
    assert plain.capabilities.streaming and plain.capabilities.manual_flush
    eager = make(streaming=True, eager=True, interim_results=False)
    assert isinstance(eager, SpekoSTTAdapter) and eager.wrapped_stt.capabilities.streaming
    assert not eager.capabilities.interim_results
    assert make(streaming=True, eager=True).capabilities.interim_results


def texts_of_finals(listener: Listener) -> list[str]:
    return [each.alternatives[0].text for each in listener.events if each.type is FINAL]


async def test_next_utterance_sends_the_final_that_the_last_one_waits_for(
    gateway: LocalGateway, speko: Speko
) -> None:
    late = Gate()
    steps = (SOUND_HEARD, Interim("One"), late)
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        listener.push(PAUSE, REST)
        await listener.until(END)
        listener.push(SOME_WORDS)
        await listener.until(START, 2)
        assert texts_of_finals(listener) == ["One"]
        assert listener.summary[-2:] == [(FINAL, "One"), START]
        late.open()


async def test_interim_after_the_end_waits_for_its_final(
    gateway: LocalGateway, speko: Speko
) -> None:
    late = Gate()
    steps = (SOUND_HEARD, Interim("One"), late, Interim("One two"), Final("One two."))
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        listener.push(PAUSE, REST)
        await listener.until(END)
        late.open()
        await listener.until(FINAL)
        assert texts_of_finals(listener) == ["One two."]


async def test_interim_in_the_pause_does_not_replace_the_preflight(
    gateway: LocalGateway, speko: Speko
) -> None:
    late = Gate()
    steps = (SOUND_HEARD, Interim("One"), late, Interim("One too"), Final("One two."))
    async with hearing(gateway, speko, *steps) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        await listener.until_pause(PREFLIGHT)
        late.open()
        await listener.until(PREFLIGHT, 2)
        listener.push(REST)
        await listener.until(FINAL)
        assert listener.summary[2:4] == [(PREFLIGHT, "One"), (PREFLIGHT, "One two.")]


async def test_flush_that_drops_the_utterance_retracts_its_preflight(
    gateway: LocalGateway, speko: Speko
) -> None:
    async with hearing(gateway, speko, SOUND_HEARD, Interim("One"), Gate()) as listener:
        listener.push(SOME_WORDS)
        await listener.until(INTERIM)
        await listener.until_pause(PREFLIGHT)
        listener.stream.flush()
        listener.push(silence(1))
        await listener.until(INTERIM, 3)
        assert listener.summary[3:5] == retracted("One")


async def test_end_without_a_pause_before_it_requests_the_final(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe_stream.script(StreamedTranscript((After("flush"), Final("One."))))
    adapter = SpekoSTTAdapter(
        stt=make_stt(speko, streaming=True), vad=LoudnessVAD(), eager=True, eager_delay=5.0
    )
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(FINAL)
        assert listener.summary == [START, END, (FINAL, "One.")]


async def test_stream_that_fails_waits_for_no_final_whenever_it_is_closed(
    gateway: LocalGateway, speko: Speko, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the turns of the loop in which its failure ends it."""
    monkeypatch.setattr(eager_streaming, "FINAL_WAIT_S", 0.2)
    with nothing_reported():
        for turns in range(16):
            gate, failed = Gate(), asyncio.Event()
            steps = (SOUND_HEARD, Interim("Hello"), gate, CloseSocket(4401, "no"))
            gateway.transcribe_stream.script(StreamedTranscript(steps))
            recognizer = make_stt(speko, streaming=True)
            recognizer.on("error", lambda _, failed=failed: failed.set())
            adapter = SpekoSTTAdapter(stt=recognizer, vad=LoudnessVAD(), eager=True)
            async with listening(adapter) as listener:
                listener.push(SOME_WORDS, PAUSE, REST)
                await listener.until(END)
                await gate.reached()
                gate.open()
                await failed.wait()
                for _ in range(turns):
                    await asyncio.sleep(0)
        await asyncio.sleep(0.3)
