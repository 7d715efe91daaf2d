"""One call to the service, for every adapter: pacing, deadline, timings, route event, errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import asdict, dataclass
from typing import Any, Literal

from livekit import rtc
from livekit.agents import APIError
from livekit.agents.telemetry import tracer
from opentelemetry import trace

from ._aio import Deadline
from ._faults import cause_to_show, to_livekit_error
from .api.timing import CURRENT_TIMING, RouteLike, Timing
from .api.types import Route
from .log import logger

CallKind = Literal["transcribe", "transcribe_stream", "complete", "synthesize", "realtime"]
"""A service of the gateway."""


@dataclass(frozen=True, kw_only=True)
class RouteEvent(Route):
    """The payload of the event ``route``: a call of the service is over.

    `SpekoSTT`, `SpekoLLM`, `SpekoTTS` and the adapters around them emit it for each request they
    made, also for one that failed or was cancelled: subscribe with ``tts.on("route", callback)``.
    `SpekoRealtimeModel` emits it for each reply, and each connection that could not be made.
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


_UNKNOWN = Route()


class Call:
    """One call under way. Made by `Calls.open`, used by one task."""

    def __init__(self, timing: Timing, deadline: Deadline) -> None:
        self.timing = timing
        self._deadline = deadline
        # True once a part of the response was forwarded that cannot be taken back.
        self.committed = False

    def served_by(self, route: RouteLike) -> None:
        """Note which provider serves the call."""
        self.timing.route = route

    def progress(self) -> None:
        """Begin a new wait: the service works on the response."""
        self._deadline.restart()

    def output(self) -> None:
        """Note a piece of output, and begin a new wait."""
        self._deadline.restart()
        self.timing.note_output()

    def commit(self) -> None:
        """Rule out a retry, which would say again what was forwarded."""
        self.committed = True


class Calls:
    """The calls of one adapter, which share the wait of a rate limit.

    A 429 with ``Retry-After`` holds back the next attempts of all of them, as LiveKit's own
    intervals would be refused again. No attempt waits longer than its timeout, the silence that a
    caller is expected to bear: when the service requests more, the call fails at once without a
    retry, and the next call tries anew.
    """

    def __init__(
        self, adapter: rtc.EventEmitter[Any], kind: CallKind, *, span: str | None = None
    ) -> None:
        """Prepare the calls of `adapter`.

        Args:
            adapter: Emits the event ``route``.
            kind: The service that is called.
            span: Name of a span around each call, where LiveKit makes none.
        """
        self._adapter = adapter
        self._kind = kind
        self._span = span
        # Time of the loop's clock before which no attempt is made.
        self._not_before = 0.0

    @asynccontextmanager
    async def open(self, request_id: str, timeout_s: float) -> AsyncIterator[Call]:
        """Make one call in the block, and report how it ended.

        Args:
            request_id: LiveKit's id for the call.
            timeout_s: Longest wait, in seconds, for the first output and for each after it.

        Raises:
            APIError: LiveKit's error for whatever the service did wrong. `retryable` is decided
                here. A programming error leaves as it is.
        """
        await self._wait_for_rate_limit(timeout_s)
        call = Call(Timing(), Deadline(timeout_s))
        try:
            with self._new_span(), self._reported(request_id, call.timing):
                async with call._deadline:
                    yield call
        except Exception as fault:
            error = to_livekit_error(fault)
            if error is None:
                raise
            self._decide_retry(error, fault, call, timeout_s)
            if error is fault:
                raise
            raise error from cause_to_show(fault)

    async def _wait_for_rate_limit(self, timeout_s: float) -> None:
        left_s = self._not_before - asyncio.get_running_loop().time()
        if 0 < left_s <= timeout_s:
            await asyncio.sleep(left_s)

    def _decide_retry(
        self, error: APIError, fault: Exception, call: Call, timeout_s: float
    ) -> None:
        asked_s = getattr(fault, "retry_after", None)
        if asked_s is not None and asked_s > timeout_s:
            error.retryable = False
        elif asked_s is not None:
            now = asyncio.get_running_loop().time()
            self._not_before = max(self._not_before, now + asked_s)
        if call.committed:
            error.retryable = False

    def _new_span(self) -> AbstractContextManager[object]:
        return nullcontext() if self._span is None else tracer.start_as_current_span(self._span)

    @contextmanager
    def _reported(self, request_id: str, timing: Timing) -> Iterator[None]:
        """Report the block's call on LiveKit's current span, in the log, and as an event."""
        token = CURRENT_TIMING.set(timing)
        outcome: Literal["completed", "failed", "cancelled"] = "completed"
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except BaseException:
            outcome = "failed"
            raise
        finally:
            with suppress(ValueError):  # the garbage collector may close it elsewhere
                CURRENT_TIMING.reset(token)
            self._report(_event(self._kind, request_id, outcome, timing))

    def report(
        self, request_id: str, outcome: Literal["completed", "failed", "cancelled"], timing: Timing
    ) -> None:
        """Report a call that was not made with `open`: one that lasts as long as a stream."""
        self._report(_event(self._kind, request_id, outcome, timing))

    def _report(self, event: RouteEvent) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attributes(event.fields())
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("call ended", extra=event.fields())
        try:
            self._adapter.emit("route", event)
        except TypeError:  # LiveKit's emitter logs every other error of a listener
            logger.exception("a listener of the event route failed")


def _event(
    kind: CallKind,
    request_id: str,
    outcome: Literal["completed", "failed", "cancelled"],
    timing: Timing,
) -> RouteEvent:
    route = _UNKNOWN if timing.route is None else timing.route
    return RouteEvent(
        call=kind,
        request_id=request_id,
        outcome=outcome,
        provider=route.provider,
        model=route.model,
        failover_count=route.failover_count,
        scores_run_id=route.scores_run_id,
        connection_reused=timing.connection_reused,
        headers_s=timing.headers_s,
        first_output_s=timing.first_output_s,
        end_s=timing.elapsed_s,
    )
