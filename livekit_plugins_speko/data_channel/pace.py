"""A bound on how many things happen in a second. No I/O."""

from __future__ import annotations

from collections import deque


class Pace:
    """Allows so many steps in any second. Used by one task, or by callbacks of one loop."""

    def __init__(self, per_second: int) -> None:
        """Allow `per_second` steps."""
        self._per_second = per_second
        # Times of the latest steps, in seconds of the clock that `allows` is given.
        self._steps: deque[float] = deque(maxlen=per_second)

    def allows(self, now: float) -> bool:
        """Return True, and count the step, unless as many came within the second before `now`."""
        if len(self._steps) == self._per_second and now - self._steps[0] < 1.0:
            return False
        self._steps.append(now)
        return True
