"""The late rest of a reply that was cut: received, and never heard."""

from __future__ import annotations

import time

QUIET_S = 1.0
"""A rest comes in one go: what follows a pause of this length is another reply."""

UNSTARTED_S = 10.0
"""Longest wait, in seconds, for a reply that was requested and is no longer wanted."""


class LateRest:
    """Recognises what still comes of a reply that was cut. Used by one task.

    The wire names no reply, so its end is recognised by what follows: its usage, the caller's next
    line, a tool call, or a pause. The next reply must not be swallowed.
    """

    def __init__(self) -> None:
        # Time of `time.monotonic` until which audio and words belong to it. None without one.
        self._until: float | None = None
        # True while the usage of a reply that was cut has not come.
        self.owes_usage = False

    def cut(self) -> None:
        """Note that the reply under way was cut."""
        self._until = time.monotonic() + QUIET_S
        self.owes_usage = True

    def abandon(self) -> None:
        """Note that a requested reply, of which nothing came yet, is no longer wanted."""
        self._until = time.monotonic() + UNSTARTED_S

    def overtaken(self) -> None:
        """Note that the caller spoke before a requested reply, which the service cancels."""
        self._until = time.monotonic() + QUIET_S

    def interrupted(self) -> None:
        """Note that the service cancels what it had not begun."""
        if self._until is not None:
            self._until = min(self._until, time.monotonic() + QUIET_S)

    def takes(self) -> bool:
        """Return True if the piece that came belongs to it."""
        if self._until is None:
            return False
        now = time.monotonic()
        if now > self._until:
            self._until = None
            return False
        self._until = now + QUIET_S
        return True

    def end(self) -> None:
        """Note that what follows is another reply."""
        self._until = None

    def reset(self) -> None:
        """Forget it: its connection is gone."""
        self._until, self.owes_usage = None, False
