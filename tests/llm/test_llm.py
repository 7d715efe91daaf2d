"""Completions, through LiveKit's own streams: replies, metrics and logs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.agents import llm

from livekit_plugins_speko import Intent, Speko
from livekit_plugins_speko.testing import Gate, LocalGateway, Reply, ServerToolCall
from tests.helpers.llm_calls import (
    CALL_A,
    CALL_B,
    SOON_S,
    Events,
    call_ids,
    chat,
    done,
    kinds,
    make_llm,
    texts,
)
from tests.helpers.support import ACME, conversation


def test_label_model_and_provider(speko: Speko) -> None:
    model = make_llm(speko)
    assert (model.label, model.provider, model.model) == ("speko.LLM", "speko", "speko-router")


def test_intent_is_the_one_of_the_next_call(speko: Speko) -> None:
    model = make_llm(speko)
    model.update_options(intent={"language": "es-MX"})
    assert model.intent == Intent(language="es-MX")


async def test_text_arrives_while_the_service_is_sending(
    gateway: LocalGateway, client: Any
) -> None:
    gate = Gate()
    gateway.complete.script(Reply(["It is", " almost", gate, " noon."]))
    async with make_llm(client).chat(chat_ctx=conversation()) as stream:
        chunks = [await stream.__anext__(), await stream.__anext__()]
        assert texts(chunks) == ["It is", " almost"]
        await gate.reached()
        assert not gateway.requests[0].done
        gate.open()
        chunks += [chunk async for chunk in stream]
    assert texts(chunks) == ["It is", " almost", " noon."]


async def test_order_is_text_then_calls_then_usage(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply([CALL_A, "One", " moment."], tool_calls=[CALL_B]))
    chunks = await chat(make_llm(client))
    assert kinds(chunks) == ["text", "text", "calls", "usage"]
    delta = chunks[2].delta
    assert delta is not None and delta.role == "assistant"
    assert [(c.call_id, c.name, c.arguments) for c in delta.tool_calls] == [
        ("a", "get_weather", '{"city": "Paris"}'),
        ("b", "get_time", "{}"),
    ]


async def test_chunks_of_a_reply_share_one_id(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.always(Reply("It is noon.", tool_calls=[CALL_A]))
    model = make_llm(client)
    ids = [{chunk.id for chunk in await chat(model)} for _ in range(2)]
    assert [len(of_a_reply) for of_a_reply in ids] == [1, 1]
    assert ids[0] != ids[1] and "" not in ids[0]


async def test_usage_is_the_services(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Noon.", prompt_tokens=31, completion_tokens=7))
    assert (await chat(make_llm(client)))[-1].usage == llm.CompletionUsage(
        prompt_tokens=31, completion_tokens=7, prompt_cached_tokens=0, total_tokens=38
    )


async def test_livekit_collects_a_complete_reply(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("It is noon.", tool_calls=[CALL_A]))
    reply = await make_llm(client).chat(chat_ctx=conversation()).collect()
    assert (reply.text, [call.call_id for call in reply.tool_calls]) == ("It is noon.", ["a"])
    assert reply.usage is not None and reply.usage.total_tokens == 15


async def test_response_of_an_older_service_is_one_chunk(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.json_answers = True
    gateway.complete.script(Reply("It is noon.", tool_calls=[CALL_A]))
    chunks = await chat(make_llm(speko))
    assert kinds(chunks) == ["text", "calls", "usage"]
    assert (texts(chunks), call_ids(chunks)) == (["It is noon."], ["a"])


async def test_text_only_in_the_done_event_is_forwarded(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Events(done(text="It is noon.")))
    assert texts(await chat(make_llm(client))) == ["It is noon."]


@pytest.mark.parametrize("fields", [{}, {"text": ""}, {"text": None}])
async def test_turn_with_only_tool_calls_needs_no_text(
    gateway: LocalGateway, speko: Speko, fields: dict[str, Any]
) -> None:
    gateway.complete.script(Events(done(toolCalls=[CALL_A.wire()], **fields)))
    assert kinds(await chat(make_llm(speko))) == ["calls", "usage"]


async def test_connection_cut_after_the_end_has_no_effect(
    gateway: LocalGateway, client: Any
) -> None:
    events = ("delta", {"text": "Hi."}), done(text="Hi.", toolCalls=[CALL_A.wire()])
    gateway.complete.script(Events(*events, then_break_off=True))
    assert kinds(await chat(make_llm(client))) == ["text", "calls", "usage"]


async def test_connection_left_open_after_the_end_is_not_waited_for(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Events(done(text="Hi."), gate=Gate()))
    chunks = await asyncio.wait_for(chat(make_llm(client)), SOON_S / 4)
    assert texts(chunks) == ["Hi."]


async def test_tools_run_by_the_service_are_not_forwarded(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Reply("Noon.", server_tool_calls=[ServerToolCall("clock")]))
    assert kinds(await chat(make_llm(client))) == ["text", "usage"]


class OtherEvents:
    """An iterator over events that is no generator, and knows whether it was closed."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self.events = events
        self.closed = False

    def __aiter__(self) -> OtherEvents:
        return self

    async def __anext__(self) -> Any:
        return await self.events.__anext__()

    async def aclose(self) -> None:
        self.closed = True


