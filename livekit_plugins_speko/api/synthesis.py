"""An answer of synthesis while it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

from .response import Answer
from .responses import parse_route_headers


class SynthesizeStream:
    """Audio as it arrives. An async context manager and an async iterator of bytes.

    Attributes:
        content_type: The audio's format, such as ``audio/pcm;rate=24000``.
        provider: Which provider speaks; `model`, `failover_count` and `scores_run_id` say more.
        model: Its model.
        failover_count: How many providers failed before it.
        scores_run_id: Which run of the router's benchmarks ranked it, or None.
    """

    def __init__(self, answer: Answer) -> None:
        """Take over an answer whose status was a success and whose body is unread."""
        self._answer = answer
        route = parse_route_headers(answer.headers)
        self.content_type: str = (
            answer.headers.get("x-speko-audio-format") or answer.headers.get("content-type") or ""
        )
        self.provider = route.provider
        self.model = route.model
        self.failover_count = route.failover_count
        self.scores_run_id = route.scores_run_id

    async def __aenter__(self) -> SynthesizeStream:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._answer)

    async def aclose(self) -> None:
        """Close the connection, or give it back when the audio was read to its end."""
        await self._answer.aclose()
