"""Completions through Speko."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from livekit.agents import APIConnectOptions, APIError, llm, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from .._aio import Deadline, closing
from .._base import SpekoClient, prewarm, require_client
from .._checks import check_callback, check_number, check_session_id, check_whole
from .._faults import LiveKitErrors
from .._identity import SpekoIdentity
from .._reporting import Reported
from .._retry_after import RetryAfter
from ..api.requests import build_constraints, build_intent, build_tool
from ..api.timing import Timing
from ..api.types import ChatTool
from ..errors import SpekoAdapterError
from ..intent import (
    ConstraintsLike,
    Intent,
    IntentLike,
    PipelineConstraints,
    validate_constraints,
    validate_intent,
)
from .chat_context import chat_context_to_speko, function_tools_to_speko
from .reply import Reply
from .tools import RegisteredToolsLoader, merge_tools, to_chat_tool

# Events that hand nothing on and yet show that the service gets somewhere.
_SIGNS_OF_WORK = ("tool_call", "server_tool_call")
_NAMES_A_ROUTE = ("meta", "done")
_EXTRA_KWARGS = ("temperature", "max_tokens", "max_tool_hops")


@dataclass(frozen=True)
class _Options:
    intent: Intent
    temperature: float | None
    max_tokens: int | None
    constraints: PipelineConstraints | None
    session_id: str | None
    tools: tuple[ChatTool, ...]


@dataclass(frozen=True)
class _Call:
    """What one call of `SpekoLLM.chat` asks for beside the conversation."""

    tool_choice: Any
    parallel_tool_calls: bool | None
    temperature: float | None
    max_tokens: int | None
    max_tool_hops: int | None


class SpekoLLM(SpekoIdentity, llm.LLM[Any]):
    """Completes conversations with the model that Speko's router picks.

    It owns the fetch of the agent's registered tools; the client stays the caller's. The tools are
    kept for its life, so make one for each session.
    """

    def __init__(
        self,
        *,
        speko: SpekoClient,
        intent: IntentLike,
        temperature: float | None = None,
        max_tokens: int | None = None,
        constraints: ConstraintsLike | None = None,
        session_id: str | None = None,
        tools: Sequence[ChatTool | Mapping[str, Any]] | None = None,
        agent_id: str | None = None,
        on_registered_tools_error: Callable[[Exception], None] | None = None,
        api_base_url: str | None = None,
        api_key: str | None = None,
    ) -> None:
        """Check the options; open nothing.

        Args:
            speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK.
            intent: What to route by.
            temperature: The model's. None leaves it to the model.
            max_tokens: Longest reply, in tokens. None leaves it to the model.
            constraints: Providers that the router may choose from.
            session_id: Session to book the calls to.
            tools: Tools for every call, beside those of the session's agent, which win over them.
            agent_id: Agent whose registered tools take part. They are fetched on the first
                `chat`, and win over every other tool of their name.
            on_registered_tools_error: Called once when that fetch fails; the call goes on. Without
                it the log says so.
            api_base_url: Ignored, for people who come from the TypeScript package: the client
                knows it.
            api_key: Ignored likewise.

        Raises:
            ValueError: An option that can't be used.
            TypeError: `speko` is no async client.
        """
        super().__init__()
        self._label = "speko.LLM"
        self._speko = require_client(speko, "SpekoLLM")
        check_number("SpekoLLM: temperature", temperature)
        check_whole("SpekoLLM: max_tokens", max_tokens)
        check_session_id("SpekoLLM: session_id", session_id)
        check_callback("SpekoLLM: on_registered_tools_error", on_registered_tools_error)
        warn_of_ignored(api_base_url=api_base_url, api_key=api_key)
        self._options = _Options(
            intent=validate_intent(intent),
            temperature=temperature,
            max_tokens=max_tokens,
            constraints=validate_constraints(constraints),
            session_id=session_id,
            tools=_own_tools(tools),
        )
        self._retry_after = RetryAfter()
        # None without an agent_id.
        self._registered_tools: RegisteredToolsLoader | None = None
        if agent_id is not None:
            self._registered_tools = RegisteredToolsLoader(
                speko=self._speko, agent_id=agent_id, on_error=on_registered_tools_error
            )

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> SpekoLLMStream:
        """Complete a conversation; the reply streams.

        Args:
            chat_ctx: The conversation.
            tools: Tools for this call.
            conn_options: ``timeout`` bounds, in seconds, the wait for the first output and each
                pause after it, never the whole reply. There are no retries once a part of the
                reply was handed on: a second reply would be another one.
            parallel_tool_calls: Whether one turn may call several tools.
            tool_choice: ``auto``, ``none``, ``required``, or a function by name.
            extra_kwargs: ``temperature``, ``max_tokens`` and ``max_tool_hops`` for this call.

        Returns:
            A stream of chunks that share an id: one for each piece of text as it arrives, then
            the tool calls, then the usage.

        Raises:
            ValueError: An extra option that doesn't exist, or whose value can't be used.
        """
        extra = dict(extra_kwargs) if utils.is_given(extra_kwargs) else {}
        for name in extra:
            if name not in _EXTRA_KWARGS:
                raise ValueError(
                    f'SpekoLLM: unknown option "{name}" in extra_kwargs. '
                    f"Expected: {', '.join(_EXTRA_KWARGS)}."
                )
        check_number("SpekoLLM: temperature", extra.get("temperature"))
        check_whole("SpekoLLM: max_tokens", extra.get("max_tokens"))
        check_whole("SpekoLLM: max_tool_hops", extra.get("max_tool_hops"))
        call = _Call(
            tool_choice=tool_choice if utils.is_given(tool_choice) else None,
            parallel_tool_calls=(
                parallel_tool_calls if utils.is_given(parallel_tool_calls) else None
            ),
            temperature=extra.get("temperature", self._options.temperature),
            max_tokens=extra.get("max_tokens", self._options.max_tokens),
            max_tool_hops=extra.get("max_tool_hops"),
        )
        return SpekoLLMStream(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options, call=call
        )

    async def _prewarm_impl(self) -> None:
        prewarm(self._speko)

    async def aclose(self) -> None:
        """Cancel what it still does by itself. Replies that are being read go on."""
        await super().aclose()
        if self._registered_tools is not None:
            await self._registered_tools.aclose()

    async def _tools_of(self, runtime: Sequence[llm.Tool]) -> list[dict[str, Any]] | None:
        """Every tool of a call, in the API's spelling. Waits for the registered ones."""
        registered = await self._registered_tools.load() if self._registered_tools else None
        own = merge_tools(function_tools_to_speko(runtime), self._options.tools)
        merged = merge_tools(registered, own)
        return None if merged is None else [build_tool(tool) for tool in merged]


