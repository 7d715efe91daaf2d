"""When the parts of one call came. An adapter reads it; the transport below fills it in."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any


class Timing:
    """A stopwatch for one call, in seconds since it was made. Used by one task.

    The transport finds it in `CURRENT_TIMING`, so that the client's methods need no option for it,
    which the official SDK's client would not have.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        # When a connection was there to send on. None before, and with another client.
        self.connected_s: float | None = None
        # Whether that connection had been open before; None as above.
        self.connection_reused: bool | None = None
        # When the status and headers came; None as above.
        self.headers_s: float | None = None
        # When the first output came. None before.
        self.first_output_s: float | None = None
        # Who answered, as far as it is known by now: anything with a `Route`'s attributes.
        self.route: Any = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self._began

    def note_connection(self, *, reused: bool) -> None:
        """There is a connection to send on."""
        self.connected_s, self.connection_reused = self.elapsed_s, reused

    def note_headers(self, route: Any) -> None:
        """The status and headers came, and say who answered."""
        self.headers_s, self.route = self.elapsed_s, route

    def note_output(self) -> None:
        """A piece of output came. The first counts."""
        if self.first_output_s is None:
            self.first_output_s = self.elapsed_s


CURRENT_TIMING: ContextVar[Timing | None] = ContextVar("speko_timing", default=None)
"""The stopwatch of the call that the task makes. None outside of an adapter's call."""
