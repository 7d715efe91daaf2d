"""Completions: timeouts, and callers who barge in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import APITimeoutError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Answer, AnswerWriter, Gate, Latency, LocalGateway, Reply
from tests.helpers.llm_calls import SOON_S, chat, make_llm, texts
from tests.helpers.support import conversation, errors_of

IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.5)


class OnlyMetas(Answer):
    """A service that tries provider after provider and sends no text."""

    serves = frozenset({"complete"})

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": "text/event-stream"})
        while True:
            await writer.event("meta", {"provider": "p", "model": "m"})
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("held", ["headers", "first output"])
async def test_late_first_output_is_a_timeout(
    gateway: LocalGateway, client: Any, held: str
) -> None:
    gateway.complete.latency = Latency(headers_s=60 if held == "headers" else 0)
    gateway.complete.script(Reply([Gate(), "too late"]))
    with pytest.raises(APITimeoutError) as raised:
        await asyncio.wait_for(chat(make_llm(client), conn_options=IMPATIENT), SOON_S)
    assert raised.value.retryable
    await gateway.idle()
    assert gateway.requests[0].cancelled


async def test_failover_event_is_not_output(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(OnlyMetas())
    options = APIConnectOptions(max_retry=0, timeout=0.5)
    with pytest.raises(APITimeoutError):
        await asyncio.wait_for(chat(make_llm(client), conn_options=options), SOON_S)
    await gateway.idle()


async def test_long_pause_after_output_is_a_timeout_without_a_retry(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Reply(["It is", Gate(), "too late"]))
    options = APIConnectOptions(max_retry=2, retry_interval=0, timeout=0.5)
    with pytest.raises(APITimeoutError) as raised:
        await asyncio.wait_for(chat(make_llm(client), conn_options=options), SOON_S)
    assert not raised.value.retryable
    await gateway.idle()
    assert len(gateway.requests) == 1


async def test_timeout_before_the_first_output_is_retried(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply([Gate()]), Reply("Hi."))
    options = APIConnectOptions(max_retry=1, retry_interval=0, timeout=0.5)
    assert texts(await chat(make_llm(speko), conn_options=options)) == ["Hi."]


async def test_long_reply_with_steady_output_is_not_cut(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.latency = Latency(between_s=0.1)
    gateway.complete.script(Reply("one two three four five six seven"))
    options = APIConnectOptions(max_retry=0, timeout=0.4)
    chunks = await chat(make_llm(client), conn_options=options)
    assert "".join(texts(chunks)) == "one two three four five six seven"


@pytest.mark.parametrize("said", [[], ["It is"]], ids=["before the text", "in the text"])
async def test_closed_reply_frees_its_connection(
    gateway: LocalGateway, client: Any, said: list[str]
) -> None:
    """A session closes the stream when the caller barges in."""
    gate = Gate()
    gateway.complete.script(Reply([*said, gate, " noon."]))
    model = make_llm(client)
    errors = errors_of(model)
    stream = model.chat(chat_ctx=conversation())
    await gate.reached()
    await stream.aclose()
    await gateway.idle()
    assert gateway.requests[0].cancelled
    assert errors == []


async def test_cancelled_reader_raises_only_the_cancellation(
    gateway: LocalGateway, client: Any
) -> None:
    gate = Gate()
    gateway.complete.script(Reply([gate]))
    model = make_llm(client)
    errors = errors_of(model)
    reader = asyncio.create_task(chat(model))
    await gate.reached()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await gateway.idle()
    assert errors == []


class Forever(Answer):
    """One event, repeated."""

    serves = frozenset({"complete"})

    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.name, self.data = name, data

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": "text/event-stream"})
        while True:
            await writer.event(self.name, self.data)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("data", [{"text": ""}, {"text": None}, {}])
async def test_empty_delta_is_not_output(
    gateway: LocalGateway, speko: Speko, data: dict[str, Any]
) -> None:
    gateway.complete.script(Forever("delta", data))
    with pytest.raises(APITimeoutError):
        await asyncio.wait_for(chat(make_llm(speko), conn_options=IMPATIENT), SOON_S)
    await gateway.idle()


async def test_server_tool_extends_the_wait(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.latency = Latency(between_s=0.25)
    started = {"id": "s", "name": "search", "status": "started"}
    at_work = [("server_tool_call", started)] * 3
    gateway.complete.script(Paced(*at_work, ("done", {"text": "Found."})))
    options = APIConnectOptions(max_retry=0, timeout=0.5)
    assert texts(await chat(make_llm(speko), conn_options=options)) == ["Found."]


class Paced(Answer):
    """Events at the route's pace."""

    serves = frozenset({"complete"})

    def __init__(self, *events: tuple[str, dict[str, Any]]) -> None:
        self.events = events

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": "text/event-stream"})
        for name, data in self.events:
            await writer.pace()
            await writer.event(name, data)
