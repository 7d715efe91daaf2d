"""How long a rate limit asks to wait, between LiveKit's attempts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit.agents import APIError


class RetryAfter:
    """What a 429 with ``Retry-After`` asks of an adapter's next attempts.

    LiveKit retries after intervals of its own. An attempt made before the service's time is
    refused again, so it waits for it, and so do the adapter's other calls. No attempt waits longer
    than its ``conn_options.timeout``, the silence that a caller is asked to bear: when the service
    asks for more, the call is given up at once, and the next one asks anew.
    """

    def __init__(self) -> None:
        # The loop's clock when the next attempt may be made.
        self._not_before = 0.0

    @asynccontextmanager
    async def heeded(self, patience_s: float) -> AsyncIterator[None]:
        """Wait until an attempt may be made, then heed what comes out of it.

        Args:
            patience_s: Longest wait that an attempt is worth, in seconds.

        Raises:
            APIError: The block's own, not to be retried when the service asks to wait longer.
        """
        clock = asyncio.get_running_loop().time
        left_s = self._not_before - clock()
        if 0 < left_s <= patience_s:
            await asyncio.sleep(left_s)
        try:
            yield
        except APIError as error:
            asked_s = getattr(error.__cause__, "retry_after", None)
            if asked_s is not None and asked_s > patience_s:
                error.retryable = False
            elif asked_s is not None:
                self._not_before = max(self._not_before, clock() + asked_s)
            raise
