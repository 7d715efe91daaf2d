"""What the service knows of an agent: the tools registered for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from .._checks import check_agent_id
from ..log import logger
from .limits import MAX_TOOLS
from .responses import malformed, parse_tool
from .transport import Transport
from .types import ChatTool


class Agents:
    """What the service knows of agents. Belongs to a `Speko`, as its ``agents``."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self.tools = AgentTools(transport)


class AgentTools:
    """The tools registered for agents. Belongs to a `Speko`, as its ``agents.tools``."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self._transport = transport

    async def list_chat_tools(self, agent_id: str, *, available: bool = False) -> list[ChatTool]:
        """The tools registered for an agent, as a completion takes them.

        A row that can't be read is left out, with a warning in the log: one bad tool must not cost
        a call the good ones.

        Args:
            agent_id: The agent.
            available: Leave out tools that could not run now.

        Raises:
            ValueError: An id that names no agent.
            SpekoApiError: The service failed, or its answer is no list.
            httpx.HTTPError: The network failed.
        """
        check_agent_id("Speko: agent_id", agent_id)
        path = f"/v1/agents/{quote(agent_id, safe='')}/tools"
        query = "?available=1" if available else ""
        async with self._transport.open("GET", path + query) as answer:
            rows = await answer.json()
        if not isinstance(rows, list):
            raise malformed("the list of tools is no JSON array")
        if len(rows) > MAX_TOOLS:
            raise malformed(f"the list of tools has {len(rows)} rows, expected {MAX_TOOLS} at most")
        return read_tools(rows, parse_tool, agent_id)


def read_tools(
    rows: Iterable[Any], read: Callable[[Any], ChatTool], agent_id: str
) -> list[ChatTool]:
    """Read an agent's tools. One that can't be read is left out, and the log says so."""
    tools = []
    for row in rows:
        try:
            tools.append(read(row))
        except ValueError as error:
            logger.warning(
                "a registered tool can't be read and is left out",
                extra={"agent_id": agent_id, "reason": str(error)},
            )
    return tools
