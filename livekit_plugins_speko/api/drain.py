"""What stands behind the last event, or the last sample, of an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx

from .._deadline import Deadline
from ..errors import SpekoApiError

DRAIN_S = 0.1
"""Longest wait, in seconds, for the end of an answer that has said all it had to say."""


async def drain(items: AsyncIterator[Any]) -> None:
    """Read an answer to its end, so that its connection can be used again.

    The end stands right behind what was read last. A service that keeps it back gets no wait for
    it: the connection is closed then. What goes wrong there costs nobody anything.
    """
    with suppress(TimeoutError, httpx.HTTPError, SpekoApiError), Deadline(DRAIN_S):
        async for _ in items:
            pass
