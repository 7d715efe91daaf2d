"""One request as the gateway received it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .waiting import within


@dataclass(eq=False)
class GatewayRequest:
    """One received request and its outcome.

    `status`, `cancelled`, `failure` and `close_code` are filled in while the gateway responds; the
    other fields never change. Engines receive it, and tests read it from `LocalGateway.requests`.

    Attributes:
        route: The name of the route (`transcribe`, for example), or `unknown` for another path.
        method: The HTTP method.
        path: The path as it was sent, percent-encoded, without the query.
        query: The query, decoded.
        headers: The headers without `Authorization`; names are found in any case.
        body: The body. A body over the limit is cut one byte after the limit.
        received_at: The time at which the request was complete, in seconds of `time.perf_counter`.
        path_parameters: The variable segments of the path by their names, decoded.
        status: The status of the response; None until the headers are sent.
        cancelled: True when the client went away before the response was complete.
        failure: The exception that an engine raised; None otherwise.
        close_code: The code that its WebSocket was closed with, 1006 when it was cut; None while
            it is open, and for other requests.
        authorized: The `GatewaySession` whose token let it in; None for the API key.
    """

    route: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    cancelled: bool = False
    failure: BaseException | None = None
    close_code: int | None = None
    authorized: Any = field(default=None, repr=False)
    # Set when the gateway has finished with the request, whatever the outcome.
    _finished: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def __str__(self) -> str:
        """Return the method and the path, for messages."""
        return f"{self.method} {self.path}"

    @property
    def done(self) -> bool:
        """True once the gateway has finished with it: answered, refused, failed or cancelled."""
        return self._finished.is_set()

    async def finished(self, *, within_s: float = 10.0) -> None:
        """Wait until the gateway has finished with the request.

        Args:
            within_s: The longest wait, in seconds.

        Raises:
            TimeoutError: The request is still in progress.
        """
        await within(self._finished.wait(), within_s, f"the end of {self}")

    def mark_done(self) -> None:
        """Wake the tasks that wait in `finished`. The gateway calls it."""
        self._finished.set()

    @property
    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)

    @property
    def agent_id(self) -> str | None:
        """The agent that the path names, decoded; None on a route without one."""
        return self.path_parameters.get("agent_id")

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
        """The session that the request is attributed to; None when it names none."""
        return self.headers.get("x-session-id")

    def _part(self, header: str, key: str | None) -> dict[str, Any] | None:
        """Find a part of the request in its header, or else in its JSON body."""
        text = self.headers.get(header)
        if text is not None:
            part = json.loads(text)
        else:
            is_json = "application/json" in self.headers.get("Content-Type", "").lower()
            body = self.json if key is not None and is_json else None
            part = body.get(key) if isinstance(body, dict) else None
        return part if isinstance(part, dict) else None
