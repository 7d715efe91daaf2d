"""Replies that ``generate_reply`` requested."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from livekit.agents import llm

TIMEOUT_S = 10.0
"""Longest wait for a reply, in seconds, from the moment it could be requested."""


@dataclass(eq=False)
class ReplyRequest:
    """One call of ``generate_reply``.

    Attributes:
        future: Resolved with the reply; LiveKit awaits it without a timeout.
        instructions: For this reply alone, or None.
        text: What the user typed, or None.
        is_sent: True once the service was asked.
        is_overtaken: True once the caller spoke: LiveKit cancels it in a moment.
        timer: Fails it. None before it could be sent.
    """

    future: asyncio.Future[llm.GenerationCreatedEvent]
    instructions: str | None = None
    text: str | None = None
    is_sent: bool = False
    is_overtaken: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class ReplyRequests:
    """At most one request at a time: a second one replaces the first. Used by one task."""

    def __init__(self, on_abandoned: Callable[[], None]) -> None:
        """Call `on_abandoned` when a reply that was requested is no longer wanted."""
        self._on_abandoned = on_abandoned
        # The request without a reply. None without one.
        self.pending: ReplyRequest | None = None

    def add(self, instructions: str | None, text: str | None) -> ReplyRequest:
        """Make a request, not sent yet."""
        self.fail(llm.RealtimeError("superseded by another generate_reply()", code="superseded"))
        future: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.Future()
        request = ReplyRequest(future, instructions, text)
        future.add_done_callback(lambda _: self._on_done(request))
        self.pending = request
        return request

    def sent(self, request: ReplyRequest) -> None:
        """Start the clock."""
        request.is_sent = True
        request.timer = asyncio.get_running_loop().call_later(TIMEOUT_S, self._time_out, request)

    @property
    def is_due(self) -> bool:
        """Return True if the next reply is the one that was requested."""
        return self.pending is not None and not self.pending.is_overtaken

    def overtake(self) -> bool:
        """Note that the caller spoke; return True if the service was asked for a reply."""
        request = self.pending
        if request is None or not request.is_sent:
            return False
        request.is_overtaken = True
        return True

    def note_cancelled(self) -> None:
        """Note at once that LiveKit cancelled the request: its future says so a moment later."""
        if self.pending is not None and self.pending.future.cancelled():
            self._on_done(self.pending)

    def resolve(self, event: llm.GenerationCreatedEvent) -> None:
        """Give the reply that began to the request, unless the caller spoke before it."""
        if self.is_due:
            request, self.pending = self.pending, None
            if request is not None and not request.future.done():
                request.future.set_result(event)

    def fail(self, error: llm.RealtimeError) -> None:
        """Fail the request, if there is one."""
        request, self.pending = self.pending, None
        if request is not None:
            fail(request.future, error)

    def _time_out(self, request: ReplyRequest) -> None:
        if self.pending is request:
            self.fail(
                llm.RealtimeError(f"no reply began within {TIMEOUT_S:g} s", code="reply_timeout")
            )
            if not request.is_overtaken:
                self._on_abandoned()

    def _on_done(self, request: ReplyRequest) -> None:
        if request.timer is not None:
            request.timer.cancel()
        if self.pending is request:  # LiveKit cancelled it
            self.pending = None
            if request.is_sent and not request.is_overtaken:
                self._on_abandoned()


def fail(
    future: asyncio.Future[llm.GenerationCreatedEvent], error: llm.RealtimeError
) -> asyncio.Future[llm.GenerationCreatedEvent]:
    """Fail a future. One that is never awaited must not be reported as forgotten."""
    if not future.done():
        future.set_exception(error)
        future.exception()
    return future
