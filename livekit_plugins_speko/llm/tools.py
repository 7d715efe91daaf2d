"""Tools registered with Speko for an agent, and how they meet the tools of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._base import SpekoClient, require_client
from .._checks import check_agent_id, check_callback
from .._faults import to_livekit_error
from ..api.tools import parse_chat_tool, read_tools
from ..api.types import ChatTool
from ..errors import SpekoAdapterError
from ..log import logger

REGISTERED_TOOLS_TIMEOUT_S = 5.0
"""Longest wait, in seconds, for an agent's registered tools. A caller waits for it once."""


def merge_tools(
    registered: Sequence[ChatTool] | None, runtime: Sequence[ChatTool] | None
) -> list[ChatTool] | None:
    """Merge an agent's registered tools with those of a call.

    Args:
        registered: The agent's. They win: a tool is registered so that the model sees it.
        runtime: The call's.

    Returns:
        The call's tools in their order, each replaced by the registered tool of its name where
        there is one, then the other registered tools. None when there is no tool at all.
    """
    by_name = {tool.name: tool for tool in runtime or ()}
    by_name.update({tool.name: tool for tool in registered or ()})
    return list(by_name.values()) or None


def all_tools(
    *,
    own: Sequence[ChatTool],
    registered: Sequence[ChatTool] | None,
    runtime: Sequence[ChatTool],
) -> list[ChatTool]:
    """Merge every tool of a call, each name once.

    Args:
        own: Tools of the `SpekoLLM`. They win over all others, as in the TypeScript adapter.
        registered: Tools registered for the agent. They win over those of the call.
        runtime: Tools of the call.

    Returns:
        The `SpekoLLM`'s tools, then those of the call, then the registered ones.
    """
    wins: dict[str, ChatTool] = {}
    for tools in (runtime, registered or (), own):
        wins.update({tool.name: tool for tool in tools})
    names = dict.fromkeys(tool.name for tool in (*own, *runtime, *(registered or ())))
    return [wins[name] for name in names]


def to_chat_tool(tool: Any) -> ChatTool:
    """Return a tool as `ChatTool`.

    Args:
        tool: A `ChatTool`, a mapping in the API's spelling, or a tool of the official SDK.

    Raises:
        ValueError: None of these, or one without a name or parameters.
    """
    if isinstance(tool, ChatTool):
        return tool
    if not isinstance(tool, Mapping) and callable(getattr(tool, "model_dump", None)):
        tool = tool.model_dump(by_alias=True, exclude_none=True)
    return parse_chat_tool(tool)


class RegisteredToolsLoader:
    """Fetches the tools registered for an agent, once, when they are first wanted.

    Tasks may share it. One that is cancelled while it waits doesn't spoil the fetch for the
    others. It owns the task that fetches: close it.
    """

    def __init__(
        self,
        *,
        speko: SpekoClient,
        agent_id: str,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        """Fetch nothing yet.

        Args:
            speko: The client to ask. It stays the caller's.
            agent_id: The agent.
            on_error: Called once with a `SpekoAdapterError` (code ``REGISTERED_TOOLS_FAILED``,
                the fault as its cause) when the fetch fails. The conversation continues without.

        Raises:
            ValueError: A blank agent id, or an `on_error` that can't be called.
            TypeError: `speko` is no async client, or one without agents.
        """
        check_agent_id("SpekoAdapter: agent_id", agent_id)
        check_callback("SpekoAdapter: on_registered_tools_error", on_error)
        require_client(speko, "RegisteredToolsLoader")
        if not callable(
            getattr(getattr(getattr(speko, "agents", None), "tools", None), "list_chat_tools", None)
        ):
            raise TypeError(
                "RegisteredToolsLoader: speko must have agents.tools.list_chat_tools(), got "
                f"{type(speko).__name__}, which has not."
            )
        self._list_chat_tools = speko.agents.tools.list_chat_tools
        self._agent_id = agent_id
        self._on_error = on_error
        # The one fetch: running, done, or cancelled by aclose(). None until the first load.
        self._fetch_task: asyncio.Task[list[ChatTool] | None] | None = None
        # Whether aclose() was called: a fetch that began later would have no owner.
        self._closed = False

    async def load(self) -> list[ChatTool] | None:
        """Return the agent's tools; None if fetching them failed or the loader is closed.

        The first call fetches, with 5 s at most; every other one shares what it got, a failure
        included. Waiting can be cancelled without cancelling the fetch.
        """
        if self._fetch_task is None:
            if self._closed:
                return None
            self._fetch_task = asyncio.create_task(self._fetch(), name="speko_registered_tools")
        await asyncio.wait([self._fetch_task])
        return None if self._fetch_task.cancelled() else self._fetch_task.result()

    async def aclose(self) -> None:
        """Cancel a fetch that still runs, and begin none."""
        self._closed = True
        if self._fetch_task is not None and not self._fetch_task.done():
            self._fetch_task.cancel()
            await asyncio.wait([self._fetch_task])

    async def _fetch(self) -> list[ChatTool] | None:
        try:
            tools = await asyncio.wait_for(
                self._list_chat_tools(self._agent_id, available=True),
                REGISTERED_TOOLS_TIMEOUT_S,
            )
            return read_tools(tools, to_chat_tool, self._agent_id)
        except Exception as fault:  # of any kind: the call continues without the tools
            self._report(fault)
            return None

    def _report(self, fault: Exception) -> None:
        error = SpekoAdapterError(
            f"SpekoAdapter: failed to fetch agent tools: {_reason(fault)}",
            "REGISTERED_TOOLS_FAILED",
        )
        error.__cause__ = fault
        if self._on_error is None:
            logger.warning(
                "the registered tools could not be fetched; the call continues without them",
                extra={"agent_id": self._agent_id, "reason": str(error)},
            )
            return
        try:
            self._on_error(error)
        except Exception:  # a user's callback must not cost the call either
            logger.exception("on_registered_tools_error raised")


def _reason(fault: Exception) -> str:
    known = to_livekit_error(fault)
    return known.message if known is not None else type(fault).__name__
