"""The client as adapters see it, their identity, and LiveKit's tools as the client takes them."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from livekit.agents import llm, utils
from livekit.agents.types import NotGivenOr

from .api.client import Speko
from .api.options import CallOptions
from .api.requests import build_constraints, build_intent
from .api.timing import RouteLike
from .api.types import ChatTool
from .intent import Intent, OptimizeFor, PipelineConstraints
from .log import logger

OptionsT = TypeVar("OptionsT", bound=CallOptions)


class Transcript(RouteLike, Protocol):
    """The response of ``transcribe``."""

    @property
    def text(self) -> str:
        """The transcript; empty for silence."""

    @property
    def confidence(self) -> float | None:
        """From 0 to 1, or None when the provider reports none."""


class ToolCall(Protocol):
    """One call of an inline tool."""

    @property
    def id(self) -> str:
        """The model's id for it. Some models give none, or the same one twice."""

    @property
    def name(self) -> str:
        """Name of the tool."""

    @property
    def args(self) -> str:
        """Arguments, as JSON text."""


class Usage(Protocol):
    """Tokens that a completion took."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the conversation."""

    @property
    def completion_tokens(self) -> int:
        """Tokens of the reply."""


class Meta(RouteLike, Protocol):
    """A provider was chosen."""

    @property
    def type(self) -> Literal["meta"]:
        """Always ``meta``."""


class Delta(Protocol):
    """The next piece of a reply."""

    @property
    def type(self) -> Literal["delta"]:
        """Always ``delta``."""

    @property
    def text(self) -> str:
        """The piece."""


class InlineToolCall(ToolCall, Protocol):
    """An inline tool is to be called."""

    @property
    def type(self) -> Literal["tool_call"]:
        """Always ``tool_call``."""


class ServerToolCall(Protocol):
    """A tool runs, or ran, inside the service."""

    @property
    def type(self) -> Literal["server_tool_call"]:
        """Always ``server_tool_call``."""


class Done(RouteLike, Protocol):
    """The reply is complete."""

    @property
    def type(self) -> Literal["done"]:
        """Always ``done``."""

    @property
    def text(self) -> str:
        """The whole reply."""

    @property
    def usage(self) -> Usage:
        """Tokens that it took."""

    @property
    def tool_calls(self) -> Sequence[ToolCall] | None:
        """Every inline tool call of the reply."""


class Failure(Protocol):
    """The service gave up in the middle of a reply."""

    @property
    def type(self) -> Literal["error"]:
        """Always ``error``."""

    @property
    def error(self) -> str:
        """The service's message."""

    @property
    def code(self) -> str:
        """The service's code."""


CompletionEvent: TypeAlias = Meta | Delta | InlineToolCall | ServerToolCall | Done | Failure
"""One event of ``complete_stream``, distinguished by its ``type``."""


class AudioStream(RouteLike, AbstractAsyncContextManager[Any], Protocol):
    """The response of ``synthesize_stream``: bytes as they arrive."""

    @property
    def content_type(self) -> str:
        """Format of the audio, such as ``audio/pcm;rate=24000``."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class AgentTools(Protocol):
    """The tools registered for agents."""

    async def list_chat_tools(self, agent_id: str, *, available: bool = False) -> Sequence[object]:
        """List an agent's tools, as a completion takes them."""


class Agents(Protocol):
    """The agents of an account."""

    @property
    def tools(self) -> AgentTools:
        """Their registered tools."""


class SpekoClient(Protocol):
    """The methods that the adapters need of a client: `Speko`, or ``spekoai.AsyncSpeko``."""

    @property
    def agents(self) -> Agents:
        """The agents of the account."""

    async def transcribe(
        self,
        audio: bytes,
        *,
        language: str,
        region: str | None = None,
        optimize_for: OptimizeFor | None = None,
        content_type: str = "audio/wav",
        constraints: Any = None,
        session_id: str | None = None,
        keywords: list[str] | None = None,
        stt_language: str | None = None,
    ) -> Transcript:
        """Recognise one utterance."""

    def complete_stream(
        self,
        *,
        messages: list[Any],
        intent: Any,
        system_prompt: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        constraints: Any = None,
        tools: list[Any] | None = None,
        tool_choice: Any = None,
        parallel_tool_calls: bool | None = None,
        max_tool_hops: int | None = None,
        session_id: str | None = None,
    ) -> AsyncIterator[CompletionEvent]:
        """Complete a conversation, event by event."""

    async def synthesize_stream(
        self,
        text: str,
        *,
        language: str,
        region: str | None = None,
        optimize_for: OptimizeFor | None = None,
        voice: str | None = None,
        model: str | None = None,
        speed: float | None = None,
        instructions: str | None = None,
        spoken_form: bool | None = None,
        constraints: Any = None,
        session_id: str | None = None,
    ) -> AudioStream:
        """Speak a text."""


class SpekoIdentity(Generic[OptionsT]):
    """The names that LiveKit shows for an adapter. Precedes LiveKit's base class."""

    # The options in use; `update_options` replaces them.
    _options: OptionsT

    @property
    def model(self) -> str:
        """Always ``speko-router``. Each response reports the model that the router picked."""
        return "speko-router"

    @property
    def provider(self) -> str:
        """Always ``speko``."""
        return "speko"

    @property
    def intent(self) -> Intent:
        """Language, region and goal that the next call routes by."""
        return self._options.intent


