"""Helpers for asyncio: things closed whatever happens meanwhile, and a bound on silence."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:  # Python 3.10

    class Timeout:
        """The ``asyncio.Timeout`` of newer Pythons.

        That of async-timeout cancels the task that sets its time, and not the one that entered.
        """

        def __init__(self, when: float | None) -> None:
            """End the block at `when`, on the loop's clock; None for never."""
            self._when = when
            # Task that entered. None before that.
            self._task: asyncio.Task[object] | None = None
            # Cancels it. None while the block has no end.
            self._timer: asyncio.TimerHandle | None = None
            # True once it did.
            self._expired = False

        async def __aenter__(self) -> Timeout:
            self._task = asyncio.current_task()
            self.reschedule(self._when)
            return self

        async def __aexit__(
            self,
            exc_type: type[BaseException] | None,
            exc: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            self.reschedule(None)
            if self._expired and exc_type is asyncio.CancelledError:
                raise asyncio.TimeoutError from exc

        def reschedule(self, when: float | None) -> None:
            """Change the end of the block. Any task may do so, and any callback of the loop."""
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if when is not None:
                self._timer = asyncio.get_running_loop().call_at(when, self._expire)

        def _expire(self) -> None:
            assert self._task is not None, "the block was entered"
            self._expired = True
            self._task.cancel()

    def timeout(delay: float | None) -> Timeout:
        """End an ``async with`` block with ``asyncio.TimeoutError`` after `delay` seconds."""
        return Timeout(None if delay is None else asyncio.get_running_loop().time() + delay)


__all__ = ["Deadline", "close_all", "closing", "finish", "timeout", "until_done"]

T = TypeVar("T")


@asynccontextmanager
async def closing(items: AsyncIterable[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Iterate over `items` and close the iterator in the end, if it can be closed.

    Unlike `contextlib.aclosing` it takes iterators that are no generators, which a client other
    than `Speko` may return.
    """
    iterator = items.__aiter__()
    try:
        yield iterator
    finally:
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()


async def close_all(*closes: Callable[[], Awaitable[object]]) -> None:
    """Call these one after the other, and all of them.

    The others are called also when one fails, or the caller is cancelled meanwhile; the error
    follows then.
    """
    async with AsyncExitStack() as stack:
        for close in reversed(closes):
            stack.push_async_callback(close)


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Do something that ends soon, to its end, also when the caller is cancelled meanwhile.

    The cancellation follows then.
    """
    task = asyncio.create_task(work)
    await until_done(task)
    return task.result()


async def until_done(task: asyncio.Task[Any]) -> None:
    """Wait for the end of another task, also when the caller is cancelled meanwhile.

    The cancellation follows then.
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


class Deadline:
    """An ``async with`` block that ends with TimeoutError after some seconds without output.

    It bounds each wait, never the whole: `restart` begins a new wait. Used by one task.

    Before Python 3.11 a task cannot tell who cancelled it: a cancellation from outside that arrives
    at the very moment of the timeout counts as the timeout.
    """

    def __init__(self, seconds: float) -> None:
        """Bound each wait to `seconds`."""
        self._seconds = seconds
        # Ends the block. It has no time of its own until the wait is over.
        self._timeout = timeout(None)
        # The end of the wait under way, on the loop's clock.
        self._ends_at = 0.0
        # Fires when a wait would have ended. None before `__aenter__`, which runs on the loop.
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Deadline:
        await self._timeout.__aenter__()
        self.restart()
        self._set_timer()
        return self

    def restart(self) -> None:
        """Begin a new wait, because a piece of output came. The timer notices when it fires."""
        self._ends_at = asyncio.get_running_loop().time() + self._seconds

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._ends_at, self._look)

    def _look(self) -> None:
        """End the block, unless a new wait has begun since the timer was set."""
        now = asyncio.get_running_loop().time()
        if now < self._ends_at:
            self._set_timer()
        else:
            self._timeout.reschedule(now)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._timer is not None
        self._timer.cancel()
        try:
            await self._timeout.__aexit__(exc_type, exc, traceback)
        except (TimeoutError, asyncio.TimeoutError):
            # Without the cancellation as its cause: LiveKit would report the call as cancelled.
            raise TimeoutError(f"nothing came for {self._seconds:g} s") from None
