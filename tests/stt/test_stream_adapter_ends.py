"""The eager adapter's streams: requests that fail, and utterances that end in another way."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from livekit.agents import APIError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko, parse_wav
from livekit_plugins_speko.testing import Gate, LocalGateway, Refusal, Transcript
from tests.cancel.answers import Held, Reset
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
    WITHIN_S,
    LoudnessVAD,
    counts,
    listening,
    make_adapter,
    retracted,
    silence,
)
from tests.helpers.support import QUICK_RETRY, errors_of

IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.3)


@pytest.mark.parametrize(
    "answer",
    [
        Refusal(500, "broken"),
        Refusal(401, "no such key"),
        Reset("text/event-stream"),
        Held("text/event-stream"),
    ],
    ids=["500", "401", "reset", "timeout"],
)
async def test_failed_early_request_is_repeated_at_the_end(
    gateway: LocalGateway, speko: Speko, answer: Any
) -> None:
    gateway.transcribe.script(answer, Transcript("Hello."))
    adapter = make_adapter(speko)
    errors = errors_of(adapter)
    async with listening(adapter, IMPATIENT) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.over()
    assert listener.summary == [START, END, (FINAL, "Hello.")]
    assert (errors, listener.failure, counts(adapter)) == ([], None, (1, 0, 1))


async def test_early_request_is_not_retried(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "livekit.plugins.speko")
    gateway.transcribe.script(Refusal(500, "no"))
    adapter = make_adapter(speko)
    failed = asyncio.Event()
    adapter.wrapped_stt.on("error", lambda _: failed.set())
    async with listening(adapter, QUICK_RETRY) as listener:
        listener.push(SOME_WORDS, PAUSE)
        await asyncio.wait_for(failed.wait(), WITHIN_S)
        listener.push(SOME_WORDS)
        await listener.over()
    assert listener.summary == [START]
    assert len(gateway.requests) == 1
    (record,) = [each for each in caplog.records if "eager" in each.getMessage()]
    assert vars(record).items() >= {"used": False, "reason": "failed"}.items()


async def test_final_recognition_is_retried(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Refusal(500, "no"), Refusal(500, "no"), Transcript("Hello."))
    adapter = make_adapter(speko)
    async with listening(adapter, QUICK_RETRY) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.over()
    assert listener.summary == [START, END, (FINAL, "Hello.")]
    assert listener.failure is None


@pytest.mark.parametrize("eager", [False, True])
async def test_failed_final_recognition_ends_the_stream_as_livekits_does(
    gateway: LocalGateway, speko: Speko, eager: bool
) -> None:
    gateway.transcribe.always(Refusal(500, "broken"))
    adapter = make_adapter(speko, eager=eager)
    errors = errors_of(adapter)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.ended()
    assert listener.summary == [START, END]
    assert isinstance(listener.failure, APIError)
    assert [(event.error, event.recoverable) for event in errors] == [(listener.failure, False)]


async def test_failed_final_recognition_clears_the_preflight_text(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("I want."), Refusal(500, "no"), Refusal(500, "no"))
    adapter = make_adapter(speko)
    errors = errors_of(adapter)  # a listener that is no session
    async with listening(adapter) as listener:
        await listener.until_preflight()
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.ended()
    assert listener.summary == [
        START,
        (PREFLIGHT, "I want."),
        *retracted("I want."),
        END,
        (INTERIM, ""),
    ]
    assert len(errors) == 1


async def test_flush_drops_the_utterance_and_the_next_is_recognised(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Gone."), Transcript("Hello."))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        await listener.until_preflight()
        listener.stream.flush()
        listener.push(PAUSE)
        await listener.until(INTERIM, times=3)
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(FINAL)
    dropped = [START, (PREFLIGHT, "Gone."), *retracted("Gone."), (INTERIM, "")]
    assert listener.summary[:6] == [*dropped, START]
    assert listener.summary[-2:] == [END, (FINAL, "Hello.")]
    assert counts(adapter) == (2, 1, 1)


async def test_speech_right_after_a_flush_is_a_new_utterance(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Gone."), Transcript("Hello."))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        await listener.until_preflight()
        listener.stream.flush()
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(FINAL)
    assert listener.summary[-1] == (FINAL, "Hello.")
    assert parse_wav(gateway.requests[1].audio).pcm.startswith(SOME_WORDS)
    assert counts(adapter) == (2, 1, 1)


async def test_second_start_of_speech_drops_the_first_utterance(
    gateway: LocalGateway, speko: Speko
) -> None:
    held = Held("text/event-stream", headers=False)
    gateway.transcribe.script(held, Transcript("Hello."))
    found = LoudnessVAD()
    adapter = make_adapter(speko, found)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE)
        await held.settled()
        found.streams[0].begin_again()
        await listener.until(START, times=2)
        assert counts(adapter) == (1, 0, 1)
        listener.push(SOME_WORDS, PAUSE, REST)
        assert (await listener.until(FINAL)).alternatives[0].text == "Hello."


async def test_end_of_the_input_drops_an_open_utterance(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hel"))
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        await listener.until_preflight()
        await listener.over()
    assert listener.summary == [START, (PREFLIGHT, "Hel"), *retracted("Hel"), (INTERIM, "")]
    assert (listener.failure, counts(adapter)) == (None, (1, 0, 1))


@pytest.mark.parametrize("rest", [silence(0), REST], ids=["in_the_pause", "behind_the_end"])
async def test_closing_a_stream_cancels_its_request(
    gateway: LocalGateway, speko: Speko, rest: bytes
) -> None:
    held = Held("text/event-stream", headers=False)
    gateway.transcribe.script(held)
    found = LoudnessVAD()
    adapter = make_adapter(speko, found)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, rest)
        await held.settled()
        if rest:
            await listener.until(END)
    assert counts(adapter) == (1, 0, 1)
    assert [each.closed for each in found.streams] == [True]
    await gateway.idle()


async def test_next_utterance_waits_for_the_final_transcript(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate = Gate()
    gateway.transcribe.script(
        Refusal(500, "no"), Transcript("One.", interim=[gate]), Transcript("Two.")
    )
    adapter = make_adapter(speko)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await gate.reached()
        # Its pause is over before its response could have been used.
        listener.push(SOME_WORDS, PAUSE, SOME_WORDS, PAUSE, REST)
        assert listener.summary == [START, END]
        gate.open()
        await listener.over()
    assert listener.summary == [START, END, (FINAL, "One."), START, END, (FINAL, "Two.")]
    # A request cancelled before it began does not count.
    assert counts(adapter) == (2, 1, 1)
    assert parse_wav(gateway.requests[2].audio).pcm.startswith(SOME_WORDS + PAUSE + SOME_WORDS)


async def test_request_ahead_ends_with_its_stream_whenever_that_is_closed(
    gateway: LocalGateway, speko: Speko
) -> None:
    """Also in the turn of the loop in which the stream ends by itself."""
    with nothing_reported():
        for turns in range(30):
            gate = Gate()
            gateway.transcribe.script(Transcript("hello", interim=[gate]))
            adapter = make_adapter(speko)
            async with listening(adapter) as listener:
                listener.push(SOME_WORDS, PAUSE)
                await gate.reached()
                listener.stream.end_input()
                for _ in range(turns):
                    await asyncio.sleep(0)
            gate.open()
            await gateway.idle(within_s=WITHIN_S)
            assert counts(adapter) == (1, 0, 1), turns
