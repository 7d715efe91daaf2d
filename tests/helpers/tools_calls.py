"""Registered tools, and their loaders."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm

from livekit_plugins_speko import ChatTool, RegisteredToolsLoader, SpekoLLM
from livekit_plugins_speko.testing import LocalGateway
from tests.helpers.llm_calls import make_llm

SCHEMA = {"type": "object", "properties": {"q": {"type": "string", "enum": ["a", "b"]}}}


def row(name: str, **fields: Any) -> dict[str, Any]:
    """A registered tool as the service stores it."""
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


def make_agents_llm(speko: Any, **options: Any) -> SpekoLLM:
    return make_llm(speko, **{"agent_id": "agent-1", **options})


def names(found: list[ChatTool] | None) -> list[str] | None:
    return None if found is None else [each.name for each in found]


def sent_tools(gateway: LocalGateway) -> list[dict[str, Any]] | None:
    """The tools of the last completion, None when it had none."""
    found: list[dict[str, Any]] | None = gateway.requests_to("complete")[-1].json.get("tools")
    return found


@llm.function_tool
async def hang_up() -> None:
    """Hang up."""
