"""What an answer is made of besides text and bytes: its provider, tool calls, early ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, TypeVar
from uuid import uuid4

T = TypeVar("T")


@dataclass(frozen=True)
class ProviderRoute:
    """The provider that an answer claims to come from.

    Attributes:
        provider: The provider's name.
        model: The model's name.
        failover_count: How many providers failed before this one answered.
        scores_run_id: The run of the benchmark that ranked the providers; None leaves it out.
    """

    provider: str = "local"
    model: str = "scripted"
    failover_count: int = 0
    scores_run_id: str | None = "run-local"

    def headers(self) -> dict[str, str]:
        """The route as response headers."""
        headers = {
            "X-Speko-Provider": self.provider,
            "X-Speko-Model": self.model,
            "X-Speko-Failover-Count": str(self.failover_count),
        }
        if self.scores_run_id is not None:
            headers["X-Speko-Scores-Run-Id"] = self.scores_run_id
        return headers

    def wire(self) -> dict[str, Any]:
        """The route as it stands in `meta` and `done`."""
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
        args: The arguments, or the JSON text that goes on the wire for them as it stands.
        id: The id that the tool's result must name. Default: a new one.
    """

    name: str
    args: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = field(default_factory=_new_id)

    def wire(self) -> dict[str, str]:
        """The call as it stands in `tool_call` events and in `done.toolCalls`."""
        args = self.args if isinstance(self.args, str) else json.dumps(dict(self.args))
        return {"id": self.id, "name": self.name, "args": args}


@dataclass(frozen=True)
class ServerToolCall:
    """A tool that ran inside the service: told to the caller, never answered by it.

    Attributes:
        name: The tool's name.
        outcome: What is told after `started`.
        id: The id of the call. Default: a new one.
    """

    name: str
    _: KW_ONLY
    outcome: Literal["completed", "failed"] = "completed"
    id: str = field(default_factory=_new_id)

    def wire(self) -> list[dict[str, str]]:
        """The data of its two `server_tool_call` events, in order."""
        return [
            {"id": self.id, "name": self.name, "status": status}
            for status in ("started", self.outcome)
        ]


@dataclass(frozen=True)
class ErrorEvent:
    """A failure in the middle of an answer: an `error` event under status 200, then the end.

    A gateway that answers in JSON sends status 500 with the same error in its place.

    Attributes:
        error: The message.
        code: The service's code for it.
    """

    error: str
    code: str = "ALL_PROVIDERS_FAILED"


@dataclass(frozen=True)
class EndOfStream:
    """The end of an event stream here, in good order but without a `done` event."""


def as_async(content: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Reads a plain or an asynchronous iterable in the same way.

    Args:
        content: The pieces of an answer.

    Returns:
        An asynchronous iterator over them. Where the content has an `aclose` of its own (an
        asynchronous generator has), it is the content's own iterator, so that closing it stops
        the engine behind it.
    """
    if isinstance(content, AsyncIterable):
        return aiter(content)
    return _walk(content)


async def _walk(content: Iterable[T]) -> AsyncIterator[T]:
    for piece in content:
        yield piece
