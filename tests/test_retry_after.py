"""Rate limits with `Retry-After`, and LiveKit's attempts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from livekit.agents import APIConnectOptions, APIStatusError

from livekit_plugins_speko.testing import (
    Answer,
    LocalGateway,
    Refusal,
    Reply,
    Transcript,
)
from tests.helpers.llm_calls import chat, make_llm, texts
from tests.helpers.stt_calls import SPEECH, make_stt
from tests.helpers.support import errors_of
from tests.helpers.tts_calls import PCM, joined, make_tts, speak, speech

PATIENT = APIConnectOptions(max_retry=2, retry_interval=0.0, timeout=3.0)


def rate_limited(retry_after: str | None) -> Refusal:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Refusal(429, "slow down", "RATE_LIMITED", headers=headers)


async def recognize(recognizer: Any) -> str:
    event = await recognizer.recognize(SPEECH, conn_options=PATIENT)
    text: str = event.alternatives[0].text
    return text


async def complete(model: Any) -> str:
    return "".join(texts(await chat(model, conn_options=PATIENT)))


async def say(voice: Any) -> bytes:
    return joined(await speak(voice, conn_options=PATIENT))


@dataclass(frozen=True)
class Stage:
    """One kind of call, a successful answer, and the result expected of it."""

    route: str
    make: Callable[[Any], Any]
    call: Callable[[Any], Awaitable[object]]
    good: Answer
    expected: object

    def serve(self, gateway: LocalGateway, retry_after: str) -> None:
        """Refuse once, then answer."""
        getattr(gateway, self.route).script(rate_limited(retry_after), self.good)


STAGES = pytest.mark.parametrize(
    "stage",
    [
        Stage("transcribe", make_stt, recognize, Transcript("hello"), "hello"),
        Stage("complete", make_llm, complete, Reply("hi there"), "hi there"),
        Stage("synthesize", make_tts, say, speech(), PCM),
    ],
    ids=lambda stage: stage.route,
)


@STAGES
async def test_next_attempt_waits_for_retry_after(
    gateway: LocalGateway, client: Any, stage: Stage
) -> None:
    stage.serve(gateway, "1")
    adapter = stage.make(client)
    errors = errors_of(adapter)
    assert await stage.call(adapter) == stage.expected
    first, second = gateway.requests
    assert second.received_at - first.received_at >= 1.0
    assert [(event.recoverable, event.error.status_code) for event in errors] == [(True, 429)]


@STAGES
async def test_wait_longer_than_the_timeout_fails_this_call_but_not_the_next(
    gateway: LocalGateway, client: Any, stage: Stage
) -> None:
    stage.serve(gateway, "4")
    adapter = stage.make(client)
    errors = errors_of(adapter)
    with pytest.raises(APIStatusError) as raised:
        await stage.call(adapter)
    assert (raised.value.status_code, raised.value.retryable) == (429, False)
    assert [event.recoverable for event in errors] == [False]
    assert await stage.call(adapter) == stage.expected
    first, second = gateway.requests
    assert second.received_at - first.received_at < 4.0


@pytest.mark.parametrize("retry_after", [None, "0", "soon", "Fri, 31 Dec 1999 23:59:59 GMT"])
async def test_livekits_interval_applies_without_a_number_of_seconds(
    gateway: LocalGateway, client: Any, retry_after: str | None
) -> None:
    gateway.transcribe.script(rate_limited(retry_after), Transcript("hello"))
    assert await recognize(make_stt(client)) == "hello"


async def test_other_calls_of_the_adapter_wait_too(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(rate_limited("1"), Reply("one"), Reply("two"))
    model = make_llm(client)
    refused = asyncio.Event()
    model.on("error", lambda _: refused.set())
    first = asyncio.create_task(complete(model))
    await refused.wait()
    began = time.perf_counter()
    assert sorted([await complete(model), await first]) == ["one", "two"]
    assert all(request.received_at >= began + 0.8 for request in gateway.requests[1:])


async def test_longer_wait_of_two_refusals_applies(gateway: LocalGateway, client: Any) -> None:
    gateway.transcribe.script(rate_limited("2"), rate_limited("1"), Transcript("hello"))
    recognizer = make_stt(client)
    once = replace(PATIENT, max_retry=0)
    both = (recognizer.recognize(SPEECH, conn_options=once) for _ in range(2))
    await asyncio.gather(*both, return_exceptions=True)
    await recognizer.recognize(SPEECH, conn_options=once)
    first, _, third = gateway.requests
    assert third.received_at - first.received_at >= 2.0


async def test_call_with_a_shorter_timeout_is_sent_at_once(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.transcribe.script(rate_limited("3"), Transcript("hello"))
    recognizer = make_stt(client)
    with pytest.raises(APIStatusError):
        await recognizer.recognize(SPEECH, conn_options=replace(PATIENT, max_retry=0))
    event = await recognizer.recognize(SPEECH, conn_options=replace(PATIENT, timeout=1.0))
    assert event.alternatives[0].text == "hello"
    first, second = gateway.requests
    assert second.received_at - first.received_at < 3.0


async def test_wait_as_long_as_the_timeout_is_waited_for(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.transcribe.script(rate_limited("1"), Transcript("hello"))
    options = replace(PATIENT, timeout=1.0)
    event = await make_stt(client).recognize(SPEECH, conn_options=options)
    assert event.alternatives[0].text == "hello"


async def test_barge_in_does_not_wait(gateway: LocalGateway, client: Any) -> None:
    gateway.synthesize.script(rate_limited("2"))
    voice = make_tts(client)
    refused = asyncio.Event()
    voice.on("error", lambda _: refused.set())
    speaking = asyncio.create_task(speak(voice, conn_options=PATIENT))
    await refused.wait()
    await asyncio.sleep(0.3)  # LiveKit's own interval is over: what waits is the attempt
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(speaking, 1.0)
    assert len(gateway.requests) == 1
