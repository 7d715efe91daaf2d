"""Completions, through LiveKit's own streams."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import spekoai
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError, llm
from livekit.agents.types import NOT_GIVEN, APIConnectOptions

from livekit_plugins_speko import ChatTool, PipelineConstraints, Speko, SpekoLLM
from livekit_plugins_speko.testing import (
    Answer,
    AnswerWriter,
    EndOfStream,
    ErrorEvent,
    Gate,
    Latency,
    LocalGateway,
    ProviderRoute,
    Refusal,
    Reply,
    ServerToolCall,
    ToolCall,
)

from .support import NO_RETRY, QUICK_RETRY, cause, conversation

INTENT = {"language": "en-US", "region": "global", "optimize_for": "latency"}
SOON_S = 10.0  # far below the clients' own timeouts
IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.1)
CALL_A = ToolCall("get_weather", {"city": "Paris"}, id="a")
CALL_B = ToolCall("get_time", {}, id="b")
LOOKUP: dict[str, Any] = {"name": "lookup", "description": "Look up.", "parameters": {}}


class Events(Answer):
    """Events as they are given, with nothing in front of them and nothing after them."""

    serves = frozenset({"complete"})

    def __init__(
        self,
        *events: tuple[str, Mapping[str, Any]],
        gate: Gate | None = None,
        then_break_off: bool = False,
    ):
        self.events = events
        self.gate = gate
        self.then_break_off = then_break_off

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": "text/event-stream"})
        for name, data in self.events:
            await writer.event(name, data)
        if self.gate is not None:
            await self.gate.hold()
        if self.then_break_off:
            writer.abort()


class OnlyMetas(Answer):
    """A service that goes from provider to provider and never says a word."""

    serves = frozenset({"complete"})

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": "text/event-stream"})
        while True:
            await writer.event("meta", {"provider": "p", "model": "m"})
            await asyncio.sleep(0.02)


def done(**fields: Any) -> tuple[str, Mapping[str, Any]]:
    """A `done` event of which only the given fields beside the required ones are there."""
    usage = {"promptTokens": 1, "completionTokens": 1}
    return "done", {"provider": "p", "model": "m", "usage": usage, **fields}


def make_llm(speko: Any, **options: Any) -> SpekoLLM:
    return SpekoLLM(**{"speko": speko, "intent": INTENT, **options})


async def chat(model: SpekoLLM, *turns: tuple[str, str], **options: Any) -> list[llm.ChatChunk]:
    """Every chunk of one reply."""
    options = {"conn_options": NO_RETRY, **options}
    async with model.chat(chat_ctx=conversation(*turns), **options) as stream:
        return [chunk async for chunk in stream]


def texts(chunks: list[llm.ChatChunk]) -> list[str]:
    return [chunk.delta.content for chunk in chunks if chunk.delta and chunk.delta.content]


def call_ids(chunks: list[llm.ChatChunk]) -> list[str]:
    return [call.call_id for chunk in chunks if chunk.delta for call in chunk.delta.tool_calls]


def kinds(chunks: list[llm.ChatChunk]) -> list[str]:
    """What each chunk carries."""
    return [
        "usage" if chunk.usage else "calls" if chunk.delta and chunk.delta.tool_calls else "text"
        for chunk in chunks
    ]


def errors_of(model: SpekoLLM) -> list[llm.LLMError]:
    """The error events of a model, as they come."""
    errors: list[llm.LLMError] = []
    model.on("error", errors.append)
    return errors


@pytest.fixture(params=["Speko", "AsyncSpeko"])
async def client(request: pytest.FixtureRequest, gateway: LocalGateway) -> AsyncIterator[Any]:
    """Each of the clients that an adapter takes."""
    clients: dict[str, Any] = {"Speko": Speko, "AsyncSpeko": spekoai.AsyncSpeko}
    make = clients[request.param]
    async with make(api_key=gateway.api_key, base_url=gateway.base_url) as client:
        yield client


def test_it_says_what_it_is(speko: Speko) -> None:
    model = make_llm(speko)
    assert (model.label, model.provider, model.model) == ("speko.LLM", "speko", "speko-router")


async def test_text_arrives_while_the_service_still_writes(
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


async def test_text_comes_first_then_the_calls_then_the_usage(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Reply([CALL_A, "One", " moment."], tool_calls=[CALL_B]))
    chunks = await chat(make_llm(client))
    assert kinds(chunks) == ["text", "text", "calls", "usage"]
    delta = chunks[2].delta
    assert delta is not None and delta.role == "assistant"
    assert [(c.call_id, c.name, c.arguments) for c in delta.tool_calls] == [
        ("a", "get_weather", '{"city": "Paris"}'),
        ("b", "get_time", "{}"),
    ]


async def test_the_chunks_of_a_reply_share_an_id_of_its_own(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.always(Reply("It is noon.", tool_calls=[CALL_A]))
    model = make_llm(client)
    ids = [{chunk.id for chunk in await chat(model)} for _ in range(2)]
    assert [len(of_a_reply) for of_a_reply in ids] == [1, 1]
    assert ids[0] != ids[1] and "" not in ids[0]


async def test_the_usage_is_the_services(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Noon.", prompt_tokens=31, completion_tokens=7))
    assert (await chat(make_llm(client)))[-1].usage == llm.CompletionUsage(
        prompt_tokens=31, completion_tokens=7, prompt_cached_tokens=0, total_tokens=38
    )


async def test_livekit_collects_a_whole_reply(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("It is noon.", tool_calls=[CALL_A]))
    reply = await make_llm(client).chat(chat_ctx=conversation()).collect()
    assert (reply.text, [call.call_id for call in reply.tool_calls]) == ("It is noon.", ["a"])
    assert reply.usage is not None and reply.usage.total_tokens == 15


async def test_the_older_services_answer_is_one_piece(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.json_answers = True
    gateway.complete.script(Reply("It is noon.", tool_calls=[CALL_A]))
    chunks = await chat(make_llm(speko))
    assert kinds(chunks) == ["text", "calls", "usage"]
    assert (texts(chunks), call_ids(chunks)) == (["It is noon."], ["a"])


async def test_text_that_only_the_done_event_has_is_handed_on(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Events(done(text="It is noon.")))
    assert texts(await chat(make_llm(client))) == ["It is noon."]


@pytest.mark.parametrize("fields", [{}, {"text": ""}, {"text": None}])
async def test_a_turn_that_only_calls_tools_needs_no_text(
    gateway: LocalGateway, speko: Speko, fields: dict[str, Any]
) -> None:
    gateway.complete.script(Events(done(toolCalls=[CALL_A.wire()], **fields)))
    assert kinds(await chat(make_llm(speko))) == ["calls", "usage"]


async def test_a_connection_that_breaks_behind_the_end_costs_nothing(
    gateway: LocalGateway, client: Any
) -> None:
    events = ("delta", {"text": "Hi."}), done(text="Hi.", toolCalls=[CALL_A.wire()])
    gateway.complete.script(Events(*events, then_break_off=True))
    assert kinds(await chat(make_llm(client))) == ["text", "calls", "usage"]


async def test_a_service_that_does_not_hang_up_behind_the_end_is_not_waited_for(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Events(done(text="Hi."), gate=Gate()))
    chunks = await asyncio.wait_for(chat(make_llm(client)), SOON_S / 4)
    assert texts(chunks) == ["Hi."]


async def test_tools_that_ran_inside_speko_are_not_told(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Noon.", server_tool_calls=[ServerToolCall("clock")]))
    assert kinds(await chat(make_llm(client))) == ["text", "usage"]


async def test_every_option_is_sent(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    model = make_llm(
        client,
        temperature=0.5,
        max_tokens=80,
        constraints=PipelineConstraints({"llm": ["openai:gpt-5"]}),
        session_id=" session-1 ",
        tools=[LOOKUP],
    )
    await chat(model, tool_choice="required", parallel_tool_calls=True)
    (request,) = gateway.requests
    assert request.session_id == "session-1"
    assert request.json == {
        "messages": [{"role": "user", "content": "hi"}],
        "intent": {"language": "en-US", "region": "global", "optimizeFor": "latency"},
        "temperature": 0.5,
        "maxTokens": 80,
        "constraints": {"allowedProviders": {"llm": ["openai:gpt-5"]}},
        "tools": [LOOKUP],
        "toolChoice": "required",
        "parallelToolCalls": True,
    }


@pytest.mark.parametrize("not_given", [{}, {"tools": []}, {"tool_choice": NOT_GIVEN}])
async def test_options_that_are_not_given_are_not_sent(
    gateway: LocalGateway, client: Any, not_given: dict[str, Any]
) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client, intent={"language": "en"}), **not_given)
    (request,) = gateway.requests
    assert sorted(request.json) == ["intent", "messages"]
    assert request.json["intent"] == {"language": "en"}
    assert request.session_id is None


@pytest.mark.parametrize(
    "choice",
    ["auto", "none", "required", {"type": "function", "function": {"name": "lookup"}}],
)
async def test_the_tool_choice_is_forwarded(
    gateway: LocalGateway, client: Any, choice: Any
) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client, tools=[LOOKUP]), tool_choice=choice)
    assert gateway.requests[0].json["toolChoice"] == choice


async def test_parallel_calls_can_be_forbidden(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client), parallel_tool_calls=False)
    assert gateway.requests[0].json["parallelToolCalls"] is False


async def test_a_temperature_of_zero_is_a_temperature(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."), Reply("Hi."))
    await chat(make_llm(client, temperature=0))
    await chat(make_llm(client, temperature=1), extra_kwargs={"temperature": 0.0})
    assert [request.json["temperature"] for request in gateway.requests] == [0, 0]


async def test_extra_options_count_for_one_call(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.always(Reply("Hi."))
    model = make_llm(client, temperature=0.5, max_tokens=80)
    extra = {"temperature": 0.1, "max_tokens": 9, "max_tool_hops": 2}
    await chat(model, extra_kwargs=extra)
    await chat(model)
    first, second = (request.json for request in gateway.requests)
    assert (first["temperature"], first["maxTokens"], first["maxToolHops"]) == (0.1, 9, 2)
    assert (second["temperature"], second["maxTokens"]) == (0.5, 80)
    assert "maxToolHops" not in second
    assert extra == {"temperature": 0.1, "max_tokens": 9, "max_tool_hops": 2}


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"top_p": 1}, 'SpekoLLM: unknown option "top_p" in extra_kwargs. Expected: temperature,'),
        ({"temperature": "hot"}, "SpekoLLM: temperature must be a number, got 'hot'."),
        ({"max_tokens": 0}, "SpekoLLM: max_tokens must be a whole number, 1 or more, got 0."),
        ({"max_tool_hops": -1}, "SpekoLLM: max_tool_hops must be a whole number"),
    ],
)
async def test_an_extra_option_that_cannot_be_used_is_an_error_at_once(
    speko: Speko, extra: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make_llm(speko).chat(chat_ctx=conversation(), extra_kwargs=extra)
    assert text in str(raised.value)


@llm.function_tool
async def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


async def test_function_tools_go_out_as_inline_tools(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client), tools=[get_weather])
    (tool,) = gateway.requests[0].json["tools"]
    assert (tool["name"], tool["description"]) == ("get_weather", "Tell the weather.")
    assert tool["parameters"]["required"] == ["city"]
    assert sorted(tool) == ["description", "name", "parameters"]


async def test_a_tool_of_the_call_wins_over_the_models_own(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Reply("Hi."))
    tools = [ChatTool(name="get_weather", description="Another."), ChatTool(name="lookup")]
    await chat(make_llm(client, tools=tools), tools=[get_weather])
    sent = gateway.requests[0].json["tools"]
    assert [(tool["name"], tool["description"]) for tool in sent] == [
        ("get_weather", "Tell the weather."),
        ("lookup", ""),
    ]


async def test_calls_and_their_outputs_are_part_of_the_conversation(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Reply("Sunny."))
    context = conversation(("developer", "Be kind."), ("user", "Weather?"))
    call = llm.FunctionCall(call_id="a", name="get_weather", arguments="{}")
    output = llm.FunctionCallOutput(call_id="a", output="no network", is_error=True)
    context.items.extend([call, output])
    async with make_llm(client).chat(chat_ctx=context, conn_options=NO_RETRY) as stream:
        assert [chunk async for chunk in stream]
    wire_call = {"id": "a", "name": "get_weather", "args": "{}"}
    assert gateway.requests[0].json["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "toolCalls": [wire_call]},
        {"role": "tool", "content": "no network", "toolCallId": "a", "isError": True},
    ]


@pytest.mark.parametrize("context", [llm.ChatContext.empty(), conversation(("user", " "))])
async def test_a_context_without_text_is_an_error_that_is_not_retried(
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
async def test_a_fault_before_the_first_output_is_retried(
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
async def test_a_fault_that_stays_is_not_retried(
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
async def test_a_fault_inside_an_answer_names_its_code(
    gateway: LocalGateway, client: Any, fault: Answer, code: str
) -> None:
    gateway.complete.script(fault)
    with pytest.raises(APIError) as raised:
        await chat(make_llm(client))
    assert code in str(raised.value) and raised.value.retryable
    assert (cause(raised.value).status, cause(raised.value).code) == (200, code)


async def test_an_answer_that_the_sdk_cannot_read_is_an_error_of_livekits_own(
    gateway: LocalGateway,
) -> None:
    """Its models want a text that a turn with nothing but tool calls may lack."""
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
async def test_a_fault_after_the_first_output_is_not_retried(
    gateway: LocalGateway, client: Any, fault: Answer
) -> None:
    """A retry would say the first words twice."""
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


async def test_a_refused_connection_is_a_connection_error(gateway: LocalGateway) -> None:
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        await gateway.aclose()
        with pytest.raises(APIConnectionError) as raised:
            await chat(make_llm(speko))
    assert raised.value.retryable and not isinstance(raised.value, APITimeoutError)


@pytest.mark.parametrize("held", ["headers", "first output"])
async def test_a_first_output_that_does_not_come_in_time_is_a_timeout(
    gateway: LocalGateway, client: Any, held: str
) -> None:
    gateway.complete.latency = Latency(headers_s=60 if held == "headers" else 0)
    gateway.complete.script(Reply([Gate(), "too late"]))
    with pytest.raises(APITimeoutError) as raised:
        await asyncio.wait_for(chat(make_llm(client), conn_options=IMPATIENT), SOON_S)
    assert raised.value.retryable
    await gateway.idle()
    assert gateway.requests[0].cancelled


async def test_a_change_of_providers_is_no_output(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(OnlyMetas())
    options = APIConnectOptions(max_retry=0, timeout=0.3)
    with pytest.raises(APITimeoutError):
        await asyncio.wait_for(chat(make_llm(client), conn_options=options), SOON_S)
    await gateway.idle()


async def test_a_pause_that_is_too_long_is_a_timeout_that_is_not_retried(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Reply(["It is", Gate(), "too late"]))
    options = APIConnectOptions(max_retry=2, retry_interval=0, timeout=0.1)
    with pytest.raises(APITimeoutError) as raised:
        await asyncio.wait_for(chat(make_llm(client), conn_options=options), SOON_S)
    assert not raised.value.retryable
    await gateway.idle()
    assert len(gateway.requests) == 1


async def test_a_timeout_before_the_first_output_is_retried(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply([Gate()]), Reply("Hi."))
    options = APIConnectOptions(max_retry=1, retry_interval=0, timeout=0.5)
    assert texts(await chat(make_llm(speko), conn_options=options)) == ["Hi."]


async def test_a_long_reply_that_keeps_coming_is_not_cut(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.latency = Latency(between_s=0.1)
    gateway.complete.script(Reply("one two three four five six seven"))
    options = APIConnectOptions(max_retry=0, timeout=0.4)
    chunks = await chat(make_llm(client), conn_options=options)
    assert "".join(texts(chunks)) == "one two three four five six seven"


@pytest.mark.parametrize("said", [[], ["It is"]], ids=["before the text", "in the text"])
async def test_a_reply_that_is_not_wanted_any_more_frees_its_connection(
    gateway: LocalGateway, client: Any, said: list[str]
) -> None:
    """What a session does when the caller barges in."""
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


async def test_a_cancelled_reader_raises_nothing_but_that(
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
    """A client of somebody else's, with no more than the adapters ask for."""

    def __init__(self, speko: Speko) -> None:
        self.speko, self.agents = speko, speko.agents
        self.transcribe, self.synthesize_stream = speko.transcribe, speko.synthesize_stream
        self.replies: list[OtherEvents] = []

    def complete_stream(self, **options: Any) -> OtherEvents:
        self.replies.append(OtherEvents(self.speko.complete_stream(**options)))
        return self.replies[-1]


