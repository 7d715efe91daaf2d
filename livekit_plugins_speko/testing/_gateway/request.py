"""One request as the gateway saw it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .waiting import within


@dataclass(eq=False)
class GatewayRequest:
    """One request that came in, and what became of it.

    The first fields are what the client sent and never change; the others are filled in while the
    gateway answers. Engines get it, tests read it from `LocalGateway.requests`.

    Attributes:
        route: `transcribe`, `complete`, `synthesize`, `tools`, or `unknown` for any other path.
        method: The HTTP method.
        path: The path as it was sent, percent-encoding and all, without the query.
        query: The query, decoded.
        headers: The headers without `Authorization`; names are found in any case.
        body: The body. Of a body over the limit only the part within it is kept.
        received_at: When the whole request was in, in seconds of `time.perf_counter`.
        agent_id: For `tools`, the agent's id, decoded; otherwise None.
        status: The status that it was answered with; None until the headers are sent.
        cancelled: The client went away before the answer was complete.
        failure: What an engine raised instead of answering; None otherwise.
    """

    route: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    agent_id: str | None = None
    status: int | None = None
    cancelled: bool = False
    failure: BaseException | None = None
    # Set when the gateway is through with the request, however that came about.
    _finished: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def __str__(self) -> str:
        """The method and the path, for messages."""
        return f"{self.method} {self.path}"

    @property
    def done(self) -> bool:
        """Whether the gateway is through with it: answered, refused, failed or cancelled."""
        return self._finished.is_set()

    async def finished(self, *, within_s: float = 10.0) -> None:
        """Waits until the gateway is through with the request.

        Args:
            within_s: How long to wait, in seconds.

        Raises:
            TimeoutError: It still works on it.
        """
        await within(self._finished.wait(), within_s, f"the end of {self}")

    def mark_done(self) -> None:
        """Tells whoever waits in `finished`. The gateway calls it."""
        self._finished.set()

    @property
    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: The body is no JSON.
        """
        return json.loads(self.body)

    @property
    def audio(self) -> bytes:
        """The uploaded WAV of a `transcribe` request: the body."""
        return self.body

    @property
    def intent(self) -> dict[str, Any] | None:
        """The routing intent in the wire's spelling; None when the request has none."""
        return self._part("X-Speko-Intent", "intent")

    @property
    def constraints(self) -> dict[str, Any] | None:
        """The constraints in the wire's spelling; None when the request has none."""
        return self._part("X-Speko-Constraints", "constraints")

    @property
    def stt_options(self) -> dict[str, Any] | None:
        """The provider options of a `transcribe` request; None when it has none."""
        return self._part("X-Speko-Stt-Options", None)

    @property
    def session_id(self) -> str | None:
        """The session that the request is counted for; None when it names none."""
        return self.headers.get("x-session-id")

    def _part(self, header: str, key: str | None) -> dict[str, Any] | None:
        """Finds a part of the request in its header, or in the JSON body for the other routes."""
        if self.route == "transcribe":
            text = self.headers.get(header)
            part = None if text is None else json.loads(text)
        else:
            part = None if key is None or not self.body else self.json.get(key)
        return part if isinstance(part, dict) else None
