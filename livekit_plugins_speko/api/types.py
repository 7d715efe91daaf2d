"""Results, events and tools of the client.

Attributes have the names of Speko's official Python SDK, so that the results of either client can
replace the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Route:
    """The provider that served a call.

    Attributes:
        provider: Its name, ``unknown`` when the service did not say.
        model: Its model, ``unknown`` when the service did not say.
        failover_count: Number of providers that failed before it.
        scores_run_id: Run of the router's benchmarks that ranked it, or None.
    """

    provider: str = "unknown"
    model: str = "unknown"
    failover_count: int = 0
    scores_run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class TranscribeResult(Route):
    """A transcript. `text` is empty for silence; `confidence` is 0 to 1, or None."""

    text: str
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class SynthesizeResult(Route):
    """A whole response of synthesis: its bytes and their format."""

    audio: bytes
    content_type: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens that a completion took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One call of an inline tool. `args` is JSON text."""

    id: str
    name: str
    args: str


@dataclass(frozen=True, kw_only=True)
class CompleteResult(Route):
    """A whole reply."""

    text: str = ""
    usage: Usage = Usage()
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MetaEvent(Route):
    """A provider was chosen; once for each hop of a completion."""

    hop: int = 0
    total_failover_count: int = 0
    type: Literal["meta"] = "meta"


@dataclass(frozen=True, kw_only=True)
class DeltaEvent:
    """The next piece of the reply."""

    text: str
    type: Literal["delta"] = "delta"


@dataclass(frozen=True, kw_only=True)
class ToolCallEvent(ToolCall):
    """An inline tool is to be called. The `DoneEvent` lists the call again."""

    type: Literal["tool_call"] = "tool_call"


@dataclass(frozen=True, kw_only=True)
class ServerToolCallEvent:
    """A tool runs, or ran, inside the service. Information only."""

    id: str
    name: str
    status: str
    type: Literal["server_tool_call"] = "server_tool_call"


@dataclass(frozen=True, kw_only=True)
class DoneEvent(CompleteResult):
    """The reply is complete."""

    type: Literal["done"] = "done"


@dataclass(frozen=True, kw_only=True)
class ErrorEvent:
    """The service failed in the middle of its response."""

    error: str
    code: str
    type: Literal["error"] = "error"


CompleteEvent: TypeAlias = (
    MetaEvent | DeltaEvent | ToolCallEvent | ServerToolCallEvent | DoneEvent | ErrorEvent
)


@dataclass(frozen=True, kw_only=True)
class ChatTool:
    """A tool that a model may call.

    Attributes:
        name: Its name, as the model sees it.
        description: Its use, as the model sees it.
        parameters: JSON Schema of its arguments, an object.
        execution_mode: ``inline`` tools come back as tool calls; ``webhook``, ``builtin`` and
            ``integration`` tools run inside the service. None means ``inline``.
        source: Origin of a registered tool, as the service sent it.
        pre_tool_speech: ``auto``, ``always`` or ``never``: announce a tool that runs inside the
            service before it runs.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution_mode: str | None = None
    source: Mapping[str, Any] | None = None
    pre_tool_speech: str | None = None
