"""An answer of synthesis while it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

import httpx

from ._responses import parse_route_headers


class SynthesizeStream:
    """Audio as it arrives. An async context manager and an async iterator of bytes.

    Attributes:
        content_type: The audio's format, such as ``audio/pcm;rate=24000``.
        provider: Which provider speaks; `model`, `failover_count` and `scores_run_id` say more.
        model: Its model.
        failover_count: How many providers failed before it.
        scores_run_id: Which run of the router's benchmarks ranked it, or None.
    """

    def __init__(self, response: httpx.Response) -> None:
        """Take over a response whose status was a success and whose body is unread."""
        self._response = response
        route = parse_route_headers(response.headers)
        self.content_type: str = (
            response.headers.get("x-speko-audio-format")
            or response.headers.get("content-type")
            or ""
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
        return self._response.aiter_bytes()

    async def aclose(self) -> None:
        """Close the connection, or give it back when the audio was read to its end."""
        await self._response.aclose()
