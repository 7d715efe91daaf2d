"""The parts of a scripted answer besides text and bytes: provider, tool calls, early ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, TypeVar
from uuid import uuid4

T = TypeVar("T")


@dataclass(frozen=True)
class ProviderRoute:
    """The provider that a response names as its origin.

    Attributes:
        provider: The provider's name.
        model: The model's name.
        failover_count: How many providers failed before this one.
        scores_run_id: The benchmark run that ranked the providers; None leaves its header out.
    """

    provider: str = "local"
    model: str = "scripted"
    failover_count: int = 0
    scores_run_id: str | None = "run-local"

    def headers(self) -> dict[str, str]:
        """Return the route as response headers."""
        headers = {
            "X-Speko-Provider": self.provider,
            "X-Speko-Model": self.model,
            "X-Speko-Failover-Count": str(self.failover_count),
        }
        if self.scores_run_id is not None:
            headers["X-Speko-Scores-Run-Id"] = self.scores_run_id
        return headers

    def wire(self) -> dict[str, Any]:
        """Return the route as `meta` and `done` events have it."""
        return {
            "provider": self.provider,
            "model": self.model,
            "failoverCount": self.failover_count,
            "scoresRunId": self.scores_run_id,
        }


def _new_id() -> str:
    return f"call_{uuid4().hex[:12]}"


@dataclass(frozen=True)
class ToolCall:
    """A call of one of the caller's own tools (`tool_call` on the wire).

    Attributes:
        name: The tool's name.
        args: The arguments; or the JSON text of them, which is sent unchanged.
        id: The id that the tool's result must name. Default: a new id.
    """

    name: str
    args: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = field(default_factory=_new_id)

    def wire(self) -> dict[str, str]:
        """Return the call as `tool_call` events and `done.toolCalls` have it."""
        args = self.args if isinstance(self.args, str) else json.dumps(dict(self.args))
        return {"id": self.id, "name": self.name, "args": args}


@dataclass(frozen=True)
class ServerToolCall:
    """A tool that ran inside the service: reported to the client, which sends no result.

    Attributes:
        name: The tool's name.
        outcome: The status that follows `started`.
        id: The id of the call. Default: a new id.
    """

    name: str
    _: KW_ONLY
    outcome: Literal["completed", "failed"] = "completed"
    id: str = field(default_factory=_new_id)

    def wire(self) -> list[dict[str, str]]:
        """Return the data of its two `server_tool_call` events, in order."""
        return [
            {"id": self.id, "name": self.name, "status": status}
            for status in ("started", self.outcome)
        ]


@dataclass(frozen=True)
class ErrorEvent:
    """A failure in the middle of a response: an `error` event under status 200, then the end.

    A route that responds in JSON sends status 500 with the same error instead.

    Attributes:
        error: The message.
        code: The service's error code.
    """

    error: str
    code: str = "ALL_PROVIDERS_FAILED"


@dataclass(frozen=True)
class EndOfStream:
    """An early end of the event stream: the body is complete, but has no `done` event."""


def as_async(content: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Iterate over a plain or an asynchronous iterable in the same way.

    Args:
        content: The pieces of a response.

    Returns:
        An asynchronous iterator. For an asynchronous generator it is the generator itself, so
        that closing the iterator stops the engine that the pieces come from.
    """
    if isinstance(content, AsyncIterable):
        return aiter(content)
    return _walk(content)


async def _walk(content: Iterable[T]) -> AsyncIterator[T]:
    for piece in content:
        yield piece
