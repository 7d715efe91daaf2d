"""The response of a synthesis while it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

from .response import Response
from .responses import parse_route_headers


class SynthesizeStream:
    """Audio as it arrives. An async context manager and an async iterator of bytes.

    Attributes:
        content_type: The audio's format, such as ``audio/pcm;rate=24000``.
        provider: The provider that speaks.
        model: Its model.
        failover_count: Number of providers that failed before it.
        scores_run_id: Run of the router's benchmarks that ranked it, or None.
    """

    def __init__(self, response: Response) -> None:
        """Take over a response whose status was a success and whose body is unread."""
        self._response = response
        route = parse_route_headers(response.headers)
        headers = response.headers
        self.content_type: str = (
            headers.get("x-speko-audio-format") or headers.get("content-type") or ""
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
        return aiter(self._response)

    def pause(self, seconds: float) -> None:
        """Read no more for so long, for a reader who has audio enough.

        What arrives meanwhile is one read then, which costs as much CPU as a short one.
        """
        self._response.pause(seconds)

    async def aclose(self) -> None:
        """Give the connection back if the audio was read to its end, else close it."""
        await self._response.aclose()