async def test_a_client_of_somebody_elses_has_its_events_closed(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Hi."))
    client = OtherClient(speko)
    assert texts(await chat(make_llm(client))) == ["Hi."]
    assert [reply.closed for reply in client.replies] == [True]


async def test_replies_may_run_side_by_side(gateway: LocalGateway, client: Any) -> None:
    gate = Gate()
    gateway.complete.always(Reply(["Hi", gate, "."]))
    model = make_llm(client)
    readers = [asyncio.create_task(chat(model)) for _ in range(3)]
    await gateway.arrived("complete", count=3)
    gate.open()
    assert [texts(chunks) for chunks in await asyncio.gather(*readers)] == [["Hi", "."]] * 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"intent": {}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        (
            {"intent": {"language": "en", "optimize_for": "speed"}},
            'SpekoAdapter: unknown optimize_for "speed". '
            "Expected one of: balanced, accuracy, latency, cost.",
        ),
        ({"constraints": {"allowed_providers": {"vad": []}}}, '"vad"'),
        ({"temperature": "hot"}, "SpekoLLM: temperature must be a number, got 'hot'."),
        ({"temperature": float("nan")}, "SpekoLLM: temperature must be a number, got nan."),
        ({"temperature": True}, "SpekoLLM: temperature must be a number, got True."),
        ({"max_tokens": 0}, "SpekoLLM: max_tokens must be a whole number, 1 or more, got 0."),
        ({"max_tokens": 1.5}, "SpekoLLM: max_tokens must be a whole number, 1 or more, got 1.5."),
        ({"session_id": 7}, "SpekoLLM: session_id must be a string, got int."),
        ({"session_id": "ü"}, "SpekoLLM: session_id must be printable ASCII, got 'ü'."),
        ({"session_id": "a\nb"}, "SpekoLLM: session_id must be printable ASCII, got 'a\\nb'."),
        ({"tools": [{"parameters": {}}]}, "a tool must have a name"),
        ({"agent_id": " "}, "agent_id must be the id of an agent, got ' '."),
    ],
)
def test_an_option_that_cannot_be_used_is_an_error_at_once(
    speko: Speko, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make_llm(speko, **options)
    assert text in str(raised.value)


def test_the_synchronous_client_is_refused_by_name() -> None:
    with (
        spekoai.Speko(api_key="key") as client,
        pytest.raises(TypeError, match=r"SpekoLLM: .*async client, got the synchronous Speko"),
    ):
        make_llm(client)


def test_what_is_no_client_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="SpekoLLM: .*got str"):
        make_llm("key")


