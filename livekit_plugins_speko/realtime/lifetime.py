"""Policies of a connection's life: when it is renewed, and how often it is made again."""

from __future__ import annotations

import time

from livekit.agents import APIConnectOptions

LATEST_S = 1.0
"""A session is renewed so many seconds before its end, whatever is under way."""

EARLIEST_S = 60.0
"""Longest time, in seconds, before its end at which a quiet moment counts."""


class Lifetime:
    """The life of one session of the service, in seconds of the loop's own clock."""

    def __init__(self, *ends: float | None) -> None:
        """Begin it now.

        Args:
            ends: Ends as times of day, in seconds; None where it is not known. The earliest
                counts. One that is over already is the doing of a clock that is wrong.
        """
        now = time.time()
        left = [end - now for end in ends if end is not None and end - now > LATEST_S]
        self._ends_at = time.monotonic() + min(left) if left else None
        # From then on a quiet moment is used. None without an end.
        self._window_s = min(EARLIEST_S, min(left) / 3) if left else None

    @property
    def left_s(self) -> float | None:
        """Return the seconds until its end; None without one."""
        return None if self._ends_at is None else self._ends_at - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Return True once it must be renewed, or has ended."""
        return self.left_s is not None and self.left_s <= LATEST_S

    @property
    def until_window_s(self) -> float | None:
        """Return the seconds until a quiet moment counts; None without an end."""
        if self.left_s is None or self._window_s is None:
            return None
        return self.left_s - self._window_s


class Attempts:
    """Counts the attempts to connect since the last real traffic."""

    def __init__(self, conn_options: APIConnectOptions) -> None:
        """Allow as many as LiveKit's options say."""
        self._options = conn_options
        # Failed attempts, and connections that were lost, since the last real traffic.
        self._failed = 0

    def succeeded(self) -> None:
        """Count anew, because there was real traffic. A connection alone does not count."""
        self._failed = 0

    def fail(self) -> float | None:
        """Count a failure; return the seconds to wait, or None if it was the last attempt."""
        self._failed += 1
        if self._failed > self._options.max_retry:
            return None
        return self._options._interval_for_retry(self._failed - 1)
