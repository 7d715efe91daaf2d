"""Waiting for what the gateway does, and making it wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def within(awaitable: Awaitable[T], within_s: float, what: str) -> T:
    """Awaits something for a while and says what was missed when it does not come.

    Args:
        awaitable: What is waited for. It is cancelled when the time is over.
        within_s: How long to wait, in seconds.
        what: The thing that should have happened, for the error.

    Returns:
        What the awaitable returned.

    Raises:
        TimeoutError: The time is over.
    """
    try:
        return await asyncio.wait_for(awaitable, within_s)
    except asyncio.TimeoutError:
        raise TimeoutError(f"waited {within_s} s, but {what} did not happen") from None


class Changes:
    """Wakes whoever waits for something about a shared state to become true.

    Any number of tasks of one event loop may wait at once.
    """

    def __init__(self) -> None:
        """Makes one that nobody waits for yet."""
        # Set on every change; whoever waits clears it before the next look.
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Lets everyone who waits look at the state again."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns as soon as the condition holds.

        Args:
            condition: Called after each change. It must not wait.
        """
        while not condition():
            self._changed.clear()
            await self._changed.wait()


class Gate:
    """A place in an answer where the gateway stops until a test lets it go on.

    Put it between the pieces of a content. One gate may stand in several answers: once open, it
    stays open for all of them. It belongs to the event loop that the gateway runs in.

    Example:
        `Reply(["It is ", gate, "noon."])` sends `It is `, and `noon.` after `gate.open()`.
    """

    def __init__(self) -> None:
        """Makes a closed gate."""
        # Set once the gateway has stopped here for the first time.
        self._reached = asyncio.Event()
        # Set by the test, for good.
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Lets the gateway go on, now and whenever it comes here again."""
        self._opened.set()

    async def reached(self, *, within_s: float = 10.0) -> None:
        """Waits until the gateway stands at this gate.

        Everything before the gate has been written to the socket by then.

        Args:
            within_s: How long to wait, in seconds.

        Raises:
            TimeoutError: The gateway did not come here in time.
        """
        await within(self._reached.wait(), within_s, "the gateway coming to this gate")

    async def hold(self) -> None:
        """Stops the caller until the gate is open. Engines may call it too."""
        self._reached.set()
        await self._opened.wait()