@pytest.mark.parametrize(
    ("option", "remedy"),
    [("api_base_url", "Speko(base_url=...)"), ("api_key", "Speko(api_key=...)")],
)
async def test_options_of_the_typescript_package_are_ignored_with_a_warning(
    gateway: LocalGateway, speko: Speko, option: str, remedy: str
) -> None:
    gateway.complete.script(Reply("Hi."))
    with pytest.warns(DeprecationWarning) as caught:
        model = make_llm(speko, **{option: "http://127.0.0.1:9/secret"})
    (warning,) = caught
    assert f"SpekoLLM: {option} is ignored" in str(warning.message)
    assert remedy in str(warning.message) and "secret" not in str(warning.message)
    assert texts(await chat(model)) == ["Hi."]


def test_the_warning_names_the_callers_line(speko: Speko) -> None:
    """Python shows deprecations only where the caller's own code causes them."""
    with pytest.warns(DeprecationWarning) as caught:
        SpekoLLM(speko=speko, intent=INTENT, api_key="key")
    assert caught[0].filename == __file__


def test_without_these_options_nothing_is_warned_of(speko: Speko) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_llm(speko, api_base_url=None, api_key=None)


async def test_metrics_tell_the_tokens_and_the_first_output(
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


async def test_the_log_tells_the_route_and_not_what_was_said(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    route = ProviderRoute("acme", "acme-2", failover_count=1, scores_run_id="run-7")
    gateway.complete.script(Reply("a secret", route=route))
    with caplog.at_level(logging.DEBUG, "livekit.plugins.speko"):
        await chat(make_llm(client))
    (record,) = [r for r in caplog.records if hasattr(r, "speko.provider")]
    plain = {key: value for key, value in vars(record).items() if "pii" not in key.split(".")}
    assert (plain["speko.provider"], plain["speko.model"]) == ("acme", "acme-2")
    assert (plain["speko.failover_count"], plain["speko.scores_run_id"]) == (1, "run-7")
    assert "secret" not in str(plain)


async def test_closing_it_leaves_the_client_open(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    async with make_llm(client):
        pass
    assert texts(await chat(make_llm(client))) == ["Hi."]
