"""What every adapter says of itself."""

from __future__ import annotations


class SpekoIdentity:
    """Stands before LiveKit's base class, whose answers are "unknown"."""

    @property
    def model(self) -> str:
        """Always ``speko-router``: which model it picks, each answer tells."""
        return "speko-router"

    @property
    def provider(self) -> str:
        """Always ``speko``."""
        return "speko"