class OtherClient:
    """A third-party client with only the methods that the adapters require."""

    def __init__(self, speko: Speko) -> None:
        self.speko, self.agents = speko, speko.agents
        self.transcribe, self.synthesize_stream = speko.transcribe, speko.synthesize_stream
        self.replies: list[OtherEvents] = []

    def complete_stream(self, **options: Any) -> OtherEvents:
        self.replies.append(OtherEvents(self.speko.complete_stream(**options)))
        return self.replies[-1]


async def test_events_of_a_third_party_client_are_closed(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Hi."))
    client = OtherClient(speko)
    assert texts(await chat(make_llm(client))) == ["Hi."]
    assert [reply.closed for reply in client.replies] == [True]


async def test_replies_run_concurrently(gateway: LocalGateway, client: Any) -> None:
    gate = Gate()
    gateway.complete.always(Reply(["Hi", gate, "."]))
    model = make_llm(client)
    readers = [asyncio.create_task(chat(model)) for _ in range(3)]
    await gateway.arrived("complete", count=3)
    gate.open()
    assert [texts(chunks) for chunks in await asyncio.gather(*readers)] == [["Hi", "."]] * 3


async def test_metrics_have_the_tokens_and_the_time_to_first_token(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Reply("Hi there.", prompt_tokens=31, completion_tokens=7))
    model = make_llm(client)
    collected: list[Any] = []
    model.on("metrics_collected", collected.append)
    chunks = await chat(model)
    (metrics,) = collected
    assert (metrics.label, metrics.request_id) == ("speko.LLM", chunks[0].id)
    assert (metrics.prompt_tokens, metrics.completion_tokens, metrics.total_tokens) == (31, 7, 38)
    assert 0 <= metrics.ttft <= metrics.duration


async def test_log_has_the_route_but_no_speech(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.complete.script(Reply("a secret", route=ACME))
    with caplog.at_level(logging.DEBUG, "livekit.plugins.speko"):
        await chat(make_llm(client))
    (record,) = [r for r in caplog.records if hasattr(r, "speko.provider")]
    plain = {key: value for key, value in vars(record).items() if "pii" not in key.split(".")}
    assert (plain["speko.provider"], plain["speko.model"]) == ("acme", "acme-2")
    assert (plain["speko.failover_count"], plain["speko.scores_run_id"]) == (1, "run-7")
    assert "secret" not in str(plain)


async def test_closing_leaves_the_client_open(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    async with make_llm(client):
        pass
    assert texts(await chat(make_llm(client))) == ["Hi."]
