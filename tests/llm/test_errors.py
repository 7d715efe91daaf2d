"""Completions: faults before the first output, after it, and retries."""

from __future__ import annotations

from typing import Any

import pytest
import spekoai
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError, llm

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import (
    Answer,
    EndOfStream,
    ErrorEvent,
    LocalGateway,
    Refusal,
    Reply,
)
from tests.helpers.llm_calls import CALL_A, Events, chat, done, kinds, make_llm, texts
from tests.helpers.support import QUICK_RETRY, cause, conversation, errors_of


@pytest.mark.parametrize("context", [llm.ChatContext.empty(), conversation(("user", " "))])
async def test_context_without_text_is_an_error_without_a_retry(
    gateway: LocalGateway, speko: Speko, context: llm.ChatContext
) -> None:
    model = make_llm(speko)
    errors = errors_of(model)
    with pytest.raises(APIError) as raised:
        async with model.chat(chat_ctx=context, conn_options=QUICK_RETRY) as stream:
            await stream.__anext__()
    assert type(raised.value) is APIError and not raised.value.retryable
    assert type(cause(raised.value)).__name__ == "SpekoAdapterError"
    assert cause(raised.value).code == "INVALID_CONTEXT"
    assert [error.recoverable for error in errors] == [False]
    assert gateway.requests == []


PASSING_FAULTS = {
    "500": Refusal(500, "tired", "COMPLETE_FAILED"),
    "502": Refusal(502, body="<h1>Bad gateway</h1>"),
    "429": Refusal(429, "slow down", "RATE_LIMITED"),
    "408": Refusal(408, "too slow"),
    "error event": Reply([ErrorEvent("all tired")]),
    "error after a call": Reply([CALL_A, ErrorEvent("all tired")]),
    "stream ended": Reply([EndOfStream()]),
    "empty completion": Reply(""),
    "broken off": Events(("meta", {"provider": "p", "model": "m"}), then_break_off=True),
}


@pytest.mark.parametrize("fault", PASSING_FAULTS.values(), ids=PASSING_FAULTS.keys())
async def test_fault_before_the_first_output_is_retried(
    gateway: LocalGateway, client: Any, fault: Answer
) -> None:
    gateway.complete.script(fault, Reply("Hi there."))
    model = make_llm(client)
    errors = errors_of(model)
    chunks = await chat(model, conn_options=QUICK_RETRY)
    assert kinds(chunks) == ["text", "text", "usage"]
    assert "".join(texts(chunks)) == "Hi there."
    assert [error.recoverable for error in errors] == [True]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_permanent_fault_is_not_retried(
    gateway: LocalGateway, client: Any, status: int
) -> None:
    gateway.complete.script(Refusal(status, "no", "NOPE"))
    with pytest.raises(APIStatusError) as raised:
        await chat(make_llm(client), conn_options=QUICK_RETRY)
    assert (raised.value.status_code, raised.value.retryable) == (status, False)
    assert cause(raised.value).status == status


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Reply([ErrorEvent("all tired", "ALL_PROVIDERS_FAILED")]), "ALL_PROVIDERS_FAILED"),
        (Reply([EndOfStream()]), "STREAM_ENDED"),
        (Reply(""), "EMPTY_COMPLETION"),
    ],
)
async def test_error_event_raises_its_code(
    gateway: LocalGateway, client: Any, fault: Answer, code: str
) -> None:
    gateway.complete.script(fault)
    with pytest.raises(APIError) as raised:
        await chat(make_llm(client))
    assert code in str(raised.value) and raised.value.retryable
    assert (cause(raised.value).status, cause(raised.value).code) == (200, code)


async def test_response_that_the_sdk_cannot_parse_is_a_livekit_error(
    gateway: LocalGateway,
) -> None:
    """Its models require a text, which a turn with only tool calls may lack."""
    gateway.complete.script(Events(done(toolCalls=[CALL_A.wire()])))
    client = spekoai.AsyncSpeko(api_key=gateway.api_key, base_url=gateway.base_url)
    async with client:
        with pytest.raises(APIError) as raised:
            await chat(make_llm(client))
    assert raised.value.retryable and "Paris" not in str(raised.value)


BREAKS = {
    "error event": Reply(["It is", ErrorEvent("all tired")]),
    "stream ended": Reply(["It is", EndOfStream()]),
    "broken off": Events(("delta", {"text": "It is"}), then_break_off=True),
}


@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS.keys())
async def test_fault_after_the_first_output_is_not_retried(
    gateway: LocalGateway, client: Any, fault: Answer
) -> None:
    """A retry would speak the first words twice."""
    gateway.complete.script(fault)
    model = make_llm(client)
    errors = errors_of(model)
    chunks: list[llm.ChatChunk] = []
    with pytest.raises(APIError) as raised:
        async with model.chat(chat_ctx=conversation(), conn_options=QUICK_RETRY) as stream:
            async for chunk in stream:
                chunks.append(chunk)
    assert texts(chunks) == ["It is"]
    assert not raised.value.retryable
    assert [error.recoverable for error in errors] == [False]
    assert len(gateway.requests) == 1


async def test_refused_connection_is_a_connection_error(gateway: LocalGateway) -> None:
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        await gateway.aclose()
        with pytest.raises(APIConnectionError) as raised:
            await chat(make_llm(speko))
    assert raised.value.retryable and not isinstance(raised.value, APITimeoutError)