class Client:
    """An adapter's client, and how to call it.

    The adapter owns the client when none was passed in, and closes it then.
    """

    def __init__(self, speko: SpekoClient | None, owner: str) -> None:
        """Check the client, or make one of ``SPEKO_API_KEY`` and ``SPEKO_BASE_URL``.

        Args:
            speko: The client, or None.
            owner: Name of the adapter, for the text of errors.

        Raises:
            TypeError: A synchronous client, or an object without the protocol's methods.
            ValueError: None, and the environment holds no usable key or address.
        """
        # The client that this object closes. None for the caller's.
        self._own = Speko() if speko is None else None
        self.speko: SpekoClient = require_client(self._own or speko, owner)
        # Options of the client's methods, as far as they were looked up.
        self._options: dict[str, frozenset[str]] = {}
        # Options that the log named already, since the client lacks them.
        self._named: set[str] = set()

    def takes(self, method: str, option: str) -> bool:
        """Return True if a method of this client has an option. `Speko` has all of them."""
        return option in self._options_of(method)

    def _options_of(self, method: str) -> frozenset[str]:
        """Return the options of a method; of one with ``**options`` those of the protocol."""
        if method not in self._options:
            parameters = inspect.signature(getattr(self.speko, method)).parameters
            if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
                parameters = inspect.signature(getattr(SpekoClient, method)).parameters
            self._options[method] = frozenset(parameters)
        return self._options[method]

    def request(
        self, method: str, options: Mapping[str, Any], *, optional: Collection[str] = ()
    ) -> dict[str, Any]:
        """Prepare the arguments of a method that every call has in common.

        Args:
            method: Name of the method.
            options: Its keyword arguments. An intent and constraints may be objects.
            optional: Those of them that may be left out without a word.

        Returns:
            The arguments in the form that is cheapest for this client, without those that it
            lacks. A warning in the log names each lacking one that was set.
        """
        known = self._options_of(method)
        for name, value in options.items():
            if value is not None and name not in {*known, *optional, *self._named}:
                self._named.add(name)
                logger.warning(
                    "the client cannot send this option",
                    extra={"option": name, "client": type(self.speko).__name__},
                )
        fast = isinstance(self.speko, Speko)
        return {
            name: value if fast else _plain(value)
            for name, value in options.items()
            if name in known
        }

    def prewarm(self) -> None:
        """Open a connection ahead of the first call, with a client that can: `Speko`."""
        if isinstance(self.speko, Speko):
            self.speko.prewarm()

    def own(self) -> None:
        """Close the client with the adapter."""
        if isinstance(self.speko, Speko):
            self._own = self.speko

    async def aclose(self) -> None:
        """Close the client if it is the adapter's own."""
        if self._own is not None:
            await self._own.aclose()


def given(**options: NotGivenOr[Any]) -> dict[str, Any]:
    """Return the options that were given, for an ``update_options``."""
    return {name: value for name, value in options.items() if utils.is_given(value)}


def _plain(value: Any) -> Any:
    """Return an intent or constraints as a mapping, which every client takes."""
    if isinstance(value, Intent):
        return build_intent(value)
    return build_constraints(value) if isinstance(value, PipelineConstraints) else value


def require_client(speko: Any, owner: str) -> SpekoClient:
    """Return `speko` if it can be an adapter's client.

    Args:
        speko: The object that the user passed in.
        owner: Name of the adapter, for the text of errors.

    Raises:
        TypeError: A synchronous client, or an object without the protocol's methods.
    """
    found = type(speko).__name__
    if hasattr(type(speko), "__enter__") and not hasattr(type(speko), "__aenter__"):
        raise TypeError(
            f"{owner}: speko must be an async client, got the synchronous {found}. "
            "Use Speko, or AsyncSpeko of the official SDK."
        )
    if isinstance(speko, type):
        raise TypeError(
            f"{owner}: speko must be a client, got the type {speko.__name__}. "
            f"Make one: {speko.__name__}(api_key=...)."
        )
    for method in ("transcribe", "complete_stream", "synthesize_stream"):
        if not callable(getattr(speko, method, None)):
            raise TypeError(
                f"{owner}: speko must be a client such as Speko(api_key=...), got {found}, "
                f"which has no {method}()."
            )
    client: SpekoClient = speko
    return client


def function_tools_to_speko(tools: Sequence[llm.Tool | llm.Toolset] | None) -> list[ChatTool]:
    """Convert LiveKit's tools to inline tools.

    Args:
        tools: Function tools, raw function tools and sets of them. Tools of a provider have no
            function to call, and are left out.

    Returns:
        One tool for each function, its parameters as plain JSON Schema (not strict).
    """
    if not tools:
        return []  # which takes LiveKit longer than all else that a request needs
    schemas = llm.ToolContext(tools).parse_function_tools("openai", strict=False)
    functions = [schema["function"] for schema in schemas]
    return [
        ChatTool(
            name=function["name"],
            description=function.get("description") or "",
            parameters=_finite(function.get("parameters")) or {"type": "object", "properties": {}},
        )
        for function in functions
    ]


def _finite(schema: Any) -> Any:
    """Return a JSON Schema without the numbers that JSON has no word for.

    A default that holds one is left out as a whole: a part of it would be another default.
    """
    if isinstance(schema, Mapping):
        return {
            key: _finite(value)
            for key, value in schema.items()
            if not _is_endless(value) and not (key == "default" and _holds_endless(value))
        }
    if isinstance(schema, list | tuple):
        return [_finite(value) for value in schema if not _is_endless(value)]
    return schema


def _holds_endless(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_endless, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_endless, value))
    return _is_endless(value)


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
