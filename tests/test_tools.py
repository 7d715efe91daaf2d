"""Tools registered with Speko: fetched once, and merged with the tools of a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import spekoai
from livekit.agents import llm

from livekit_plugins_speko import (
    ChatTool,
    RegisteredToolsLoader,
    Speko,
    SpekoAdapterError,
    SpekoApiError,
    SpekoLLM,
    merge_tools,
    tools,
)
from livekit_plugins_speko.testing import Gate, LocalGateway, Refusal, Reply, ToolRows
from livekit_plugins_speko.tools import to_chat_tool

from .support import NO_RETRY, conversation

INTENT = {"language": "en"}
SCHEMA = {"type": "object", "properties": {"q": {"type": "string", "enum": ["a", "b"]}}}
SOURCES: dict[str, dict[str, Any]] = {
    "inline": {"kind": "inline"},
    "webhook": {
        "kind": "webhook",
        "url": "https://example.com/hook",
        "secretRef": "secret-1",
        "headers": {"x-a": "1"},
        "timeoutMs": 900,
    },
    "builtin": {"kind": "builtin", "name": "end_call", "config": {"deep": {"list": [1, "two"]}}},
    "integration": {
        "kind": "integration",
        "installationId": "i-1",
        "appKey": "calendar",
        "actionKey": "create_event",
        "config": {"calendar": "home"},
    },
}


def row(name: str, **fields: Any) -> dict[str, Any]:
    """What the service keeps of a registered tool."""
    return {"name": name, "description": f"About {name}.", "parameters": SCHEMA, **fields}


def filled_row(name: str) -> dict[str, Any]:
    """A row as the service sends it, for answers that are written by hand."""
    when = "2025-01-01T00:00:00.000Z"
    stamps = {"id": "tool-1", "agentId": "agent-1", "createdAt": when, "updatedAt": when}
    return row(name, source={"kind": "inline"}, **stamps)


def tool(name: str, description: str = "") -> ChatTool:
    return ChatTool(name=name, description=description)


def make_loader(speko: Any, **options: Any) -> RegisteredToolsLoader:
    return RegisteredToolsLoader(**{"speko": speko, "agent_id": "agent-1", **options})


def make_llm(speko: Any, **options: Any) -> SpekoLLM:
    return SpekoLLM(**{"speko": speko, "intent": INTENT, "agent_id": "agent-1", **options})


async def chat(model: SpekoLLM, **options: Any) -> list[llm.ChatChunk]:
    """Every chunk of one reply."""
    stream = model.chat(chat_ctx=conversation(), conn_options=NO_RETRY, **options)
    async with stream:
        return [chunk async for chunk in stream]


def names(found: list[ChatTool] | None) -> list[str] | None:
    return None if found is None else [each.name for each in found]


def sent_tools(gateway: LocalGateway) -> list[dict[str, Any]] | None:
    """The tools of the last completion, None when it had none."""
    found: list[dict[str, Any]] | None = gateway.requests_to("complete")[-1].json.get("tools")
    return found


@pytest.fixture(params=["Speko", "AsyncSpeko"])
async def client(request: pytest.FixtureRequest, gateway: LocalGateway) -> AsyncIterator[Any]:
    """Each of the clients that an adapter takes."""
    clients: dict[str, Any] = {"Speko": Speko, "AsyncSpeko": spekoai.AsyncSpeko}
    make = clients[request.param]
    async with make(api_key=gateway.api_key, base_url=gateway.base_url) as client:
        yield client


@pytest.mark.parametrize(
    ("registered", "runtime", "merged"),
    [
        (None, None, None),
        ([], [], None),
        (None, [tool("a"), tool("b")], ["a", "b"]),
        ([tool("a"), tool("b")], None, ["a", "b"]),
        ([tool("c"), tool("d")], [tool("a"), tool("b")], ["a", "b", "c", "d"]),
        ([tool("c"), tool("b")], [tool("a"), tool("b")], ["a", "b", "c"]),
    ],
    ids=["none", "empty", "runtime", "registered", "both", "same name"],
)
def test_merged_tools_are_the_calls_then_the_other_registered_ones(
    registered: list[ChatTool] | None, runtime: list[ChatTool] | None, merged: list[str] | None
) -> None:
    assert names(merge_tools(registered, runtime)) == merged


def test_a_registered_tool_wins_over_a_runtime_tool_of_its_name() -> None:
    registered, runtime = [tool("a", "registered")], [tool("a", "runtime"), tool("b", "runtime")]
    assert merge_tools(registered, runtime) == [tool("a", "registered"), tool("b", "runtime")]


def test_merging_changes_neither_list() -> None:
    registered, runtime = [tool("a", "registered")], [tool("a"), tool("b")]
    merged = merge_tools(registered, runtime)
    assert merged is not registered and merged is not runtime
    assert registered == [tool("a", "registered")] and runtime == [tool("a"), tool("b")]


def test_a_chat_tool_is_taken_as_it_is() -> None:
    assert to_chat_tool(tool("a")) == tool("a")


@pytest.mark.parametrize("kind", SOURCES)
def test_a_tool_of_the_sdk_and_one_in_the_apis_spelling_are_the_same(kind: str) -> None:
    wire = row("a", executionMode=kind, source=SOURCES[kind], preToolSpeech="always")
    expected = ChatTool(
        name="a",
        description="About a.",
        parameters=SCHEMA,
        execution_mode=kind,
        source=SOURCES[kind],
        pre_tool_speech="always",
    )
    assert to_chat_tool(wire) == expected
    assert to_chat_tool(spekoai.ChatTool.model_validate(wire)) == expected


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("get_weather", "a tool must be a ChatTool or a mapping with name, description and"),
        (object(), "got object."),
        ({"name": "a", "parameters": {}, "execution_mode": "inline"}, '"execution_mode"'),
        ({"name": "a", "parameters": {}, "strict": True}, 'unknown tool key "strict". Expected: '),
        ({"parameters": {}}, "a tool must have a name"),
        ({"name": "", "parameters": {}}, "a tool must have a name"),
        ({"name": 7, "parameters": {}}, "a tool must have a name"),
        ({"name": "a", "parameters": "none"}, "parameters that are a JSON Schema object"),
        ({"name": "a", "parameters": {}, "description": 7}, "description"),
        ({"name": "a", "parameters": {}, "executionMode": 7}, "executionMode"),
        ({"name": "a", "parameters": {}, "source": "inline"}, "source"),
        ({"name": "a", "parameters": {}, "preToolSpeech": True}, "preToolSpeech"),
    ],
)
def test_what_is_no_tool_is_an_error_in_the_constructor(
    speko: Speko, found: Any, text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make_llm(speko, tools=[found])
    assert text in str(raised.value)


@pytest.mark.parametrize("agent_id", ["", "  ", 7])
def test_an_agent_id_must_be_one(speko: Speko, agent_id: Any) -> None:
    with pytest.raises(ValueError, match="agent_id must be the id of an agent, got"):
        make_loader(speko, agent_id=agent_id)


async def test_nothing_is_fetched_before_the_first_reply(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.register_tools("agent-1", [row("a")])
    gateway.complete.script(Reply("Hi."))
    model = make_llm(client)
    assert gateway.requests == []
    await chat(model)
    assert [request.route for request in gateway.requests] == ["tools", "complete"]


async def test_without_an_agent_nothing_is_fetched(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client, agent_id=None))
    assert [request.route for request in gateway.requests] == ["complete"]


async def test_the_tools_are_fetched_once_for_all_replies(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.register_tools("agent-1", [row("a")])
    gateway.complete.always(Reply("Hi."))
    model = make_llm(client)
    for _ in range(3):
        await chat(model)
        assert [each["name"] for each in sent_tools(gateway) or []] == ["a"]
    assert len(gateway.requests_to("tools")) == 1


async def test_only_tools_that_could_run_now_are_asked_for(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.register_tools("agent-1", [row("a")], unavailable=[row("b")])
    assert names(await make_loader(client).load()) == ["a"]
    assert gateway.requests[0].query == {"available": "1"}


async def test_the_agents_id_is_percent_encoded(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_tools("team/agent é?", [row("a")])
    assert names(await make_loader(speko, agent_id="team/agent é?").load()) == ["a"]
    assert gateway.requests[0].path == "/v1/agents/team%2Fagent%20%C3%A9%3F/tools"


async def test_an_agent_without_tools_has_none(gateway: LocalGateway, client: Any) -> None:
    gateway.register_tools("agent-1", [])
    gateway.complete.script(Reply("Hi."))
    assert await make_loader(client).load() == []
    await chat(make_llm(client))
    assert sent_tools(gateway) is None


async def test_a_row_that_cannot_be_read_costs_only_itself(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.register_tools("agent-1", [row(""), row("a"), row("b", parameters=None)])
    assert names(await make_loader(speko).load()) == ["a"]
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 2


async def test_concurrent_first_calls_share_one_fetch(gateway: LocalGateway, client: Any) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([filled_row("a"), gate]))
    loader = make_loader(client)
    loads = [asyncio.create_task(loader.load()) for _ in range(3)]
    await gate.reached()
    gate.open()
    assert [names(found) for found in await asyncio.gather(*loads)] == [["a"]] * 3
    assert len(gateway.requests) == 1


async def test_a_first_waiter_that_is_cancelled_does_not_spoil_the_fetch(
    gateway: LocalGateway, client: Any
) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([filled_row("a"), gate]))
    failures: list[Exception] = []
    loader = make_loader(client, on_error=failures.append)
    first = asyncio.create_task(loader.load())
    await gate.reached()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(loader.load())
    gate.open()
    assert names(await second) == ["a"]
    assert (len(gateway.requests), failures) == (1, [])


async def test_a_turn_given_up_while_it_waits_leaves_the_tools_to_the_next(
    gateway: LocalGateway, client: Any
) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([filled_row("a"), gate]))
    gateway.complete.script(Reply("Hi."))
    model = make_llm(client)
    stream = model.chat(chat_ctx=conversation())
    await gate.reached()
    await stream.aclose()
    gate.open()
    await chat(model)
    assert [each["name"] for each in sent_tools(gateway) or []] == ["a"]
    assert [request.route for request in gateway.requests] == ["tools", "complete"]


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_registered_tool_goes_out_as_it_is_registered(
    gateway: LocalGateway, client: Any, kind: str
) -> None:
    fields = {"source": SOURCES[kind], "preToolSpeech": "always"}
    gateway.register_tools("agent-1", [row("a", **fields)])
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client))
    assert sent_tools(gateway) == [row("a", executionMode=kind, **fields)]


async def test_what_a_registered_tool_does_not_say_is_not_made_up(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.register_tools("agent-1", [row("a")])
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(speko))
    assert sent_tools(gateway) == [row("a", executionMode="inline", source={"kind": "inline"})]


@llm.function_tool
async def hang_up() -> None:
    """Hang up."""


@llm.function_tool(name="search", description="Mine.")
async def search_here() -> None: ...


async def test_a_registered_tool_wins_over_the_calls_and_the_models_own(
    gateway: LocalGateway, client: Any
) -> None:
    search = row("search", source=SOURCES["builtin"])
    gateway.register_tools("agent-1", [row("book"), search, row("lookup")])
    gateway.complete.script(Reply("Hi."))
    model = make_llm(client, tools=[tool("lookup", "Mine."), tool("note", "Mine.")])
    await chat(model, tools=[hang_up, search_here])
    assert [(each["name"], each["description"]) for each in sent_tools(gateway) or []] == [
        ("lookup", "About lookup."),
        ("note", "Mine."),
        ("hang_up", "Hang up."),
        ("search", "About search."),
        ("book", "About book."),
    ]


async def test_a_failed_fetch_is_told_once_and_the_conversation_goes_on(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.tools.script(Refusal(503, "tired", "BUSY"))
    gateway.complete.always(Reply("Hi."))
    failures: list[Exception] = []
    model = make_llm(client, on_registered_tools_error=failures.append)
    errors: list[Any] = []
    model.on("error", errors.append)
    for _ in range(2):
        assert await chat(model, tools=[hang_up])
        assert [each["name"] for each in sent_tools(gateway) or []] == ["hang_up"]
    assert len(gateway.requests_to("tools")) == 1
    assert errors == []
    (failure,) = failures
    assert isinstance(failure, SpekoAdapterError)
    assert failure.code == "REGISTERED_TOOLS_FAILED"
    assert "failed to fetch agent tools" in str(failure) and "tired" in str(failure)
    status: int = getattr(failure.__cause__, "status", 0)
    assert status == 503


async def test_concurrent_replies_tell_a_failure_once(gateway: LocalGateway, client: Any) -> None:
    gateway.tools.script(Refusal(404, "no such agent", "NOT_FOUND"))
    failures: list[Exception] = []
    loader = make_loader(client, on_error=failures.append)
    assert await asyncio.gather(*[loader.load() for _ in range(3)]) == [None] * 3
    assert len(failures) == 1


async def test_an_answer_that_is_no_list_is_a_failure(gateway: LocalGateway, speko: Speko) -> None:
    class NoList(ToolRows):
        async def write(self, writer: Any) -> None:
            await writer.json(200, {"tools": []})

    gateway.tools.script(NoList())
    failures: list[Exception] = []
    assert await make_loader(speko, on_error=failures.append).load() is None
    assert isinstance(failures[0].__cause__, SpekoApiError)
    assert failures[0].__cause__.code == "MALFORMED_RESPONSE"


async def test_a_refused_connection_is_a_failure(gateway: LocalGateway) -> None:
    failures: list[Exception] = []
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        await gateway.aclose()
        assert await make_loader(speko, on_error=failures.append).load() is None
    assert "The connection to Speko failed." in str(failures[0])


def test_the_fetch_takes_five_seconds_at_most() -> None:
    assert tools.REGISTERED_TOOLS_TIMEOUT_S == 5.0


async def test_a_fetch_that_takes_too_long_is_given_up(
    gateway: LocalGateway, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "REGISTERED_TOOLS_TIMEOUT_S", 0.05)
    gateway.tools.script(ToolRows([Gate()]))
    gateway.complete.script(Reply("Hi."))
    failures: list[Exception] = []
    model = make_llm(client, on_registered_tools_error=failures.append)
    assert await chat(model)
    assert sent_tools(gateway) is None
    assert isinstance(failures[0].__cause__, asyncio.TimeoutError)
    request = gateway.requests_to("tools")[0]
    await request.finished()
    assert request.cancelled


async def test_a_callback_that_raises_is_logged_and_the_conversation_goes_on(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(error: Exception) -> None:
        raise RuntimeError("broken callback")

    gateway.tools.script(Refusal(500, "tired"))
    gateway.complete.script(Reply("Hi."))
    assert await chat(make_llm(client, on_registered_tools_error=fail))
    assert "broken callback" in caplog.text


async def test_without_a_callback_the_log_tells_the_failure(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.tools.script(Refusal(500, "tired"))
    loader = make_loader(client)
    assert (await loader.load(), await loader.load()) == (None, None)
    (record,) = [r for r in caplog.records if r.name == "livekit.plugins.speko"]
    assert record.levelno == logging.WARNING
    assert vars(record)["agent_id"] == "agent-1" and "tired" in vars(record)["reason"]


async def test_closing_the_model_stops_the_fetch(gateway: LocalGateway, client: Any) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([gate]))
    model = make_llm(client)
    stream = model.chat(chat_ctx=conversation())
    await gate.reached()
    await stream.aclose()
    await model.aclose()
    await gateway.idle(within_s=2)  # before the fetch would give up by itself
    assert gateway.requests[0].cancelled


async def test_a_model_may_be_closed_twice_and_before_its_first_reply(client: Any) -> None:
    model = make_llm(client)
    await model.aclose()
    await model.aclose()


async def test_a_reply_that_waits_for_the_tools_goes_on_when_the_model_is_closed(
    gateway: LocalGateway, client: Any
) -> None:
    """It must not end as if the model had nothing to say."""
    gate = Gate()
    gateway.tools.script(ToolRows([gate]))
    gateway.complete.script(Reply("Hi."))
    model = make_llm(client)
    stream = model.chat(chat_ctx=conversation(), conn_options=NO_RETRY)
    await gate.reached()
    await model.aclose()
    async with stream:
        assert [chunk async for chunk in stream]
