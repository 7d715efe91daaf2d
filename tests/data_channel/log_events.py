"""The log as something to wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = "livekit.plugins.speko"


class _Told(logging.Handler):
    """Sets an event at a message."""

    def __init__(self, message: str, event: asyncio.Event) -> None:
        super().__init__()
        self._message, self._event = message, event

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == self._message:
            self._event.set()


@contextmanager
def told(message: str) -> Iterator[asyncio.Event]:
    """Set an event once the package logs a message, at any level."""
    event = asyncio.Event()
    handler, logger = _Told(message, event), logging.getLogger(LOGGER)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield event
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
