"""Recognition while the caller speaks, for the local gateway: Whisper over the growing segment."""

from __future__ import annotations

from livekit_plugins_speko.testing import Final, Interim, RecognitionConnection

from .recogniser import Recogniser
from .segment import Segment


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

        async def report(text: str) -> None:
            await connection.send(Interim(text))

        hints = ", ".join(connection.config.get("keywords", []))
        segment = Segment(self._recogniser, connection.sample_rate, report, hints=hints)
        try:
            async for frame in connection.incoming():
                if frame.kind == "audio":
                    segment.add(frame.pcm)
                if frame.kind != "audio" or segment.is_full:
                    await connection.send(Final(await segment.finish()))
                if frame.kind == "end":
                    return
        finally:
            await segment.aclose()
