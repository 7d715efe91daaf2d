"""The `route` event: which provider served a call, and its timings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from .api.types import Route

CallKind = Literal["transcribe", "complete", "synthesize"]
"""A service of the gateway."""


@dataclass(frozen=True, kw_only=True)
class RouteEvent(Route):
    """The payload of the event ``route``: a call of the service is over.

    `SpekoSTT`, `SpekoLLM`, `SpekoTTS` and the adapters around them emit it for each request they
    made, also for one that failed or was cancelled: subscribe with ``tts.on("route", callback)``.
    The same facts are in the debug log, and attributes ``speko.*`` of LiveKit's span. Times are
    in seconds since the request was made.

    Attributes:
        call: The service.
        request_id: The id that LiveKit's metrics and events of the call carry.
        outcome: ``cancelled`` means that the result was no longer wanted: a caller barged in, or
            continued speaking after a reply had been begun early.
        provider: Provider that served it, ``unknown`` when the service did not say or failed.
        model: Its model, ``unknown`` likewise.
        failover_count: How many providers failed before it.
        scores_run_id: Run of the router's benchmarks that ranked it, or None.
        connection_reused: True if a connection was open already. None when none was made, or with
            a client other than `Speko`, which does not report it.
        headers_s: Time until the status and headers came. None as above.
        first_output_s: Time until the first words or audio came; of recognition an interim
            transcript counts too. None when nothing came.
        end_s: Time until the end.
    """

    call: CallKind
    request_id: str
    outcome: Literal["completed", "failed", "cancelled"]
    end_s: float
    connection_reused: bool | None = None
    headers_s: float | None = None
    first_output_s: float | None = None
    type: Literal["route"] = "route"

    def fields(self) -> dict[str, str | int | float]:
        """Return the known facts as ``speko.*``, for a span and for a log record."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        del known["type"]
        return {f"speko.{name}": value for name, value in known.items()}
