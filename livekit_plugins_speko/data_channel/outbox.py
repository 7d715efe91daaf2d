"""Sends packets to the caller, one after another, in the background."""

from __future__ import annotations

import asyncio
from collections import deque

from livekit import rtc
from livekit.rtc.participant import PublishDataError

from .._aio import timeout
from ..log import logger

SEND_S = 5.0
"""Longest time that one packet may take, in seconds. A room that has gone may never confirm it."""

MAX_WAITING = 60
"""Most packets that wait to be sent. Then the oldest are left out."""


class Outbox:
    """Packets on their way to one participant. Owns the task that sends them."""

    def __init__(self, room: rtc.Room) -> None:
        """Send into a room."""
        self._room = room
        # (payload, identity of the recipient, topic), oldest first.
        self._waiting: deque[tuple[bytes, str, str]] = deque(maxlen=MAX_WAITING)
        # Sends what waits; None while nothing does.
        self._task: asyncio.Task[None] | None = None
        # True once a failure was logged.
        self._logged = False
        # True after `aclose`.
        self._closed = False

    def send(self, payload: bytes, *, to: str, topic: str | None) -> None:
        """Send a packet to a participant soon."""
        if self._closed:
            return
        self._waiting.append((payload, to, topic or ""))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="speko_data_channel_send")

    async def aclose(self) -> None:
        """Drop what waits."""
        self._closed = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._send(*self._waiting.popleft())
        finally:
            self._task = None

    async def _send(self, payload: bytes, to: str, topic: str) -> None:
        if not self._room.isconnected():
            return
        try:
            async with timeout(SEND_S):
                await self._room.local_participant.publish_data(
                    payload, reliable=True, destination_identities=[to], topic=topic
                )
        except (PublishDataError, TimeoutError, asyncio.TimeoutError) as error:
            if not self._logged:
                self._logged = True
                logger.warning(
                    "a packet to the caller's page could not be sent",
                    extra={"error": type(error).__name__},
                )
