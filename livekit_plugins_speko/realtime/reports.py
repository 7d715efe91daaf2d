"""Metrics and `route` events of replies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from livekit.agents import utils
from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.metrics.base import Metadata

from .._call import Calls
from ..api.realtime_events import Usage
from ..api.timing import Timing
from ..api.types import Route
from .generation import Generation

Emit = Callable[[Literal["metrics_collected"], RealtimeModelMetrics], Any]


class Reports:
    """Reports each reply once: with its usage, which may come after it, or without."""

    def __init__(self, emit: Emit, calls: Calls, label: str, metadata: Metadata) -> None:
        """Report through `emit` and `calls`."""
        self._emit = emit
        self._calls = calls
        self._label = label
        self._metadata = metadata
        # The provider of the connection, where it is known.
        self.route = Route()
        # The latest reply that ended without its usage. None without one.
        self._waiting: Generation | None = None
        # Duration of that reply, in seconds.
        self._duration_s = 0.0
        # The reply whose usage was reported last. Kept to not report it again when it ends.
        self._reported: Generation | None = None

    def usage(self, usage: Usage, current: Generation | None) -> None:
        """Report the usage of the reply under way, else of the one that ended last."""
        if current is not None and current is not self._reported:
            self._reported = current
            self._send(current, usage, time.time() - current.began_at)
        elif self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._send(waiting, usage, self._duration_s)
        else:
            request_id = utils.shortuuid("speko_reply_")
            self._emit("metrics_collected", self._metrics(request_id, time.time(), usage))

    def ended(self, reply: Generation) -> None:
        """Note that a reply ended: its usage may still come."""
        if reply is self._reported:
            return
        self.flush()
        self._waiting, self._duration_s = reply, time.time() - reply.began_at

    def flush(self) -> None:
        """Report the reply whose usage did not come."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._send(waiting, Usage(), self._duration_s)

    def failed(self, timing: Timing) -> None:
        """Report a connection that could not be made."""
        timing.route = self.route
        self._calls.report(utils.shortuuid("speko_connect_"), "failed", timing)

    def _send(self, reply: Generation, usage: Usage, duration_s: float) -> None:
        first_s = reply.timing.first_output_s
        metrics = self._metrics(reply.id, reply.began_at, usage)
        metrics.duration = duration_s
        metrics.ttft = -1 if first_s is None else first_s
        metrics.cancelled = reply.cancelled
        if duration_s > 0:
            metrics.tokens_per_second = metrics.output_tokens / duration_s
        self._emit("metrics_collected", metrics)
        reply.timing.route = self.route
        self._calls.report(reply.id, "cancelled" if reply.cancelled else "completed", reply.timing)

    def _metrics(self, request_id: str, timestamp: float, usage: Usage) -> RealtimeModelMetrics:
        came = usage.input_audio_tokens + usage.input_text_tokens
        went = usage.output_audio_tokens + usage.output_text_tokens
        return RealtimeModelMetrics(
            label=self._label,
            request_id=request_id,
            timestamp=timestamp,
            input_tokens=came,
            output_tokens=went,
            total_tokens=came + went,
            input_token_details=RealtimeModelMetrics.InputTokenDetails(
                audio_tokens=usage.input_audio_tokens, text_tokens=usage.input_text_tokens
            ),
            output_token_details=RealtimeModelMetrics.OutputTokenDetails(
                audio_tokens=usage.output_audio_tokens, text_tokens=usage.output_text_tokens
            ),
            metadata=self._metadata,
        )
