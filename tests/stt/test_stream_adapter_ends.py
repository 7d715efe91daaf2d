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
    taken_back,
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
async def test_a_request_ahead_that_fails_costs_nothing_but_time(
    gateway: LocalGateway, speko: Speko, answer: Any
) -> None:
    gateway.transcribe.script(answer, Transcript("Hello."))
    adapter = make_adapter(speko)
    errors = errors_of(adapter)
    async with hearing(adapter, IMPATIENT) as heard:
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.over()
    assert heard.told == [START, END, (FINAL, "Hello.")]
    assert (errors, heard.failure, facts(adapter)) == ([], None, (1, 0, 1))


async def test_a_failure_ahead_is_not_tried_again_before_the_end(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "livekit.plugins.speko")
    gateway.transcribe.script(Refusal(500, "no"))
    adapter = make_adapter(speko)
    failed = asyncio.Event()
    adapter.wrapped_stt.on("error", lambda _: failed.set())
    async with hearing(adapter, QUICK_RETRY) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await asyncio.wait_for(failed.wait(), WITHIN_S)
        heard.hear(SOME_WORDS)
        await heard.over()
    assert heard.told == [START]
    assert len(gateway.requests) == 1
    (record,) = [each for each in caplog.records if "eager" in each.getMessage()]
    assert vars(record).items() >= {"used": False, "reason": "failed"}.items()


async def test_the_recognition_at_the_end_is_tried_again(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Refusal(500, "no"), Refusal(500, "no"), Transcript("Hello."))
    adapter = make_adapter(speko)
    async with hearing(adapter, QUICK_RETRY) as heard:
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.over()
    assert heard.told == [START, END, (FINAL, "Hello.")]
    assert heard.failure is None


@pytest.mark.parametrize("eager", [False, True])
async def test_a_recognition_at_the_end_that_fails_ends_the_stream_as_livekits_own(
    gateway: LocalGateway, speko: Speko, eager: bool
) -> None:
    gateway.transcribe.always(Refusal(500, "broken"))
    adapter = make_adapter(speko, eager=eager)
    errors = errors_of(adapter)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.ended()
    assert heard.told == [START, END]
    assert isinstance(heard.failure, APIError)
    assert [(event.error, event.recoverable) for event in errors] == [(heard.failure, False)]


async def test_a_text_that_no_final_one_follows_is_cleared(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("I want."), Refusal(500, "no"), Refusal(500, "no"))
    adapter = make_adapter(speko)
    errors = errors_of(adapter)  # a listener that is no session
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.ended()
    assert heard.told == [
        START,
        (PREFLIGHT, "I want."),
        *taken_back("I want."),
        END,
        (INTERIM, ""),
    ]
    assert len(errors) == 1


async def test_a_flush_ends_the_utterance_and_the_next_one_is_heard(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Gone."), Transcript("Hello."))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        heard.stream.flush()
        heard.hear(PAUSE)
        await heard.until(INTERIM, times=3)
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.until(FINAL)
    dropped = [START, (PREFLIGHT, "Gone."), *taken_back("Gone."), (INTERIM, "")]
    assert heard.told[:6] == [*dropped, START]
    assert heard.told[-2:] == [END, (FINAL, "Hello.")]
    assert facts(adapter) == (2, 1, 1)


async def test_speech_right_behind_a_flush_is_an_utterance_of_its_own(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Gone."), Transcript("Hello."))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        heard.stream.flush()
        heard.hear(SOME_WORDS, PAUSE, REST)
        await heard.until(FINAL)
    assert heard.told[-1] == (FINAL, "Hello.")
    assert parse_wav(gateway.requests[1].audio).pcm.startswith(SOME_WORDS)
    assert facts(adapter) == (2, 1, 1)


async def test_an_utterance_may_begin_without_an_end_of_the_one_before(
    gateway: LocalGateway, speko: Speko
) -> None:
    held = Held("text/event-stream", headers=False)
    gateway.transcribe.script(held, Transcript("Hello."))
    found = LoudnessVAD()
    adapter = make_adapter(speko, found)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await held.settled()
        found.streams[0].begin_again()
        await heard.until(START, times=2)
        assert facts(adapter) == (1, 0, 1)
        heard.hear(SOME_WORDS, PAUSE, REST)
        assert (await heard.until(FINAL)).alternatives[0].text == "Hello."


async def test_the_end_of_the_input_drops_what_has_not_ended(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(Transcript("Hel"))
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE)
        await heard.until(PREFLIGHT)
        await heard.over()
    assert heard.told == [START, (PREFLIGHT, "Hel"), *taken_back("Hel"), (INTERIM, "")]
    assert (heard.failure, facts(adapter)) == (None, (1, 0, 1))


@pytest.mark.parametrize("rest", [silence(0), REST], ids=["in_the_pause", "behind_the_end"])
async def test_a_stream_that_is_closed_lets_go_of_its_request(
    gateway: LocalGateway, speko: Speko, rest: bytes
) -> None:
    held = Held("text/event-stream", headers=False)
    gateway.transcribe.script(held)
    found = LoudnessVAD()
    adapter = make_adapter(speko, found)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE, rest)
        await held.settled()
        if rest:
            await heard.until(END)
    assert facts(adapter) == (1, 0, 1)
    assert [each.closed for each in found.streams] == [True]
    await gateway.idle()


async def test_the_next_utterance_waits_for_the_final_transcript(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate = Gate()
    gateway.transcribe.script(
        Refusal(500, "no"), Transcript("One.", interim=[gate]), Transcript("Two.")
    )
    adapter = make_adapter(speko)
    async with hearing(adapter) as heard:
        heard.hear(SOME_WORDS, PAUSE, REST)
        await gate.reached()
        # Its pause is over before anybody could have made use of it.
        heard.hear(SOME_WORDS, PAUSE, SOME_WORDS, PAUSE, REST)
        assert heard.told == [START, END]
        gate.open()
        await heard.over()
    assert heard.told == [START, END, (FINAL, "One."), START, END, (FINAL, "Two.")]
    # A request that was given up before it began is none.
    assert facts(adapter) == (2, 1, 1)
    assert parse_wav(gateway.requests[2].audio).pcm.startswith(SOME_WORDS + PAUSE + SOME_WORDS)
