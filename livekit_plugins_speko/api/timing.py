"""A stopwatch for one call. An adapter reads it; the transport fills it in."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Protocol


class RouteLike(Protocol):
    """The attributes by which any client's response or event names its provider."""

    @property
    def provider(self) -> str:
        """Name of the provider."""

    @property
    def model(self) -> str:
        """Its model."""

    @property
    def failover_count(self) -> int:
        """How many providers failed before it."""

    @property
    def scores_run_id(self) -> str | None:
        """Run of the router's benchmarks that ranked it."""


class Timing:
    """A stopwatch for one call, in seconds since it was made. Used by one task.

    The transport finds it in `CURRENT_TIMING`, so that the client's methods need no option for it,
    which the official SDK's client would not have.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        # Time until there was a connection to send on. None before, and with another client.
        self.connected_s: float | None = None
        # True if that connection had been open before. None as above.
        self.connection_reused: bool | None = None
        # Time until the status and headers came. None as above.
        self.headers_s: float | None = None
        # Time until the first output came. None before.
        self.first_output_s: float | None = None
        # The provider, as far as it is known by now. None before.
        self.route: RouteLike | None = None

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since it was made."""
        return time.perf_counter() - self._began

    def note_connection(self, *, reused: bool) -> None:
        """Note that there is a connection to send on."""
        self.connected_s, self.connection_reused = self.elapsed_s, reused

    def note_headers(self, route: RouteLike) -> None:
        """Note that the status and headers came, which name the provider."""
        self.headers_s, self.route = self.elapsed_s, route

    def note_output(self) -> None:
        """Note that a piece of output came. The first counts."""
        if self.first_output_s is None:
            self.first_output_s = self.elapsed_s


CURRENT_TIMING: ContextVar[Timing | None] = ContextVar("speko_timing", default=None)
"""Stopwatch of the call that the task makes. None outside an adapter's call."""
