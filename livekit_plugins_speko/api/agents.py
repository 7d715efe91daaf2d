"""The agents of the service: the tools registered for one."""

from __future__ import annotations

from .._checks import check_agent_id
from .limits import MAX_TOOLS
from .requests import build_list_tools
from .responses import malformed
from .tools import parse_tool, read_tools
from .transport import Transport
from .types import ChatTool


class Agents:
    """Calls about agents. Belongs to a `Speko`, as its ``agents``."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self.tools = AgentTools(transport)


class AgentTools:
    """Calls about tools registered for agents. Belongs to a `Speko`, as its ``agents.tools``."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self._transport = transport

    async def list_chat_tools(self, agent_id: str, *, available: bool = False) -> list[ChatTool]:
        """List the tools registered for an agent, as a completion takes them.

        A row that can't be parsed is left out, with a warning in the log: one bad tool must not
        cost a call the good ones.

        Args:
            agent_id: The agent.
            available: Leave out tools that could not run now.

        Raises:
            ValueError: An id that names no agent.
            SpekoApiError: The service failed, or its response is no list.
            httpx.HTTPError: The network failed.
        """
        check_agent_id("Speko: agent_id", agent_id)
        request = build_list_tools(agent_id, available=available)
        async with self._transport.open(request) as response:
            rows = await response.json()
        if not isinstance(rows, list):
            raise malformed("the list of tools is no JSON array")
        if len(rows) > MAX_TOOLS:
            raise malformed(f"the list of tools has {len(rows)} rows, expected {MAX_TOOLS} at most")
        return read_tools(rows, parse_tool, agent_id)
