"""Tools registered with Speko: fetched once, and merged with the tools of a call."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import spekoai
from livekit.agents import llm

from livekit_plugins_speko import ChatTool, RegisteredToolsLoader, Speko, merge_tools
from livekit_plugins_speko.llm.tools import to_chat_tool
from livekit_plugins_speko.testing import LocalGateway, Reply
from tests.helpers.llm_calls import chat
from tests.helpers.tools_calls import (
    SCHEMA,
    hang_up,
    make_agents_llm,
    make_loader,
    names,
    row,
    sent_tools,
    tool,
)

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


# Tools


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
def test_merged_tools_are_call_tools_then_other_registered_tools(
    registered: list[ChatTool] | None, runtime: list[ChatTool] | None, merged: list[str] | None
) -> None:
    assert names(merge_tools(registered, runtime)) == merged


def test_registered_tool_wins_over_runtime_tool() -> None:
    registered, runtime = [tool("a", "registered")], [tool("a", "runtime"), tool("b", "runtime")]
    assert merge_tools(registered, runtime) == [tool("a", "registered"), tool("b", "runtime")]


def test_merging_changes_neither_list() -> None:
    registered, runtime = [tool("a", "registered")], [tool("a"), tool("b")]
    merged = merge_tools(registered, runtime)
    assert merged is not registered and merged is not runtime
    assert registered == [tool("a", "registered")] and runtime == [tool("a"), tool("b")]


def test_chat_tool_is_accepted_unchanged() -> None:
    assert to_chat_tool(tool("a")) == tool("a")


@pytest.mark.parametrize("kind", SOURCES)
def test_sdk_tool_and_api_mapping_are_equal(kind: str) -> None:
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
def test_invalid_tool_is_refused_in_the_constructor(speko: Speko, found: Any, text: str) -> None:
    with pytest.raises(ValueError) as raised:
        make_agents_llm(speko, tools=[found])
    assert text in str(raised.value)


@pytest.mark.parametrize("agent_id", ["", "  ", 7])
def test_invalid_agent_id_is_refused(speko: Speko, agent_id: Any) -> None:
    with pytest.raises(ValueError, match="agent_id must be the id of an agent, got"):
        make_loader(speko, agent_id=agent_id)


# The fetch


async def test_nothing_is_fetched_before_the_first_reply(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.register_tools("agent-1", [row("a")])
    gateway.complete.script(Reply("Hi."))
    model = make_agents_llm(client)
    assert gateway.requests == []
    await chat(model)
    assert [request.route for request in gateway.requests] == ["tools", "complete"]


async def test_without_an_agent_nothing_is_fetched(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_agents_llm(client, agent_id=None))
    assert [request.route for request in gateway.requests] == ["complete"]


async def test_tools_are_fetched_once_for_all_replies(gateway: LocalGateway, client: Any) -> None:
    gateway.register_tools("agent-1", [row("a")])
    gateway.complete.always(Reply("Hi."))
    model = make_agents_llm(client)
    for _ in range(3):
        await chat(model)
        assert [each["name"] for each in sent_tools(gateway) or []] == ["a"]
    assert len(gateway.requests_to("tools")) == 1


async def test_only_available_tools_are_requested(gateway: LocalGateway, client: Any) -> None:
    gateway.register_tools("agent-1", [row("a")], unavailable=[row("b")])
    assert names(await make_loader(client).load()) == ["a"]
    assert gateway.requests[0].query == {"available": "1"}


async def test_agent_id_is_percent_encoded(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_tools("team/agent é?", [row("a")])
    assert names(await make_loader(speko, agent_id="team/agent é?").load()) == ["a"]
    assert gateway.requests[0].path == "/v1/agents/team%2Fagent%20%C3%A9%3F/tools"


async def test_agent_without_tools_has_none(gateway: LocalGateway, client: Any) -> None:
    gateway.register_tools("agent-1", [])
    gateway.complete.script(Reply("Hi."))
    assert await make_loader(client).load() == []
    await chat(make_agents_llm(client))
    assert sent_tools(gateway) is None


async def test_unreadable_row_is_skipped_alone(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.register_tools("agent-1", [row(""), row("a"), row("b", parameters=None)])
    assert names(await make_loader(speko).load()) == ["a"]
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 2


# Requests


@pytest.mark.parametrize("kind", SOURCES)
async def test_registered_tool_is_sent_as_registered(
    gateway: LocalGateway, client: Any, kind: str
) -> None:
    fields = {"source": SOURCES[kind], "preToolSpeech": "always"}
    gateway.register_tools("agent-1", [row("a", **fields)])
    gateway.complete.script(Reply("Hi."))
    await chat(make_agents_llm(client))
    assert sent_tools(gateway) == [row("a", executionMode=kind, **fields)]


async def test_missing_fields_of_a_registered_tool_are_not_invented(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.register_tools("agent-1", [row("a")])
    gateway.complete.script(Reply("Hi."))
    await chat(make_agents_llm(speko))
    assert sent_tools(gateway) == [row("a", executionMode="inline", source={"kind": "inline"})]


@llm.function_tool(name="search", description="Mine.")
async def search_here() -> None: ...


async def test_constructor_tool_wins_over_registered_and_registered_over_call(
    gateway: LocalGateway, client: Any
) -> None:
    search = row("search", source=SOURCES["builtin"])
    gateway.register_tools("agent-1", [row("book"), search, row("lookup")])
    gateway.complete.script(Reply("Hi."))
    model = make_agents_llm(client, tools=[tool("lookup", "Mine."), tool("note", "Mine.")])
    await chat(model, tools=[hang_up, search_here])
    assert [(each["name"], each["description"]) for each in sent_tools(gateway) or []] == [
        ("lookup", "Mine."),
        ("note", "Mine."),
        ("hang_up", "Hang up."),
        ("search", "About search."),
        ("book", "About book."),
    ]


@pytest.mark.parametrize("tools", [5, "abc", {"name": "a"}])
def test_tools_must_be_a_list(speko: Speko, tools: Any) -> None:
    with pytest.raises(ValueError, match="tools must be a list of ChatTool or mappings"):
        make_agents_llm(speko, tools=tools)


def test_later_change_of_a_tool_has_no_effect(speko: Speko) -> None:
    parameters: dict[str, Any] = {"type": "object"}
    model = make_agents_llm(speko, tools=[{"name": "a", "parameters": parameters}])
    parameters["type"] = "array"
    assert model._own_tools[0].parameters == {"type": "object"}


def test_callback_must_be_callable(speko: Speko) -> None:
    with pytest.raises(ValueError, match="on_registered_tools_error must be a function, got int"):
        make_agents_llm(speko, on_registered_tools_error=3)


def test_loader_needs_a_client_with_agents() -> None:
    nothing: Any = 5
    with pytest.raises(TypeError, match="RegisteredToolsLoader: speko must be a client"):
        RegisteredToolsLoader(speko=nothing, agent_id="a")


def test_loader_needs_a_client_that_can_list_tools(speko: Speko) -> None:
    class WithoutAgents:
        transcribe = speko.transcribe
        complete_stream = speko.complete_stream
        synthesize_stream = speko.synthesize_stream

    client: Any = WithoutAgents()
    with pytest.raises(TypeError, match="must have agents.tools.list_chat_tools"):
        RegisteredToolsLoader(speko=client, agent_id="a")


async def test_loader_closed_before_its_fetch_makes_no_request(
    gateway: LocalGateway, speko: Speko
) -> None:
    loader = RegisteredToolsLoader(speko=speko, agent_id="agent-1")
    await loader.aclose()
    assert await loader.load() is None
    assert gateway.requests == []
