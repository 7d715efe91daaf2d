"""The stream that `Speko.transcribe_stream` returns."""

from __future__ import annotations

import asyncio
from types import TracebackType

from .recognition import Outcome, Recognition, StreamEvent, StreamOptions
from .reconnects import Bounds
from .stt_messages import Transcript
from .websocket import Sockets

MOST_WAITING_S = 30.0
"""Most audio that waits to be sent, in seconds, before `TranscribeStream.send_audio` blocks."""


class TranscribeStream:
    """Recognition while the audio is still being spoken.

    An async context manager, and an async iterator of events with a ``type``: ``ready``
    (`Ready`), ``transcript`` (`Transcript`) and ``error`` (`Failure`). A connection that drops is
    made again, without a word lost or repeated. It owns its task; one task may send while another
    one iterates.
    """

    def __init__(
        self, sockets: Sockets, options: StreamOptions, *, bounds: Bounds | None = None
    ) -> None:
        """Connect nothing yet. `Speko.transcribe_stream` makes it."""
        self._sockets = sockets
        self._options = options
        self._bounds = bounds
        # The stream under way. None before the context manager is entered.
        self._recognition: Recognition | None = None
        # Runs it. None as above.
        self._task: asyncio.Task[None] | None = None
        # Events that wait to be iterated over, then None.
        self._events: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        # Set when audio was sent, or will never be.
        self._sent = asyncio.Event()

    async def __aenter__(self) -> TranscribeStream:
        self._recognition = Recognition(self._sockets, self._options, self, bounds=self._bounds)
        self._task = asyncio.create_task(self._recognition.run(), name="speko_transcribe_stream")
        self._task.add_done_callback(self._on_done)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream at once. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def send_audio(self, pcm: bytes) -> None:
        """Append audio.

        Waits while more than 30 s of it wait for the connection.

        Args:
            pcm: Mono int16 little-endian samples at the stream's rate, of any length.

        Raises:
            RuntimeError: The stream is not open, or `end` was called.
            SpekoApiError: The stream failed.
        """
        recognition = self._open("send_audio")
        if recognition.ended:
            raise RuntimeError("TranscribeStream: send_audio() after end().")
        recognition.push(bytes(pcm))
        while recognition.audio.unsent_s > MOST_WAITING_S:
            self._sent.clear()
            await self._sent.wait()
            self._open("send_audio")

    async def flush(self) -> None:
        """Ask for the final of what was sent so far. Not every provider obeys.

        Raises:
            RuntimeError: The stream is not open.
            SpekoApiError: The stream failed.
        """
        self._open("flush").flush()

    async def end(self) -> None:
        """End the audio. The iteration ends with the last final, within 2 s.

        Raises:
            RuntimeError: The stream is not open.
            SpekoApiError: The stream failed.
        """
        self._open("end").end()

    def __aiter__(self) -> TranscribeStream:
        return self

    async def __anext__(self) -> StreamEvent:
        """Return the next event.

        Raises:
            StopAsyncIteration: The stream is over.
            SpekoAuthError: The key was refused.
            SpekoApiError: Another permanent refusal, or no connection lasts (`CONNECTION_LOST`).
        """
        event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)  # for the next call
            self._raise_failure()
            raise StopAsyncIteration
        return event

    def _open(self, method: str) -> Recognition:
        if self._recognition is None:
            raise RuntimeError(
                f"TranscribeStream: {method}() before the stream is open. Use it in an "
                "`async with` block."
            )
        self._raise_failure()
        return self._recognition

    def _raise_failure(self) -> None:
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            task.result()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        assert self._recognition is not None, "its task"
        self._recognition.close()
        if not task.cancelled():
            task.exception()  # raised by the iteration
        self._events.put_nowait(None)
        self._sent.set()

    def on_event(self, event: StreamEvent) -> None:
        """Take an event; an empty final says nothing. Called by the stream's own task."""
        if not isinstance(event, Transcript) or event.text.strip():
            self._events.put_nowait(event)

    def on_sent(self, size: int) -> None:
        """Let `send_audio` continue."""
        self._sent.set()

    def on_attempt(self) -> None:
        """Do nothing."""

    def on_connected(self) -> None:
        """Do nothing."""

    def on_closed(self, outcome: Outcome) -> None:
        """Do nothing."""
