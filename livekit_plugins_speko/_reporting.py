"""Tells who answered a call and when: LiveKit's span, the debug log, the event ``route``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Any, Literal

from opentelemetry import trace

from .api.timing import CURRENT_TIMING, Timing
from .api.types import Route
from .log import logger
from .route import RouteEvent

_UNKNOWN = Route()


class Reported:
    """A ``with`` block around one request, which reports it in the end, however it ends.

    It gives the request's `Timing`. LiveKit's span must be the current one. Used by one task.
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
        # The request's stopwatch, and how to take it back. There from the block's beginning on.
        self._timing: Timing
        self._token: Token[Timing | None]

    def __enter__(self) -> Timing:
        self._timing = Timing()
        self._token = CURRENT_TIMING.set(self._timing)
        return self._timing

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(ValueError):  # the garbage collector ends what nobody awaits, from elsewhere
            CURRENT_TIMING.reset(self._token)
        event = self._event(exc)
        fields = event.fields()
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attributes(fields)
        logger.debug("call ended", extra=fields)
        try:
            self._emitter.emit("route", event)
        except TypeError:  # LiveKit logs what a listener raises, but for this, and the call goes on
            logger.exception("a listener of the event route failed")

    def _event(self, exc: BaseException | None) -> RouteEvent:
        timing = self._timing
        route = _UNKNOWN if timing.route is None else timing.route
        return RouteEvent(
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


def _outcome(exc: BaseException | None) -> Literal["completed", "failed", "cancelled"]:
    if exc is None:
        return "completed"
    # A generator that is closed early was cancelled too.
    return "cancelled" if isinstance(exc, asyncio.CancelledError | GeneratorExit) else "failed"
