"""Who answered a call, and when: what users correlate the behaviour of their calls with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from .api.types import Route


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
        outcome: ``cancelled`` is what nobody waited for any more: a caller barged in, or went on
            speaking after a reply had been begun ahead.
        provider: Who answered, ``unknown`` when the service didn't say (or nobody answered).
        model: Its model, ``unknown`` likewise.
        failover_count: How many providers failed before it.
        scores_run_id: Which run of the router's benchmarks ranked it, or None.
        connection_reused: Whether a connection was open already. None when none was made, or with
            a client other than `Speko`, which can't tell.
        headers_s: Until the status and headers came. None as above.
        first_output_s: Until the first words or audio came, of recognition an interim transcript
            too. None when nothing came.
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
        """What is known, as attributes of a span and fields of a log record: ``speko.*``."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        del known["type"]
        return {f"speko.{name}": value for name, value in known.items()}
