"""Who answered a call, and when: what users correlate the behaviour of their calls with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ._types import Route


@dataclass(frozen=True, kw_only=True)
class RouteEvent(Route):
    """One call of the service is over: the payload of the event ``route``.

    `SpekoSTT`, `SpekoLLM`, `SpekoTTS` and the adapters around them emit it for each request they
    made, also for one that failed or was cancelled: subscribe with ``tts.on("route", callback)``.
    The same facts are in the debug log, and attributes ``speko.*`` of LiveKit's span. Times are
    in seconds since the request was made.

    Attributes:
        call: Which of the three services it was.
        request_id: The id that LiveKit's metrics and events of the call carry.
        outcome: ``cancelled`` is a caller who barged in.
        provider: Who answered, ``unknown`` when the service didn't say (or nobody answered).
        model: Its model, ``unknown`` likewise.
        failover_count: How many providers failed before it.
        scores_run_id: Which run of the router's benchmarks ranked it, or None.
        connection_reused: Whether a connection was open already. None when none was made, or with
            a client other than `Speko`, which can't tell.
        headers_s: Until the status and headers came. None as above.
        first_output_s: Until the first words or audio were handed on. None when nothing was.
        end_s: Until the end.
    """

    call: Literal["transcribe", "complete", "synthesize"]
    request_id: str
    outcome: Literal["completed", "failed", "cancelled"]
    end_s: float
    connection_reused: bool | None = None
    headers_s: float | None = None
    first_output_s: float | None = None
    type: Literal["route"] = "route"

    def fields(self) -> dict[str, str | int | float]:
        """What is known, as attributes of a span and fields of a log record."""
        known: dict[str, str | int | float | None] = {
            "call": self.call,
            "request_id": self.request_id,
            "outcome": self.outcome,
            "provider": self.provider,
            "model": self.model,
            "failover_count": self.failover_count,
            "scores_run_id": self.scores_run_id,
            "connection_reused": self.connection_reused,
            "headers_s": self.headers_s,
            "first_output_s": self.first_output_s,
            "end_s": self.end_s,
        }
        return {f"speko.{name}": value for name, value in known.items() if value is not None}
