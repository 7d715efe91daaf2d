"""LiveKit's events of a session, up to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Emitter:
    """Emits events of a session until it is closed. Used by one task."""

    def __init__(self, emit: Callable[[Any, Any], Any]) -> None:
        """Emit with LiveKit's ``emit`` of the session."""
        self._emit = emit
        # True from the session's end on, and once its link gave up: nothing follows.
        self.is_closed = False

    def emit(self, event: Any, payload: Any) -> None:
        """Emit an event, unless the session is closed."""
        if not self.is_closed:
            self._emit(event, payload)

    def emit_metrics(self, event: Any, payload: Any) -> None:
        """Emit metrics, which may follow the end."""
        self._emit(event, payload)

    def close(self) -> None:
        """Emit nothing from now on."""
        self.is_closed = True
