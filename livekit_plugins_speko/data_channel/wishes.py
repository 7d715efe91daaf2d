"""The settings that pages ask for, as far as their author allows them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import suppress

from .._aio import timeout
from .once_log import OnceLog
from .packets import OVERRIDES, Overrides, OverridesPacket


class Wishes:
    """The settings that pages asked for so far. Used by callbacks and tasks of one loop."""

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
        # What was asked for so far, by sender: who of them is the caller is known later.
        self._asked: dict[str, Overrides] = {}
        # Set once anything was asked for.
        self._came = asyncio.Event()
        # What `wait` has returned, and of whom: a session that starts does not apply it again.
        self._returned: tuple[str, Overrides] | None = None

    def take(self, packet: OverridesPacket, sender: str) -> OverridesPacket | None:
        """Note what a page asks for; return what of it is allowed, or None."""
        allowed = self._allowed_of(packet)
        if not allowed.given():
            return None
        self._asked[sender] = self._asked.get(sender, Overrides()).updated(allowed)
        self._came.set()
        return OverridesPacket(allowed)

    async def wait(self, seconds: float) -> Overrides:
        """Return what the first page asked for; wait for it unless nothing is allowed."""
        if self._allowed:
            with suppress(TimeoutError, asyncio.TimeoutError):
                async with timeout(seconds):
                    await self._came.wait()
        self._returned = next(iter(self._asked.items()), None)
        return Overrides() if self._returned is None else self._returned[1]

    def end(self) -> None:
        """Let nobody wait any longer."""
        self._came.set()

    def not_returned(self) -> Iterator[tuple[OverridesPacket, str]]:
        """Yield what came since `wait`, or of others than it returned, and who sent it."""
        for sender, asked in self._asked.items():
            if (sender, asked) != self._returned:
                yield OverridesPacket(asked), sender

    def _allowed_of(self, packet: OverridesPacket) -> Overrides:
        dropped = sorted({*packet.overrides.given(), *packet.unusable} - self._allowed)
        if dropped:
            self._log.warn("overrides that are not allowed are dropped", overrides=dropped)
        if unusable := sorted(self._allowed.intersection(packet.unusable)):
            self._log.warn("overrides whose values can't be used are dropped", overrides=unusable)
        return packet.overrides.only(self._allowed)
