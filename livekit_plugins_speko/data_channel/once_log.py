"""A log of problems that names each of them once, so that a flood does not fill it."""

from __future__ import annotations

from typing import Any

from ..log import logger


class OnceLog:
    """The problems that one channel has named."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def warn(self, problem: str, **facts: Any) -> None:
        """Log a problem, the first time."""
        if problem not in self._named:
            self._named.add(problem)
            logger.warning(problem, extra=facts)
