"""The hosted agents of the service, and the tools registered for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .._checks import check_agent_id
from .limits import MAX_TOOLS
from .requests import HttpRequest, build_list_tools
from .responses import as_object, malformed
from .tools import parse_tool, read_tools
from .transport import Transport
from .types import ChatTool


@dataclass(frozen=True, kw_only=True)
class AgentProfile:
    """A hosted agent, as its owner configured it. None where the owner set nothing.

    Attributes:
        id: Its id.
        name: Its name for people.
        system_prompt: Its instructions.
        first_message: Its first words. ``""`` means that the caller speaks first.
        voice: Voice of the provider.
        intent: Its routing, as the wire spells it.
        llm_options: ``temperature``, ``maxTokens``, ``model``.
        stt_options: ``keywords``, ``prompt``, ``language``.
        tts_options: ``sampleRate``, ``speed``.
        fields: All fields of the response, in the wire's spelling.
    """

    id: str
    name: str | None = None
    system_prompt: str | None = None
    first_message: str | None = None
    voice: str | None = None
    intent: Mapping[str, Any] | None = None
    llm_options: Mapping[str, Any] | None = None
    stt_options: Mapping[str, Any] | None = None
    tts_options: Mapping[str, Any] | None = None
    fields: Mapping[str, Any]


class Agents:
    """Calls about agents. Belongs to a `Speko`, as its ``agents``."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self._transport = transport
        self.tools = AgentTools(transport)

    async def get(self, agent_id: str) -> AgentProfile:
        """Return a hosted agent.

        Raises:
            ValueError: An id that names no agent.
            SpekoApiError: The service failed (``AGENT_NOT_FOUND``), or its response can't be read.
            httpx.HTTPError: The network failed.
        """
        check_agent_id("Speko: agent_id", agent_id)
        request = HttpRequest(method="GET", path=f"/v1/agents/{quote(agent_id, safe='')}")
        async with self._transport.open(request) as response:
            return parse_agent(agent_id, as_object(await response.json(), "the agent"))


def parse_agent(agent_id: str, payload: Mapping[str, Any]) -> AgentProfile:
    """Parse a hosted agent. A field of another type than documented counts as not set."""

    def text(name: str) -> str | None:
        value = payload.get(name)
        return value if isinstance(value, str) else None

    def mapping(name: str) -> Mapping[str, Any] | None:
        value = payload.get(name)
        return value if isinstance(value, Mapping) else None

    return AgentProfile(
        id=text("id") or agent_id,
        name=text("name"),
        system_prompt=text("systemPrompt"),
        first_message=text("firstMessage"),
        voice=text("voice"),
        intent=mapping("intent"),
        llm_options=mapping("llmOptions"),
        stt_options=mapping("sttOptions"),
        tts_options=mapping("ttsOptions"),
        fields=payload,
    )


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
