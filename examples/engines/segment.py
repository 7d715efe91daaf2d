"""An utterance that grows: Whisper runs over it again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np

from .recogniser import Recogniser

# New audio after which the segment is recognised again, in seconds; on a slow machine twice as much
# as the last pass took, so that a final does not wait for long.
INTERIM_EVERY_S = 0.4
# Quieter samples than this (of 32767) are silence.
QUIET = 400
# Silence that is kept before a segment, in seconds.
LEAD_S = 0.3
# Whisper takes 30 s at once.
MOST_S = 25.0

Report = Callable[[str], Awaitable[None]]


class Segment:
    """The audio since the last final: mono int16 PCM. Used by one task."""

    def __init__(
        self,
        recogniser: Recogniser,
        rate_hz: int,
        report: Report,
        *,
        hints: str = "",
        every_s: float = INTERIM_EVERY_S,
    ) -> None:
        """Begin without audio.

        Args:
            recogniser: The model.
            rate_hz: The rate of the audio.
            report: Takes each new text while the segment grows.
            hints: Words for the model to expect.
            every_s: New audio after which it is recognised again, in seconds.
        """
        self._recogniser = recogniser
        self._rate_hz = rate_hz
        self._report = report
        self._hints = hints
        self._every_s = every_s
        self._pcm = bytearray()
        # The end of the last loud piece of audio, in bytes of the segment; 0 while it is silent.
        self._loud_to = 0
        # The end of the audio that the last pass was given, in bytes, and its text.
        self._passed, self._text = 0, ""
        # Seconds that it took.
        self._took_s = 0.0
        # The pass that is under way. None without one.
        self._pass: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """True once it is as long as Whisper takes: it has to be finished."""
        return self._seconds(len(self._pcm)) > MOST_S

    def add(self, pcm: bytes) -> None:
        """Take audio; recognise the segment again when it has grown enough."""
        self._pcm += pcm
        if np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32)).max(initial=0) > QUIET:
            self._loud_to = len(self._pcm)
        elif not self._loud_to:
            del self._pcm[: -2 * round(LEAD_S * self._rate_hz)]
        if not self.is_full and self._is_due():
            self._pass = asyncio.create_task(self._recognise_and_report(), name="segment")

    async def finish(self) -> str:
        """Return the text of the segment, and begin the next one."""
        await self._passes()
        if self._passed < self._loud_to:
            await self._recognise()
        text = self._text
        self._pcm.clear()
        self._loud_to, self._passed, self._text = 0, 0, ""
        return text

    async def aclose(self) -> None:
        """Wait for the pass that is under way: a thread cannot be cancelled."""
        if self._pass is not None:
            self._pass.cancel()
            await asyncio.gather(self._pass, return_exceptions=True)

    def _is_due(self) -> bool:
        if self._pass is not None and not self._pass.done():
            return False
        new_s = self._seconds(len(self._pcm) - self._passed)
        return self._loud_to > self._passed and new_s >= max(self._every_s, 2 * self._took_s)

    def _seconds(self, size: int) -> float:
        return size / (2 * self._rate_hz)

    async def _passes(self) -> None:
        """Wait for the pass that is under way, and raise its error."""
        if self._pass is not None:
            under_way, self._pass = self._pass, None
            await under_way

    async def _recognise_and_report(self) -> None:
        known = self._text
        await self._recognise()
        if self._text != known:
            await self._report(self._text)

    async def _recognise(self) -> None:
        pcm = bytes(self._pcm)
        began_s = time.monotonic()
        text = await self._recogniser.recognise(pcm, self._rate_hz, self._hints)
        self._took_s = time.monotonic() - began_s
        self._passed, self._text = len(pcm), text
