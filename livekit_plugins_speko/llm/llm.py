"""Completions through Speko."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from livekit.agents import APIConnectOptions, llm, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from .._aio import close_all, closing
from .._base import (
    Client,
    CompletionEvent,
    SpekoClient,
    SpekoIdentity,
    function_tools_to_speko,
    given,
)
from .._call import Call, Calls
from .._checks import check_callback, check_flag
from .._faults import livekit_errors
from ..api.options import CompleteOptions, ReasoningEffort
from ..api.requests import build_tool
from ..api.types import ChatTool
from ..errors import SpekoAdapterError
from ..intent import (
    ConstraintsLike,
    IntentLike,
    validate_constraints,
    validate_intent,
)
from .chat_context import chat_context_to_speko
from .reply import Reply
from .tools import RegisteredToolsLoader, all_tools, to_chat_tool

# The official SDK lacks it, and it is on by default.
_OPTIONAL = ("voice_optimized",)
_EXTRA_KWARGS = ("temperature", "max_tokens", "reasoning_effort", "max_tool_hops")


class LLMOptions(CompleteOptions):
    """The options of `SpekoLLM`, or of one call of it."""

    owner = "SpekoLLM"


class SpekoLLM(SpekoIdentity[LLMOptions], llm.LLM[Any]):
    """Completes conversations with the model that Speko's router picks.

    It owns the fetch of the agent's registered tools, which are kept for its life: make one for
    each session.
    """

    def __init__(
        self,
        *,
        speko: SpekoClient | None = None,
        intent: IntentLike,
        temperature: float | None = None,
        max_tokens: int | None = None,
        constraints: ConstraintsLike | None = None,
        session_id: str | None = None,
        tools: Sequence[ChatTool | Mapping[str, Any]] | None = None,
        agent_id: str | None = None,
        on_registered_tools_error: Callable[[Exception], None] | None = None,
        reasoning_effort: ReasoningEffort | None = None,
        voice_optimized: bool = True,
        api_base_url: str | None = None,
        api_key: str | None = None,
    ) -> None:
        """Check the options; open nothing.

        Args:
            speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK. It stays the
                caller's. Default: a `Speko` of its own, made of ``SPEKO_API_KEY`` and
                ``SPEKO_BASE_URL``, which `aclose` closes.
            intent: Language, region and goal to route by.
            temperature: From 0 to 2. None leaves it to the model.
            max_tokens: Longest reply, in tokens. None leaves it to the model.
            constraints: Providers that the router may choose from.
            session_id: Session that the calls are attributed to.
            tools: Tools for every call. They win over every other tool of their name.
            agent_id: Agent whose registered tools take part. They are fetched on the first
                `chat`, and win over the tools of the session's agent.
            on_registered_tools_error: Called once when that fetch fails; the call continues.
                Without it the log reports the failure.
            reasoning_effort: How much the model may think before it replies: ``none``,
                ``minimal``, ``low``, ``medium``, ``high`` or ``xhigh``. None leaves it to the
                model. Thinking is silence on the line.
            voice_optimized: Ask the service for replies that are meant to be spoken, as Speko's
                TypeScript adapter does with every completion.
            api_base_url: Ignored, for people who come from the TypeScript package. The client has
                it.
            api_key: Ignored likewise.

        Raises:
            ValueError: An option that cannot be used; or no `speko` and no usable key in the
                environment.
            TypeError: `speko` is no async client.
        """
        super().__init__()
        self._label = "speko.LLM"
        self._client = Client(speko, "SpekoLLM")
        check_callback("SpekoLLM: on_registered_tools_error", on_registered_tools_error)
        check_flag("SpekoLLM: voice_optimized", voice_optimized)
        warn_of_ignored(api_base_url=api_base_url, api_key=api_key)
        self._own_tools = _checked_tools(tools)
        self._options = LLMOptions(
            intent=validate_intent(intent),
            temperature=temperature,
            max_tokens=max_tokens,
            reasoning_effort=reasoning_effort,
            voice_optimized=voice_optimized or None,
            constraints=validate_constraints(constraints),
            session_id=session_id,
        )
        self._client.request("complete_stream", self._options.request(), optional=_OPTIONAL)
        self._calls = Calls(self, "complete")
        # None without an agent_id.
        self._registered_tools: RegisteredToolsLoader | None = None
        if agent_id is not None:
            self._registered_tools = RegisteredToolsLoader(
                speko=self._client.speko, agent_id=agent_id, on_error=on_registered_tools_error
            )

    def update_options(
        self,
        *,
        intent: NotGivenOr[IntentLike] = NOT_GIVEN,
        temperature: NotGivenOr[float | None] = NOT_GIVEN,
        max_tokens: NotGivenOr[int | None] = NOT_GIVEN,
        reasoning_effort: NotGivenOr[ReasoningEffort | None] = NOT_GIVEN,
    ) -> None:
        """Change options from the next call on.

        Args:
            intent: As in the constructor, and likewise the others.
            temperature: None leaves it to the model.
            max_tokens: None leaves it to the model.
            reasoning_effort: None leaves it to the model.

        Raises:
            ValueError: A value that cannot be used. Nothing has changed then.
        """
        changed = given(
            intent=intent,
            temperature=temperature,
            max_tokens=max_tokens,
            reasoning_effort=reasoning_effort,
        )
        self._options = replace(self._options, **changed)

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
                reply was forwarded: a second reply would be another one.
            parallel_tool_calls: Allow several tool calls in one turn.
            tool_choice: ``auto``, ``none``, ``required``, or a function by name.
            extra_kwargs: ``temperature``, ``max_tokens``, ``reasoning_effort`` and
                ``max_tool_hops`` (rounds of tools inside the service, 1 to 16) for this call.

        Returns:
            A stream of chunks that share an id: one for each piece of text as it arrives, then
            the tool calls, then the usage.

        Raises:
            ValueError: An extra option that does not exist, or whose value cannot be used.
        """
        extra = dict(extra_kwargs) if utils.is_given(extra_kwargs) else {}
        for name in extra:
            if name not in _EXTRA_KWARGS:
                raise ValueError(
                    f'SpekoLLM: unknown option "{name}" in extra_kwargs. '
                    f"Expected: {', '.join(_EXTRA_KWARGS)}."
                )
        changed = given(tool_choice=tool_choice, parallel_tool_calls=parallel_tool_calls)
        options = replace(self._options, **extra, **changed) if extra or changed else self._options
        return SpekoLLMStream(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options, options=options
        )

    async def _prewarm_impl(self) -> None:
        self._client.prewarm()

    def own_client(self) -> None:
        """Close the client with this object. `create_speko_components` made it for three."""
        self._client.own()

    async def aclose(self) -> None:
        """Cancel the fetch of registered tools, and close the client if it was made here.

        Replies that are being read continue, unless the client closes.
        """
        tools = [] if self._registered_tools is None else [self._registered_tools.aclose]
        await close_all(super().aclose, *tools, self._client.aclose)

    async def _tools_for(self, runtime: Sequence[llm.Tool]) -> list[dict[str, Any]] | None:
        """Return every tool of a call, in the API's spelling. Waits for the registered ones."""
        registered = await self._registered_tools.load() if self._registered_tools else None
        tools = all_tools(
            own=self._own_tools, registered=registered, runtime=function_tools_to_speko(runtime)
        )
        return [build_tool(tool) for tool in tools] or None


