"""Speech-to-text: audio that cannot be sent, faults, timeouts and cancelled calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import (
    EndOfStream,
    ErrorEvent,
    Gate,
    Latency,
    LocalGateway,
    Refusal,
    Transcript,
)
from tests.helpers.stt_calls import SPEECH, make_stt
from tests.helpers.support import NO_RETRY, QUICK_RETRY, cause, errors_of, frame, tone

SOON_S = 10.0  # far below the clients' own timeouts
IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.25)


@pytest.mark.parametrize(
    ("frames", "code", "text"),
    [
        (
            frame(tone(rate=16_000, channels=2), channels=2),
            "UNSUPPORTED_CHANNELS",
            "SpekoSTT: expected mono audio (1 channel), got 2.",
        ),
        (
            [frame(tone(rate=8_000), rate=8_000), SPEECH],
            "UNSUPPORTED_AUDIO_FORMAT",
            "[8000, 16000]",
        ),
        ([], "UNSUPPORTED_AUDIO_FORMAT", "got none"),
    ],
    ids=["stereo", "mixed rates", "no frames"],
)
async def test_invalid_audio_is_an_error_without_a_retry(
    gateway: LocalGateway, speko: Speko, frames: Any, code: str, text: str
) -> None:
    recognizer = make_stt(speko)
    errors = errors_of(recognizer)
    with pytest.raises(APIError) as raised:
        await recognizer.recognize(frames, conn_options=QUICK_RETRY)
    assert type(raised.value) is APIError and not raised.value.retryable
    assert text in str(raised.value)
    assert type(cause(raised.value)).__name__ == "SpekoAdapterError"
    assert cause(raised.value).code == code
    assert [error.recoverable for error in errors] == [False]
    assert gateway.requests == []


@pytest.mark.parametrize(
    "fault",
    [
        Refusal(500, "tired", "TRANSCRIBE_FAILED"),
        Refusal(502, body="<h1>Bad gateway</h1>"),
        Refusal(429, "slow down", "RATE_LIMITED"),
        Refusal(408, "too slow"),
        Transcript("", interim=["he", ErrorEvent("all tired")]),
        Transcript("", interim=[EndOfStream()]),
    ],
    ids=["500", "502", "429", "408", "error event", "stream ended"],
)
async def test_temporary_fault_is_retried(gateway: LocalGateway, client: Any, fault: Any) -> None:
    gateway.transcribe.script(fault, Transcript("hello"))
    recognizer = make_stt(client)
    errors = errors_of(recognizer)
    event = await recognizer.recognize(SPEECH, conn_options=QUICK_RETRY)
    assert event.alternatives[0].text == "hello"
    assert [error.recoverable for error in errors] == [True]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_permanent_fault_is_not_retried(
    gateway: LocalGateway, client: Any, status: int
) -> None:
    gateway.transcribe.script(Refusal(status, "no", "NOPE"))
    with pytest.raises(APIStatusError) as raised:
        await make_stt(client).recognize(SPEECH, conn_options=QUICK_RETRY)
    assert (raised.value.status_code, raised.value.retryable) == (status, False)
    assert cause(raised.value).status == status


async def test_last_fault_is_the_cause_after_every_attempt_failed(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.transcribe.script(*[Refusal(503, f"tired {n}", "BUSY") for n in range(3)])
    with pytest.raises(APIConnectionError, match="after 3 attempts") as raised:
        await make_stt(client).recognize(SPEECH, conn_options=QUICK_RETRY)
    failed = raised.value.__cause__
    assert isinstance(failed, APIStatusError)
    assert (failed.status_code, failed.body) == (503, {"error": "tired 2", "code": "BUSY"})


async def test_refused_connection_is_a_connection_error(gateway: LocalGateway) -> None:
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        await gateway.aclose()
        with pytest.raises(APIConnectionError) as raised:
            await make_stt(speko).recognize(SPEECH, conn_options=NO_RETRY)
    assert raised.value.retryable and not isinstance(raised.value, APITimeoutError)


@pytest.mark.parametrize("held", ["headers", "text"])
async def test_late_response_is_a_timeout(gateway: LocalGateway, client: Any, held: str) -> None:
    gateway.transcribe.latency = Latency(headers_s=60 if held == "headers" else 0)
    gateway.transcribe.script(Transcript("too late", interim=[Gate()]))
    with pytest.raises(APITimeoutError) as raised:
        call = make_stt(client).recognize(SPEECH, conn_options=IMPATIENT)
        await asyncio.wait_for(call, SOON_S)
    assert raised.value.retryable
    await gateway.idle()
    assert gateway.requests[0].cancelled


async def test_interim_transcripts_count_as_progress(gateway: LocalGateway, speko: Speko) -> None:
    """A long utterance may take longer than a caller would wait for silence."""
    gateway.transcribe.latency = Latency(between_s=0.1)
    gateway.transcribe.script(Transcript("a long one", interim=["a"] * 6))
    options = APIConnectOptions(max_retry=0, timeout=0.4)
    event = await make_stt(speko).recognize(SPEECH, conn_options=options)
    assert event.alternatives[0].text == "a long one"


async def test_timeout_is_retried(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript("too late", interim=[Gate()]), Transcript("hello"))
    options = APIConnectOptions(max_retry=1, retry_interval=0, timeout=0.5)
    event = await make_stt(speko).recognize(SPEECH, conn_options=options)
    assert event.alternatives[0].text == "hello"


async def test_cancelled_call_frees_its_connection_and_emits_no_error(
    gateway: LocalGateway, client: Any
) -> None:
    gate = Gate()
    gateway.transcribe.script(Transcript("never heard", interim=["nev", gate]))
    recognizer = make_stt(client)
    errors = errors_of(recognizer)
    call = asyncio.create_task(recognizer.recognize(SPEECH))
    await gate.reached()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gateway.idle()
    assert gateway.requests[0].cancelled
    assert errors == []
