"""The one logger of this package."""

from __future__ import annotations

import logging

logger = logging.getLogger("livekit.plugins.speko")
"""Logger of every module here, below LiveKit's own ``livekit`` logger and its handlers."""
