"""From a fault to LiveKit's error: every call of every adapter follows the table."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import httpx
import pytest
import spekoai
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import (
    Intent,
    Speko,
    SpekoAdapterError,
    SpekoApiError,
    SpekoLLM,
    SpekoSTT,
    SpekoTTS,
)
from livekit_plugins_speko.testing import (
    Answer,
    EndOfStream,
    ErrorEvent,
    Gate,
    Latency,
    LocalGateway,
    Refusal,
    Reply,
    Speech,
    Transcript,
)
from tests.helpers.raw_server import RawServer
from tests.helpers.support import NO_RETRY, QUICK_RETRY, cause, conversation, errors_of, frame, tone

IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.25)


class Run:
    """One adapter, one call of it, and the errors that it emitted."""

    route: str
    adapter: Any

    def __init__(self, speko: Any) -> None:
        self.made = self.adapter(speko=speko, intent=Intent("en"))
        self.errors = errors_of(self.made)
        self.outputs: list[Any] = []

    async def call(self, conn_options: APIConnectOptions) -> None:
        raise NotImplementedError


class Recognize(Run):
    route, adapter = "transcribe", SpekoSTT

    async def call(self, conn_options: APIConnectOptions) -> None:
        speech = frame(tone(rate=16_000))
        self.outputs.append(await self.made.recognize(speech, conn_options=conn_options))


class Chat(Run):
    route, adapter = "complete", SpekoLLM

    async def call(self, conn_options: APIConnectOptions) -> None:
        async with self.made.chat(chat_ctx=conversation(), conn_options=conn_options) as chunks:
            async for chunk in chunks:
                self.outputs.append(chunk)


class Synthesize(Run):
    route, adapter = "synthesize", SpekoTTS

    async def call(self, conn_options: APIConnectOptions) -> None:
        async with self.made.synthesize("Hello.", conn_options=conn_options) as audio:
            async for synthesized in audio:
                self.outputs.append(synthesized)


Kind: TypeAlias = type[Run]
RUNS = pytest.mark.parametrize("kind", [Recognize, Chat, Synthesize])


def answer_with(gateway: LocalGateway, kind: Kind, answer: Answer) -> None:
    getattr(gateway, kind.route).always(answer)


def held(kind: Kind, *, after_output: bool = False) -> tuple[Answer, Gate]:
    """A response that stops before, or in the middle of, its content."""
    gate = Gate()
    if kind is Recognize:
        return Transcript("hello", interim=["hel", gate] if after_output else [gate]), gate
    if kind is Chat:
        return Reply(["Hi", gate, " you"] if after_output else [gate, "Hi"]), gate
    return Speech([tone(), gate, tone()] if after_output else [gate, tone()]), gate


async def fail(run: Run, conn_options: APIConnectOptions = NO_RETRY) -> APIError:
    with pytest.raises(APIError) as raised:
        await asyncio.wait_for(run.call(conn_options), 10)
    return raised.value


@RUNS
@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_temporary_status_is_retried(
    gateway: LocalGateway, speko: Speko, kind: Kind, status: int
) -> None:
    answer_with(gateway, kind, Refusal(status, "later", "LATER"))
    run = kind(speko)
    error = await fail(run, QUICK_RETRY)
    assert len(gateway.requests) == 3
    assert [event.recoverable for event in run.errors] == [True, True, False]
    assert (cause(error).status, cause(error).code) == (status, "LATER")


@RUNS
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_permanent_status_is_not_retried(
    gateway: LocalGateway, speko: Speko, kind: Kind, status: int
) -> None:
    answer_with(gateway, kind, Refusal(status, "no", "NEVER"))
    run = kind(speko)
    error = await fail(run, QUICK_RETRY)
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable) == (status, False)
    assert error.body == {"error": "no", "code": "NEVER"}
    assert (len(gateway.requests), [event.recoverable for event in run.errors]) == (1, [False])
    assert isinstance(cause(error), SpekoApiError)


@RUNS
async def test_successful_retry_returns_its_result(
    gateway: LocalGateway, speko: Speko, kind: Kind
) -> None:
    well = {Recognize: Transcript("hello"), Chat: Reply("Hi"), Synthesize: Speech(tone())}
    getattr(gateway, kind.route).script(Refusal(503, "later"), well[kind])
    run = kind(speko)
    await run.call(QUICK_RETRY)
    assert run.outputs and [event.recoverable for event in run.errors] == [True]


@RUNS
async def test_late_headers_are_a_timeout(gateway: LocalGateway, speko: Speko, kind: Kind) -> None:
    getattr(gateway, kind.route).latency = Latency(headers_s=60)
    answer_with(gateway, kind, held(kind)[0])
    error = await fail(kind(speko), IMPATIENT)
    assert type(error) is APITimeoutError and error.retryable


@RUNS
@pytest.mark.parametrize("after_output", [False, True])
async def test_silence_is_a_timeout(
    gateway: LocalGateway, speko: Speko, kind: Kind, after_output: bool
) -> None:
    answer_with(gateway, kind, held(kind, after_output=after_output)[0])
    error = await fail(kind(speko), IMPATIENT)
    assert type(error) is APITimeoutError
    assert error.retryable == (not (after_output and kind is Chat))
    await gateway.idle(connections=0)


@RUNS
async def test_unreachable_service_is_a_connection_error_and_retried(kind: Kind) -> None:
    async with RawServer(b"") as server:
        pass
    async with Speko(api_key="sk-1", base_url=server.base_url) as speko:
        run = kind(speko)
        error = await fail(run, QUICK_RETRY)
    assert isinstance(error, APIConnectionError) and not isinstance(error, APITimeoutError)
    assert [event.recoverable for event in run.errors] == [True, True, False]


@RUNS
async def test_cut_connection_is_a_connection_error(kind: Kind) -> None:
    async with RawServer(b"") as server, Speko(api_key="k", base_url=server.base_url) as speko:
        error = await fail(kind(speko))
    assert type(error) is APIConnectionError and error.retryable
    assert isinstance(error.__cause__, httpx.RemoteProtocolError)


@pytest.mark.parametrize(
    ("kind", "answer", "code"),
    [
        (Recognize, Transcript("", interim=[ErrorEvent("x", "TRANSCRIBE_FAILED")]), None),
        (Recognize, Transcript("", interim=[EndOfStream()]), "STREAM_ENDED"),
        (Chat, Reply([ErrorEvent("x", "COMPLETE_FAILED")]), "COMPLETE_FAILED"),
        (Chat, Reply([EndOfStream()]), "STREAM_ENDED"),
        (Chat, Reply(""), "EMPTY_COMPLETION"),
        (Synthesize, Speech(b""), "EMPTY_AUDIO"),
        (Synthesize, Speech(b"RIFFnone", content_type="audio/wav"), "MALFORMED_AUDIO"),
    ],
)
async def test_fault_inside_a_response_is_retried(
    gateway: LocalGateway, speko: Speko, kind: Kind, answer: Answer, code: str | None
) -> None:
    answer_with(gateway, kind, answer)
    run = kind(speko)
    error = await fail(run, QUICK_RETRY)
    assert (len(gateway.requests), len(run.errors)) == (3, 3)
    assert cause(error).code == (code or "TRANSCRIBE_FAILED")


@pytest.mark.parametrize(
    ("speech", "code"),
    [
        (Speech(tone(), content_type="audio/ogg"), "UNSUPPORTED_AUDIO_FORMAT"),
        (Speech(tone(), content_type="audio/mpeg"), "UNSUPPORTED_AUDIO_FORMAT"),
        (Speech(tone(), content_type="text/html"), "UNSUPPORTED_CONTENT_TYPE"),
        (Speech(tone(), content_type="audio/pcm;rate=16000"), "SAMPLE_RATE_MISMATCH"),
    ],
)
async def test_unsupported_audio_is_not_retried(
    gateway: LocalGateway, speko: Speko, speech: Speech, code: str
) -> None:
    gateway.synthesize.always(speech)
    error = await fail(Synthesize(speko), QUICK_RETRY)
    assert (len(gateway.requests), error.retryable) == (1, False)
    assert isinstance(error.__cause__, SpekoAdapterError) and error.__cause__.code == code


async def test_invalid_context_is_not_sent_and_not_retried(
    gateway: LocalGateway, speko: Speko
) -> None:
    chat = SpekoLLM(speko=speko, intent=Intent("en")).chat(
        chat_ctx=conversation(("user", " ")), conn_options=QUICK_RETRY
    )
    with pytest.raises(APIError) as raised:
        async with chat as chunks:
            await anext(chunks)
    assert (gateway.requests, raised.value.retryable) == ([], False)
    assert cause(raised.value).code == "INVALID_CONTEXT"


@pytest.mark.parametrize("end", [ErrorEvent("x"), EndOfStream(), Gate()])
async def test_partly_forwarded_reply_is_not_retried(
    gateway: LocalGateway, speko: Speko, end: Any
) -> None:
    gateway.complete.script(Reply(["Hi", end]))
    run = Chat(speko)
    error = await fail(run, APIConnectOptions(max_retry=2, retry_interval=0, timeout=0.25))
    assert (len(gateway.requests), error.retryable) == (1, False)
    assert [chunk.delta.content for chunk in run.outputs] == ["Hi"]
    assert [event.recoverable for event in run.errors] == [False]


@RUNS
@pytest.mark.parametrize("after_output", [False, True])
async def test_cancelled_call_emits_no_error_and_frees_its_connection_at_once(
    gateway: LocalGateway, speko: Speko, kind: Kind, after_output: bool
) -> None:
    answer, gate = held(kind, after_output=after_output)
    answer_with(gateway, kind, answer)
    run = kind(speko)
    task = asyncio.create_task(run.call(QUICK_RETRY))
    await gate.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gateway.idle(connections=0, within_s=1)
    assert gateway.requests[0].cancelled
    assert (len(gateway.requests), run.errors) == (1, [])


@RUNS
async def test_errors_of_the_official_sdk_are_mapped_alike(
    gateway: LocalGateway, kind: Kind
) -> None:
    answer_with(gateway, kind, Refusal(401, "no", "UNAUTHORIZED"))
    async with spekoai.AsyncSpeko(api_key=gateway.api_key, base_url=gateway.base_url) as speko:
        error = await fail(kind(speko), QUICK_RETRY)
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable, len(gateway.requests)) == (401, False, 1)


@RUNS
async def test_unreachable_service_is_mapped_alike_for_the_official_sdk(kind: Kind) -> None:
    async with RawServer(b"") as server:
        pass
    async with spekoai.AsyncSpeko(api_key="sk-1", base_url=server.base_url) as speko:
        error = await fail(kind(speko))
    assert type(error) is APIConnectionError and error.retryable


@pytest.mark.parametrize("run", [Recognize, Chat, Synthesize])
async def test_closed_client_is_named_in_the_error(gateway: LocalGateway, run: Any) -> None:
    client = Speko(base_url=gateway.base_url, api_key=gateway.api_key)
    await client.aclose()
    with pytest.raises(APIError, match="The client is closed") as raised:
        await run(client).call(QUICK_RETRY)
    assert not raised.value.retryable
    assert gateway.requests == []
