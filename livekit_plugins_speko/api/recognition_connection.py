"""One connection of a streaming recognition: a task that sends, and one that receives."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SpekoApiError
from .stt_messages import (
    END,
    FLUSH,
    End,
    Failure,
    Ready,
    Transcript,
    Word,
    build_wav_header,
    parse_frame,
)
from .unconfirmed_audio import Flush
from .websocket import SocketLost, WebSocket

if TYPE_CHECKING:
    from .recognition import Recognition


class Renewed(Exception):
    """The connection was closed to open another one with other options."""


class Connection:
    """One connection from its config frame to its end. Thrown away with it."""

    def __init__(self, ws: WebSocket, stream: Recognition) -> None:
        """Use `ws`, which is open, for `stream`."""
        self._ws = ws
        self._stream = stream
        self._opened_s = stream.now_s
        # Time of the last audio sent. None before the first.
        self._audio_s: float | None = None
        # True once a transcript came.
        self._has_transcript = False
        # True once the end of the input was sent.
        self.end_sent = False
        # True once a final came after it.
        self.final_after_end = False
        # The problem that the service reported, unless a transcript came since.
        self._failure: Failure | None = None
        # True once another connection is to take the place of this one.
        self._renewing = False
        # True once it is being closed: nothing is waited for any more.
        self._is_over = False
        # Looks again after a failure, and after a request for other options. None without one.
        self._grace: asyncio.TimerHandle | None = None
        self._quiet: asyncio.TimerHandle | None = None

    @property
    def idle_s(self) -> float:
        """Seconds since audio was sent, or since the connection opened."""
        return self._stream.now_s - (self._opened_s if self._audio_s is None else self._audio_s)

    @property
    def is_good(self) -> bool:
        """True if the connection was of use: it lived for long with audio, or recognised."""
        lived = self._stream.now_s - self._opened_s >= self._stream.bounds.healthy
        return self._has_transcript or (lived and self._audio_s is not None)

    async def run(self) -> None:
        """Send and receive until the service has said that it is done.

        Raises:
            SocketLost: The connection ended before.
            Renewed: Another one is to take its place.
        """
        sender = asyncio.create_task(self._send(), name="speko_stt_send")
        try:
            await self._receive()
        except SocketLost as lost:
            if self._renewing:
                raise Renewed from None
            if self._failure is not None:
                raise SocketLost(
                    f"Speko reported {self._failure.code}: {self._failure.message}",
                    code=lost.code,
                    reason=lost.reason,
                ) from None
            raise
        finally:
            self._is_over = True
            for timer in (self._grace, self._quiet):
                if timer is not None:
                    timer.cancel()
            sender.cancel()
            try:
                await asyncio.wait([sender])
            finally:  # also when the stream is closed at this moment
                await self._ws.close()
            if not sender.cancelled():
                sender.result()  # raises a bug

    async def _send(self) -> None:
        try:
            self._stream.renewal_due = False
            await self._ws.send_text(self._stream.options.config())
            while not self._renewing:
                await self._send_next()
            await self._ws.close()
        except ConnectionError:
            self._ws.abort()  # the task that receives reports the loss
        except Exception:
            self._ws.abort()
            raise

    async def _send_next(self) -> None:
        """Send the next item, or wait for it."""
        stream = self._stream
        item = stream.audio.take(stream.now_s)
        if item is None and stream.ended and not self.end_sent:
            self.end_sent = True
            await self._ws.send_text(END)
        elif item is None:
            stream.pushed.clear()
            await stream.pushed.wait()
        elif isinstance(item, Flush):
            await self._ws.send_text(FLUSH)
        else:
            if self._audio_s is None:
                await self._ws.send_bytes(build_wav_header(stream.options.sample_rate))
            self._audio_s = stream.now_s
            await self._ws.send_bytes(item)
            stream.sink.on_sent(len(item))

    async def _receive(self) -> None:
        while True:
            data = await self._ws.receive()
            try:
                frame = parse_frame(data)
            except SpekoApiError as error:
                # What it said is recognised again on another connection.
                raise SocketLost(str(error)) from None
            if isinstance(frame, Transcript):
                self._take_transcript(frame)
                if frame.is_final and self._renew_if_quiet():
                    raise Renewed
            elif isinstance(frame, Ready):
                self._stream.sink.on_event(frame)
            elif isinstance(frame, Failure):
                self._take_failure(frame)
            elif isinstance(frame, End):
                if self.end_sent:
                    return
                raise SocketLost("Speko ended the recognition in the middle of the call.")

    def _take_transcript(self, frame: Transcript) -> None:
        stream = self._stream
        self._has_transcript = True
        self._failure = None
        event = self._on_stream_time(frame)
        if not frame.is_final:
            stream.segment_open = stream.segment_open or bool(frame.text.strip())
        else:
            stream.segment_open = False
            self.final_after_end = self.end_sent
            if frame.text.strip():
                stream.note_final()
                stream.audio.confirm(stream.now_s, frame.end_s)
            else:
                stream.audio.settle_flush(stream.now_s)
        stream.sink.on_event(event)

    def _on_stream_time(self, frame: Transcript) -> Transcript:
        if frame.words is None:
            return frame
        place = self._stream.audio.stream_s
        words = tuple(
            Word(word.text, place(word.start), place(word.end, end=True), word.confidence)
            for word in frame.words
        )
        return replace(frame, words=words)

    def _take_failure(self, failure: Failure) -> None:
        """Report a problem; one that ends recognition without a close ends the connection."""
        failure = replace(failure, message=self._ws.redact(failure.message))
        self._stream.sink.on_event(failure)
        if self._failure is None:
            self._failure = failure
            if self._grace is not None:  # that of an earlier problem, after which it went on
                self._grace.cancel()
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(self._stream.bounds.error_grace, self._end_grace)

    def _end_grace(self) -> None:
        if self._failure is not None:
            self._ws.abort()

    def renew(self) -> None:
        """Make room for a connection with other options, once nothing is being said.

        That is after the next final; or now, where none is due: what no final covers is recognised
        again. Without interim results a final may be due though nothing shows it.
        """
        if self._is_over:
            return
        if self._quiet is not None:
            self._quiet.cancel()
        stream = self._stream
        wait_s = stream.bounds.quiet * (1 if stream.options.interim_results else 5)
        if stream.audio.is_empty and not self._is_final_due:
            wait_s = 0.0
        self._quiet = asyncio.get_running_loop().call_later(wait_s, self._end_quiet)

    @property
    def _is_final_due(self) -> bool:
        stream = self._stream
        return stream.segment_open or stream.audio.awaits_final(stream.now_s)

    def _end_quiet(self) -> None:
        self._quiet = None
        if self._renew_if_quiet():
            self._stream.pushed.set()
        elif self._stream.renewal_due and not self._stream.ended:
            self.renew()

    def _renew_if_quiet(self) -> bool:
        stream = self._stream
        due = stream.renewal_due and not stream.ended
        if due and not self._is_final_due:
            self._renewing = True
        return self._renewing