class SpekoLLMStream(llm.LLMStream):
    """One reply, made by `SpekoLLM.chat`."""

    def __init__(
        self,
        speko_llm: SpekoLLM,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
        call: _Call,
    ) -> None:
        """Begin the reply. `SpekoLLM.chat` does that."""
        super().__init__(speko_llm, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._speko_llm = speko_llm
        self._options = speko_llm._options
        self._call = call

    async def _run(self) -> None:
        reply = Reply(utils.shortuuid("speko_llm_"))
        try:
            async with self._speko_llm._retry_after.heeded(self._conn_options.timeout):
                await self._complete(reply)
        except APIError as error:
            if reply.handed_on:
                # Words can't be taken back: a retry would say them again, or others.
                error.retryable = False
            raise

    async def _complete(self, reply: Reply) -> None:
        with LiveKitErrors():
            messages = chat_context_to_speko(self._chat_ctx, include_tool_calls=True)
            if not messages:
                raise SpekoAdapterError(
                    "SpekoLLM: the chat context holds no message with text. Add a user message, "
                    "or instructions to the agent.",
                    "INVALID_CONTEXT",
                )
            tools = await self._speko_llm._tools_of(self._tools)
            with Reported(self._speko_llm, "complete", reply.id) as timing:
                async with Deadline(self._conn_options.timeout) as deadline:
                    await self._stream(reply, deadline, timing, messages, tools)

    async def _stream(
        self,
        reply: Reply,
        deadline: Deadline,
        timing: Timing,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None,
    ) -> None:
        answer = self._speko_llm._speko.complete_stream(
            messages=messages,
            intent=build_intent(self._options.intent),
            temperature=self._call.temperature,
            max_tokens=self._call.max_tokens,
            constraints=build_constraints(self._options.constraints),
            tools=tools,
            tool_choice=self._call.tool_choice,
            parallel_tool_calls=self._call.parallel_tool_calls,
            max_tool_hops=self._call.max_tool_hops,
            session_id=self._options.session_id,
        )
        async with closing(answer) as events:
            async for event in events:
                if event.type in _NAMES_A_ROUTE:
                    timing.route = event
                chunks = reply.push(event)
                if chunks or event.type in _SIGNS_OF_WORK:
                    deadline.restart()
                for chunk in chunks:
                    timing.note_output()
                    self._event_ch.send_nowait(chunk)
                if reply.done is not None:
                    break
        reply.finish()


def _own_tools(tools: Sequence[ChatTool | Mapping[str, Any]] | None) -> tuple[ChatTool, ...]:
    if isinstance(tools, str | Mapping) or not isinstance(tools or (), Sequence):
        raise ValueError(
            f"SpekoLLM: tools must be a list of ChatTool or mappings, got {type(tools).__name__}."
        )
    return tuple(deepcopy(to_chat_tool(tool)) for tool in tools or ())


def warn_of_ignored(*, api_base_url: str | None, api_key: str | None) -> None:
    """Warn whoever called the caller of this function of options that do nothing."""
    for name, option, value in (
        ("api_base_url", "base_url", api_base_url),
        ("api_key", "api_key", api_key),
    ):
        if value is not None:
            warnings.warn(
                f"SpekoLLM: {name} is ignored. Give it to the client: Speko({option}=...).",
                DeprecationWarning,
                stacklevel=3,
            )
