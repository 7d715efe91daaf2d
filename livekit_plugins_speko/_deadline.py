"""A bound on silence: how long a call may wait for its next piece of output."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType


class Deadline:
    """Ends its ``with`` block with TimeoutError when nothing was heard for some seconds.

    It bounds each wait, never the whole: `restart` begins a new one. It exists because a restart
    happens for every chunk of audio, where a timer made anew each time costs more than the chunk;
    this one only writes down the time and looks at it when its timer rings. Used by one task.

    Before Python 3.11 a task can't tell who cancelled it: a cancellation from outside that comes in
    the moment of the ring is taken for the ring.
    """

    def __init__(self, seconds: float) -> None:
        """Bound each wait to `seconds`."""
        self._seconds = seconds
        # The loop's clock when the current wait began.
        self._since = 0.0
        # The ringing timer; None outside the block.
        self._timer: asyncio.TimerHandle | None = None
        # The task inside the block; None outside of it.
        self._task: asyncio.Task[object] | None = None
        # Whether it was this object that cancelled the task.
        self._rang = False
        # How often the task had been cancelled before the block; kept from Python 3.11 on.
        self._cancelled_before = 0

    def __enter__(self) -> Deadline:
        self._task = asyncio.current_task()
        if sys.version_info >= (3, 11) and self._task is not None:
            self._cancelled_before = self._task.cancelling()
        self._since = asyncio.get_running_loop().time()
        self._set_timer(self._seconds)
        return self

    def restart(self) -> None:
        """Begin a new wait: a piece of output came."""
        self._since = asyncio.get_running_loop().time()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task, self._task = self._task, None
        if not self._rang or task is None:
            return
        if sys.version_info >= (3, 11) and task.uncancel() > self._cancelled_before:
            return  # someone else cancelled it too, and that one counts
        if exc_type is not None and issubclass(exc_type, asyncio.CancelledError):
            # Not from the cancellation, which nobody asked for: LiveKit would name it as the cause.
            raise TimeoutError(f"nothing came for {self._seconds:g} s") from None

    def _set_timer(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        left = self._since + self._seconds - asyncio.get_running_loop().time()
        if left > 0:
            self._set_timer(left)
        elif self._task is not None:
            self._rang = True
            self._task.cancel()
