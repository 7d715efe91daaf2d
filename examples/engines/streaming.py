"""Recognition while the caller speaks, for the local gateway: Whisper over the growing segment."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from livekit_plugins_speko.testing import Final, Interim, RecognitionConnection

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


class StreamingRecogniser:
    """Recognises English speech as it comes: the engine of `/v1/transcribe/stream`.

    Whisper knows whole utterances only, so the segment is recognised again and again while it
    grows: an utterance of 3 s costs up to seven passes in place of one.
    """

    def __init__(self, recogniser: Recogniser) -> None:
        """Make the engine.

        Args:
            recogniser: The model, which may serve `/v1/transcribe` too.
        """
        self._recogniser = recogniser

    async def __call__(self, connection: RecognitionConnection) -> None:
        """Recognise a connection until its audio ends."""
        segment = Segment(connection, self._recogniser)
        try:
            async for frame in connection.incoming():
                if frame.kind == "audio":
                    await segment.add(frame.pcm)
                else:
                    await segment.finish()
                if frame.kind == "end":
                    return
        finally:
            await segment.aclose()


class Segment:
    """The audio since the last final. Used by one task."""

    def __init__(self, connection: RecognitionConnection, recogniser: Recogniser) -> None:
        self._connection = connection
        self._recogniser = recogniser
        self._bytes_per_s = connection.bytes_per_second
        # Silence that is kept before a segment, in bytes.
        self._lead = 2 * round(LEAD_S * self._bytes_per_s / 2)
        self._hints = ", ".join(connection.config.get("keywords", []))
        self._pcm = bytearray()
        # The end of the last loud piece of audio, in bytes of the segment; 0 while it is silent.
        self._loud_to = 0
        # The end of the audio that the last pass was given, in bytes, and its text.
        self._passed, self._text = 0, ""
        # Seconds that it took.
        self._took_s = 0.0
        # The pass that is under way. None without one.
        self._pass: asyncio.Task[None] | None = None

    async def add(self, pcm: bytes) -> None:
        """Take audio; recognise the segment again when it has grown enough."""
        self._pcm += pcm
        if np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32)).max() > QUIET:
            self._loud_to = len(self._pcm)
        elif not self._loud_to:
            del self._pcm[: -self._lead]
        if len(self._pcm) > MOST_S * self._bytes_per_s:
            await self.finish()
        elif self._is_due():
            self._pass = asyncio.create_task(self._recognise(), name="streaming_recogniser")

    async def finish(self) -> None:
        """Send the final of the segment, and begin the next one."""
        await self._passes()
        if self._passed < self._loud_to:
            await self._recognise(is_final=True)
        await self._connection.send(Final(self._text))
        self._pcm.clear()
        self._loud_to, self._passed, self._text = 0, 0, ""

    async def aclose(self) -> None:
        """Wait for the pass that is under way: a thread cannot be cancelled."""
        if self._pass is not None:
            self._pass.cancel()
            await asyncio.wait([self._pass])

    def _is_due(self) -> bool:
        if self._pass is not None and not self._pass.done():
            return False
        new_s = (len(self._pcm) - self._passed) / self._bytes_per_s
        return self._loud_to > self._passed and new_s >= max(INTERIM_EVERY_S, 2 * self._took_s)

    async def _passes(self) -> None:
        """Wait for the pass that is under way, and raise its error."""
        if self._pass is not None:
            under_way, self._pass = self._pass, None
            await under_way

    async def _recognise(self, *, is_final: bool = False) -> None:
        pcm, known = bytes(self._pcm), self._text
        began_s = time.monotonic()
        text = await self._recogniser.recognise(pcm, self._connection.sample_rate, self._hints)
        self._took_s = time.monotonic() - began_s
        self._passed, self._text = len(pcm), text
        if text != known and not is_final:
            await self._connection.send(Interim(text))
