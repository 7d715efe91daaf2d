"""When the parts of one call came. The adapter begins it; the transport below fills it in."""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

_current: ContextVar[Timing | None] = ContextVar("speko_timing", default=None)


class Timing:
    """A stopwatch for one call, in seconds since its block was entered. Used by one task.

    Inside its block the transport finds it (`Timing.current`), so that the client's methods need
    no option for it, which the official SDK's client would not have.
    """

    def __init__(self) -> None:
        # The clock when the block was entered.
        self._began = 0.0
        # How to leave the block. None outside of it.
        self._token: Token[Timing | None] | None = None
        # When a connection was there to send on; None before, and with another client.
        self.connected_s: float | None = None
        # Whether that connection had been open before; None as above.
        self.connection_reused: bool | None = None
        # When the status and headers came; None as above.
        self.headers_s: float | None = None
        # When the first output came. None before.
        self.first_output_s: float | None = None
        # Who answered, as far as it is known by now: anything with a `Route`'s attributes.
        self.route: Any = None

    @staticmethod
    def current() -> Timing | None:
        """The stopwatch of the call that this task makes, if it has one."""
        return _current.get()

    def __enter__(self) -> Timing:
        self._began = time.perf_counter()
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the block was entered."""
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
