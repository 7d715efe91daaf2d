"""The attempts to connect again: how long to wait, and when to give up. No I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..errors import CONNECTION_LOST, SpekoApiError

MAX_FLAPS = 50
"""Most connections of one stream that open and drop without having been of use."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The bounds of a stream, in seconds. Tests shorten them.

    Attributes:
        idle: Time without audio after which the service closes as a matter of routine.
        healthy: Lifetime after which a connection that was sent audio counts as good.
        end_wait: Longest wait for the last final.
        backoff: Longest wait before the second attempt; each later one may wait twice as long.
        most_backoff: Longest wait before any attempt.
        error_grace: Time for a transcript after the service reported a problem.
        quiet: Time without a transcript after which nothing is being said.
    """

    idle: float = 5.0
    healthy: float = 10.0
    end_wait: float = 2.0
    backoff: float = 0.25
    most_backoff: float = 5.0
    error_grace: float = 2.0
    quiet: float = 1.0


class Reconnects:
    """Counts the failures since the last good connection."""

    def __init__(self, timeout_s: float, bounds: Bounds) -> None:
        """Give up once `timeout_s` seconds have passed since the last good connection."""
        self._timeout_s = timeout_s
        self._bounds = bounds
        # Time at which the last good connection ended, the first attempt failed, or the first
        # connection dropped. None while no connection is wanted.
        self._began_s: float | None = None
        # Failures since then.
        self._failures = 0
        # Connections of the whole stream that were of no use.
        self._flaps = 0
        # True if the last failure was such a connection.
        self._flapping = False
        # The last failure. None before the first, and after a good connection.
        self._fault: Exception | None = None
        # Shortest wait that the service requested.
        self._asked_s = 0.0

    def rest(self) -> None:
        """Note that no connection is wanted, or that the next one replaces a working one."""
        self._began_s = None
        self._failures = 0
        self._fault = None
        self._asked_s = 0.0

    def lost(self, now_s: float, fault: Exception, *, good: bool) -> None:
        """Note that a connection dropped."""
        if good or not self._failures:
            # The time without a connection counts, not the lifetime of one that was there.
            self._began_s = now_s
        if good:
            self._failures = 0
        else:
            self._flaps += 1
        self._flapping = not good
        self._failures += 1
        self._fault = fault
        self._asked_s = 0.0

    def failed(self, fault: Exception) -> None:
        """Note that an attempt failed."""
        self._flapping = False
        self._failures += 1
        self._fault = fault
        self._asked_s = getattr(fault, "retry_after", None) or 0.0

    def wait_s(self, now_s: float) -> float:
        """Return the seconds to wait before the next attempt.

        Raises:
            SpekoApiError: There is to be none; code ``CONNECTION_LOST``.
        """
        if self._began_s is None:
            self._began_s = now_s
        wait_s = 0.0
        if self._failures:
            most = self._bounds.backoff * 2 ** min(self._failures - 1, 16)
            most = min(most, self._bounds.most_backoff)
            wait_s = max(random.uniform(most / 2, most), self._asked_s)
        if self._flaps >= MAX_FLAPS or (self._failures and wait_s >= self.left_s(now_s)):
            raise SpekoApiError(self._reason(), 0, CONNECTION_LOST) from self._fault
        return wait_s

    def left_s(self, now_s: float) -> float:
        """Return the seconds in which an attempt may still be made."""
        began_s = now_s if self._began_s is None else self._began_s
        return began_s + self._timeout_s - now_s

    def _reason(self) -> str:
        if self._flaps >= MAX_FLAPS:
            return (
                f"Recognition gave up: {self._flaps} connections opened and dropped: {self._fault}"
            )
        how = "connections open and drop" if self._flapping else "no connection"
        return f"Recognition gave up after {self._timeout_s:g} s with {how}: {self._fault}"
