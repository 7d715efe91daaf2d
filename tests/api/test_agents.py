"""The tools registered for an agent, as the client lists them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from livekit_plugins_speko import ChatTool, Speko, SpekoApiError
from livekit_plugins_speko.testing import LocalGateway, Refusal, ToolRows

WEBHOOK = {"kind": "webhook", "url": "https://example.com", "secretRef": "s", "timeoutMs": 5}


def row(**fields: Any) -> dict[str, Any]:
    return {"name": "lookup", "description": "Looks it up.", "parameters": {}} | fields


async def test_execution_mode_of_a_tool_is_the_kind_of_its_source(
    gateway: LocalGateway, speko: Speko
) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    gateway.register_tools(
        "agent-1", [row(parameters=schema, source=WEBHOOK, preToolSpeech="always"), row(name="b")]
    )
    assert await speko.agents.tools.list_chat_tools("agent-1") == [
        ChatTool(
            name="lookup",
            description="Looks it up.",
            parameters=schema,
            execution_mode="webhook",
            source=WEBHOOK,
            pre_tool_speech="always",
        ),
        ChatTool(
            name="b",
            description="Looks it up.",
            parameters={},
            execution_mode="inline",
            source={"kind": "inline"},
        ),
    ]


@pytest.mark.parametrize(
    ("options", "query", "names"),
    [
        ({}, {}, ["now", "later"]),
        ({"available": False}, {}, ["now", "later"]),
        ({"available": True}, {"available": "1"}, ["now"]),
    ],
)
async def test_available_leaves_out_unavailable_tools(
    gateway: LocalGateway,
    speko: Speko,
    options: dict[str, Any],
    query: dict[str, str],
    names: list[str],
) -> None:
    gateway.register_tools("agent-1", [row(name="now")], unavailable=[row(name="later")])
    tools = await speko.agents.tools.list_chat_tools("agent-1", **options)
    assert [tool.name for tool in tools] == names
    assert gateway.requests[0].query == query


async def test_agent_is_found_by_any_id(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_tools("a/b?c#d ü%2F", [row()])
    assert len(await speko.agents.tools.list_chat_tools("a/b?c#d ü%2F")) == 1


async def test_row_that_cannot_be_parsed_is_left_out_with_a_warning(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[Any] = [row(name="a"), row(name="bad", parameters=None), row(name="b")]
    gateway.register_tools("agent-1", rows)
    with caplog.at_level(logging.WARNING, "livekit.plugins.speko"):
        tools = await speko.agents.tools.list_chat_tools("agent-1")
    assert [tool.name for tool in tools] == ["a", "b"]
    (record,) = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "livekit.plugins.speko")
    assert record.__dict__["agent_id"] == "agent-1"
    assert "'bad'" in record.__dict__["reason"]


async def test_each_call_fetches_the_list_again(gateway: LocalGateway, speko: Speko) -> None:
    gateway.tools.script(ToolRows([]), Refusal(500, "down"))
    assert await speko.agents.tools.list_chat_tools("agent-1") == []
    with pytest.raises(SpekoApiError):
        await speko.agents.tools.list_chat_tools("agent-1")


@pytest.mark.parametrize("agent_id", ["", " ", ".", "..", None, 5])
async def test_invalid_agent_id_is_refused_before_the_network(
    gateway: LocalGateway, speko: Speko, agent_id: Any
) -> None:
    with pytest.raises(ValueError, match="agent_id must be the id of an agent, got"):
        await speko.agents.tools.list_chat_tools(agent_id)
    assert gateway.requests == []