class SpekoLLMStream(llm.LLMStream):
    """One reply, made by `SpekoLLM.chat`."""

    def __init__(
        self,
        speko_llm: SpekoLLM,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
        options: LLMOptions,
    ) -> None:
        """Begin the reply. `SpekoLLM.chat` does that."""
        super().__init__(speko_llm, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._speko_llm = speko_llm
        self._request = speko_llm._client.request(
            "complete_stream", options.request(), optional=_OPTIONAL
        )

    async def _run(self) -> None:
        reply = Reply(utils.shortuuid("speko_llm_"))
        with livekit_errors():
            messages = chat_context_to_speko(self._chat_ctx, include_tool_calls=True)
            if not messages:
                raise SpekoAdapterError(
                    "SpekoLLM: the chat context holds no message with text. Add a user message, "
                    "or instructions to the agent.",
                    "INVALID_CONTEXT",
                )
            tools = await self._speko_llm._tools_for(self._tools)
        async with self._speko_llm._calls.open(reply.id, self._conn_options.timeout) as call:
            response = self._speko_llm._client.speko.complete_stream(
                messages=messages, tools=tools, **self._request
            )
            async with closing(response) as events:
                async for event in events:
                    self._forward(event, reply, call)
                    if reply.done is not None:
                        break
            reply.finish()

    def _forward(self, event: CompletionEvent, reply: Reply, call: Call) -> None:
        if event.type == "meta" or event.type == "done":
            call.served_by(event)
        elif event.type != "delta" or event.text:
            # Tools, and thoughts that are not forwarded, show that the service works.
            call.progress()
        for chunk in reply.push(event):
            # Words cannot be taken back: a retry would say them again, or others.
            call.commit()
            call.output()
            self._event_ch.send_nowait(chunk)  # type: ignore[arg-type]  # takes `SpeakNow` too


def _checked_tools(
    tools: Sequence[ChatTool | Mapping[str, Any]] | None,
) -> tuple[ChatTool, ...]:
    if isinstance(tools, str | Mapping) or not isinstance(tools or (), Sequence):
        raise ValueError(
            f"SpekoLLM: tools must be a list of ChatTool or mappings, got {type(tools).__name__}."
        )
    return tuple(deepcopy(to_chat_tool(tool)) for tool in tools or ())


def warn_of_ignored(*, api_base_url: str | None, api_key: str | None) -> None:
    """Warn the caller's caller of options that do nothing."""
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
