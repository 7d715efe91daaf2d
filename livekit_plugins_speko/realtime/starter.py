"""The beginning of a session's link: once its configuration is complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from ..log import logger

CONFIGURATION_WAIT_S = 0.02
"""Wait, in seconds, for the rest of the configuration, which may come piece by piece."""


class Starter:
    """Runs a link in a task, which it owns. Used by one task."""

    def __init__(
        self, run: Callable[[], Coroutine[None, None, None]], failed: Callable[[Exception], None]
    ) -> None:
        """Start nothing.

        Args:
            run: The link's coroutine.
            failed: Takes a programming error of it.
        """
        self._run = run
        self._failed = failed
        # Starts the link a moment after the first piece of the configuration. None before.
        self._timer: asyncio.TimerHandle | None = None
        # The link's task. None before the configuration is complete.
        self._task: asyncio.Task[None] | None = None
        # True once it was closed: nothing is started any more.
        self._is_closed = False

    @property
    def has_started(self) -> bool:
        """Return True once the configuration was used."""
        return self._task is not None

    def start_soon(self) -> None:
        """Start in a moment: the fallback adapter configures piece by piece."""
        if self._task is None and self._timer is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(CONFIGURATION_WAIT_S, self.start)

    def start(self) -> None:
        """Start, because the configuration is complete."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is None and not self._is_closed:
            self._task = asyncio.create_task(self._run(), name="speko_realtime")
            self._task.add_done_callback(self._on_done)

    async def aclose(self) -> None:
        """End the link, and start none. Safe to call twice."""
        is_first, self._is_closed = not self._is_closed, True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            if is_first:  # a second cancellation would cut the end of its connection
                self._task.cancel()
            await asyncio.wait([self._task])

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """Report a programming error: the session must not live on, deaf."""
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception):
            logger.error("the realtime session failed", exc_info=error)
            self._failed(error)
