"""Waiting for the gateway, and making the gateway wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def within(awaitable: Awaitable[T], within_s: float, what: str) -> T:
    """Await something for a limited time, with an error that names it.

    Args:
        awaitable: The thing to await. It is cancelled when the time is over.
        within_s: The longest wait, in seconds.
        what: A name for what is awaited, for the error.

    Returns:
        The awaitable's result.

    Raises:
        TimeoutError: The time is over.
    """
    try:
        return await asyncio.wait_for(awaitable, within_s)
    except asyncio.TimeoutError:
        raise TimeoutError(f"waited {within_s} s, but {what} did not happen") from None


class Changes:
    """Wakes tasks that wait for a condition on shared state.

    Any number of tasks of one event loop may wait at once.
    """

    def __init__(self) -> None:
        """Make one without waiting tasks."""
        # Set at every change; a waiting task clears it before it checks again.
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Let every waiting task check its condition again."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as the condition holds.

        Args:
            condition: Called after each change. It must not block.
        """
        while not condition():
            self._changed.clear()
            await self._changed.wait()


class Gate:
    """A place in an answer where the gateway stops until a test opens it.

    Put it between the pieces of a content. Several answers may share a gate: once open, it stays
    open for all of them. It belongs to the event loop that the gateway runs in.

    Example:
        `Reply(["It is ", gate, "noon."])` sends `It is `, and `noon.` after `gate.open()`.
    """

    def __init__(self) -> None:
        """Make a closed gate."""
        # Set when the gateway has stopped here for the first time.
        self._reached = asyncio.Event()
        # Set by the test, for good.
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let the gateway continue, now and every time it reaches this gate again."""
        self._opened.set()

    async def reached(self, *, within_s: float = 10.0) -> None:
        """Wait until the gateway has reached this gate.

        By then everything before the gate has been written to the socket.

        Args:
            within_s: The longest wait, in seconds.

        Raises:
            TimeoutError: The gateway did not get here in time.
        """
        await within(self._reached.wait(), within_s, "the gateway coming to this gate")

    async def hold(self) -> None:
        """Wait until the gate is open. Engines may call it too."""
        self._reached.set()
        await self._opened.wait()
