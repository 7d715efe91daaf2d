"""The settings that a page asks for, as far as its author allows them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

from .._aio import timeout
from .once_log import OnceLog
from .packets import OVERRIDES, Overrides, OverridesPacket


class Wishes:
    """The settings that one page asked for so far. Used by callbacks and tasks of one loop."""

    def __init__(self, allowed: Collection[str], log: OnceLog) -> None:
        """Allow some settings; `log` names those that are dropped.

        Raises:
            ValueError: An unknown name in `allowed`.
        """
        if isinstance(allowed, str):
            raise ValueError(
                "SpekoDataChannel: allow_overrides must be a list of names, "
                f"got the string {allowed!r}."
            )
        for name in allowed:
            if name not in OVERRIDES:
                raise ValueError(
                    f"SpekoDataChannel: unknown name {name!r} in allow_overrides. "
                    f"Expected some of: {', '.join(OVERRIDES)}."
                )
        self._allowed = frozenset(allowed)
        self._log = log
        # What was asked for so far; set once anything was.
        self._asked = Overrides()
        self._came = asyncio.Event()
        # Sender of the first overrides. Until the caller is known no other one's count.
        self._sender: str | None = None
        # What `wait` has returned: it is not applied again by a session that starts.
        self._returned = Overrides()

    def take(self, packet: OverridesPacket, sender: str) -> OverridesPacket | None:
        """Note what a page asks for; return what of it is allowed, or None."""
        allowed = self._allowed_of(packet)
        if not allowed.given():
            return None
        if self._sender is None:
            self._sender = sender
        if self._sender == sender:
            self._asked = self._asked.updated(allowed)
            self._came.set()
        return OverridesPacket(allowed)

    async def wait(self, seconds: float) -> Overrides:
        """Return what was asked for; wait for it unless nothing is allowed."""
        if self._allowed:
            with suppress(TimeoutError, asyncio.TimeoutError):
                async with timeout(seconds):
                    await self._came.wait()
        self._returned = self._asked
        return self._asked

    def end(self) -> None:
        """Let nobody wait any longer."""
        self._came.set()

    def not_returned(self) -> tuple[OverridesPacket, str] | None:
        """Return what came since `wait`, and its sender; None if nothing did."""
        if self._asked == self._returned or self._sender is None:
            return None
        return OverridesPacket(self._asked), self._sender

    def _allowed_of(self, packet: OverridesPacket) -> Overrides:
        dropped = sorted({*packet.overrides.given(), *packet.unusable} - self._allowed)
        if dropped:
            self._log.warn("overrides that are not allowed are dropped", overrides=dropped)
        if unusable := sorted(self._allowed.intersection(packet.unusable)):
            self._log.warn("overrides whose values can't be used are dropped", overrides=unusable)
        return packet.overrides.only(self._allowed)
