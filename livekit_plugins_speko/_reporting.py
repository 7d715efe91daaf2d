"""Tells who answered a call and when: LiveKit's span, the debug log, the event ``route``."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Literal

from opentelemetry import trace

from ._timing import Timing
from ._types import Route
from .log import logger
from .route import RouteEvent

UNKNOWN = Route()


class Reported:
    """A ``with`` block around one request, which reports it in the end, however it ends.

    Used by one task. Inside the block there is a `Timing`, and LiveKit's span is the current one.
    """

    def __init__(
        self,
        emitter: Any,
        call: Literal["transcribe", "complete", "synthesize"],
        request_id: str,
    ) -> None:
        """Report as an event of `emitter`, one of the adapters."""
        self._emitter = emitter
        self._call = call
        self._request_id = request_id
        self._timing = Timing()

    def __enter__(self) -> Timing:
        return self._timing.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        timing = self._timing
        timing.__exit__(exc_type, exc, traceback)
        route = UNKNOWN if timing.route is None else timing.route
        event = RouteEvent(
            call=self._call,
            request_id=self._request_id,
            outcome=_outcome(exc),
            provider=route.provider,
            model=route.model,
            failover_count=route.failover_count,
            scores_run_id=route.scores_run_id,
            connection_reused=timing.connection_reused,
            headers_s=timing.headers_s,
            first_output_s=timing.first_output_s,
            end_s=timing.elapsed_s,
        )
        fields = event.fields()
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attributes(fields)
        logger.debug("call ended", extra=fields)
        self._emitter.emit("route", event)


def _outcome(exc: BaseException | None) -> Literal["completed", "failed", "cancelled"]:
    if exc is None:
        return "completed"
    # A generator that is closed early was cancelled too.
    return "cancelled" if isinstance(exc, asyncio.CancelledError | GeneratorExit) else "failed"
