"""One open speech-to-speech connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType

from ..errors import CONNECTION_CLOSED, SpekoApiError, SpekoAuthError
from .realtime_credentials import DirectCredentials, RealtimeCredentials
from .realtime_events import Close, Decoded, Error, Ready, RealtimeEvent, ResumptionHandle
from .realtime_messages import Codec, Frame, NotSupported
from .realtime_telemetry import UsageReporter
from .websocket import SocketLost, WebSocket

NORMAL = 1000
"""Close code of a connection that has done its work."""

UNAUTHORIZED = 4401
"""Close code of a token that is wrong or expired. Another attempt with it can't help."""

MAX_REASON_BYTES = 123
"""Longest reason that a close frame holds, in bytes of UTF-8."""


class ConnectionClosed(SpekoApiError, ConnectionError):
    """The connection could not be made, or is closed. Another attempt may work.

    Attributes:
        close_code: The WebSocket's close code, or 1006 when no close frame came.
        reason: The reason that came with it, or empty.
    """

    def __init__(self, message: str, *, close_code: int, reason: str = "") -> None:
        super().__init__(message, 0, CONNECTION_CLOSED)
        self.close_code = close_code
        self.reason = reason


def to_connect_error(lost: SocketLost) -> SpekoApiError:
    """Return the error of a socket that was lost before the other side was ready."""
    if lost.code == UNAUTHORIZED:
        return SpekoAuthError(str(lost))
    return ConnectionClosed(str(lost), close_code=lost.code, reason=lost.reason)


class RealtimeConnection:
    """A conversation with a voice model: audio in, audio out. `Speko.realtime.connect` opens it.

    An async context manager, and an async iterator of events (`RealtimeEvent`), which ends after
    the `close` event and never raises for what the other side sent. One task iterates; any task may
    send. It owns its socket and its reports of usage until it is closed.

    Iterate without long pauses: a connection that is not read is not kept alive.
    """

    def __init__(
        self,
        ws: WebSocket,
        codec: Codec,
        credentials: RealtimeCredentials,
        *,
        reporter: UsageReporter | None,
        renew: Callable[[RealtimeConnection], Awaitable[RealtimeConnection]],
        closed: Callable[[RealtimeConnection], None],
    ) -> None:
        """Use `ws`, whose other side is not ready yet.

        Args:
            ws: The socket, open.
            codec: The form of the wire, new.
            credentials: What the connection was opened with.
            reporter: Reports usage; None where none is due.
            renew: Renews a session.
            closed: Called once the connection is closed.
        """
        self._ws = ws
        self._codec = codec
        self._credentials = credentials
        self._reporter = reporter
        self._renew = renew
        self._closed = closed
        # Events of frames received that were not taken yet.
        self._events: deque[RealtimeEvent] = deque()
        # Handle by which a new socket continues the session. None until one came.
        self._handle: str | None = None
        # True once the other side is ready.
        self._is_ready = False
        # The end of the connection. None while it is open.
        self._end: Close | None = None
        # True once the `close` event was taken.
        self._is_over = False

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._credentials.session_id

    @property
    def expires_at(self) -> str:
        """End of the credentials, as the service spells it."""
        return self._credentials.expires_at

    @property
    def lease_expires_at(self) -> str | None:
        """End of the session's lease, as the service spells it; None where it has none."""
        if isinstance(self._credentials, DirectCredentials):
            return self._credentials.reservation.lease_expires_at or None
        return None

    @property
    def credentials(self) -> RealtimeCredentials:
        """The credentials that the connection was opened with."""
        return self._credentials

    @property
    def input_sample_rate(self) -> int:
        """Rate of the audio to send, in Hz."""
        return self._codec.input_sample_rate

    @property
    def output_sample_rate(self) -> int:
        """Rate of the audio received, in Hz. Each `audio` event has its own, too."""
        return self._codec.output_sample_rate

    @property
    def can_take_text(self) -> bool:
        """True if `send_text`, and `reply` with instructions, can be used."""
        return self._codec.can_take_text

    @property
    def reports_barge_in(self) -> bool:
        """True if the service reports each barge-in by an event of its own."""
        return self._codec.reports_barge_in

    @property
    def can_renew(self) -> bool:
        """True if `renew` can be used now: the service and the provider gave what it takes."""
        credentials = self._credentials
        renewable = isinstance(credentials, DirectCredentials) and bool(
            credentials.reservation.renewal_url and credentials.telemetry
        )
        return renewable and self._handle is not None and self._end is None

    @property
    def resumption_handle(self) -> str | None:
        """Handle by which a new socket continues the session; None until one came."""
        return self._handle

    def __repr__(self) -> str:
        return f"RealtimeConnection(session_id={self.session_id!r})"

    async def __aenter__(self) -> RealtimeConnection:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def send_audio(self, pcm: bytes) -> None:
        """Send the caller's audio: PCM, int16, little-endian, mono, at `input_sample_rate`.

        Args:
            pcm: Any length. Half a sample waits for the next call.

        Raises:
            ConnectionClosed: The connection is closed or lost.
        """
        await self._send(self._codec.audio(pcm))

    async def commit(self) -> None:
        """Say that the caller's turn is over. Optional: the provider's own VAD decides.

        Raises:
            ConnectionClosed: The connection is closed or lost.
        """
        await self._send(self._codec.commit())

    async def interrupt(self) -> None:
        """Cancel the reply under way.

        Raises:
            ConnectionClosed: The connection is closed or lost.
        """
        await self._send(self._codec.interrupt())

    async def send_tool_result(self, call_id: str, output: str) -> None:
        """Send the result of a tool call. The reply continues by itself.

        Args:
            call_id: The call's id, from its `tool_call` event.
            output: The result, as text or JSON text.

        Raises:
            ConnectionClosed: The connection is closed or lost.
        """
        await self._send(self._codec.tool_result(call_id, output))

    async def reply(self, instructions: str | None = None) -> None:
        """Ask for a reply. Without instructions, call `commit` before it.

        Args:
            instructions: Instructions for this reply, beside the session's own.

        Raises:
            NotSupported: There are instructions, and the session's wire takes none.
            ConnectionClosed: The connection is closed or lost.
        """
        await self._send(self._codec.reply(instructions))

    async def send_text(self, text: str, instructions: str | None = None) -> None:
        """Send words that the caller typed, which the model replies to.

        Args:
            text: The words.
            instructions: Instructions for the reply, beside the session's own.

        Raises:
            NotSupported: The session's wire takes no text.
            ConnectionClosed: The connection is closed or lost.
        """
        await self._send(self._codec.user_text(text, instructions))

    async def renew(self) -> RealtimeConnection:
        """Renew the session's lease, and open a connection that continues its conversation.

        This one stays open; close it once the new one is in use.

        Raises:
            NotSupported: The session can't be renewed (see `can_renew`).
            SpekoApiError: The service or the provider refused.
            httpx.HTTPError: The network failed.
            TimeoutError: The provider was not ready in time.
        """
        if not self.can_renew:
            raise NotSupported("The session can't be renewed. Make a new one.")
        return await self._renew(self)

    def hand_over_reporter(self) -> UsageReporter | None:
        """Give up the reports of usage, which continue with the connection that follows."""
        reporter, self._reporter = self._reporter, None
        return reporter

    def take_reporter(self, reporter: UsageReporter | None) -> None:
        """Take over the reports of usage from the connection before."""
        self._reporter = reporter

    async def open(self) -> None:
        """Send what opens the session, and wait until the other side is ready.

        Raises:
            SpekoApiError: The other side reported an error, with its code; or it closed.
        """
        try:
            await self._send(self._codec.opening())
            while True:
                for event in self._decoded(await self._ws.receive()):
                    if isinstance(event, Error):
                        raise SpekoApiError(event.message, 200, event.code)
                    if isinstance(event, Close):
                        raise SocketLost(
                            f"The session ended before it was ready ({event.reason}).",
                            reason=event.reason,
                        )
                    self._take(event)
                    if isinstance(event, Ready):
                        self._is_ready = True
                if self._is_ready:
                    return
        except SocketLost as lost:
            error = to_connect_error(lost)
        raise error

    def __aiter__(self) -> RealtimeConnection:
        return self

    async def __anext__(self) -> RealtimeEvent:
        while not self._events:
            if self._is_over:
                raise StopAsyncIteration
            if self._end is None:
                await self._receive()
            else:
                self._is_over = True
                return self._end
        return self._events.popleft()

    async def _receive(self) -> None:
        """Take the next frame, or the end of the connection."""
        try:
            frame = await self._ws.receive()
        except SocketLost as lost:
            self._finish(Close(code=lost.code, reason=lost.reason))
            return
        for event in self._decoded(frame):
            self._take(event)
            if isinstance(event, Close):
                await self._ws.close(NORMAL, "")
                return

    def _take(self, event: Decoded) -> None:
        """Keep an event for the iterator; what is for the connection alone it keeps itself."""
        if isinstance(event, ResumptionHandle):
            self._handle = event.handle
        elif isinstance(event, Close):
            self._finish(event)
        elif not isinstance(event, Ready):
            self._events.append(event)

    def _decoded(self, frame: Frame) -> list[Decoded]:
        """Decode a frame, removing the key and the tokens, which an error may echo."""
        return [self._redacted(event) for event in self._codec.decode(frame)]

    def _redacted(self, event: Decoded) -> Decoded:
        redact = self._ws.redact
        if isinstance(event, Error):
            return replace(event, code=redact(event.code), message=redact(event.message))
        return replace(event, reason=redact(event.reason)) if isinstance(event, Close) else event

    def _finish(self, end: Close) -> None:
        """Note the end, whose reports begin at once. The first one counts."""
        if self._end is None:
            self._end = end
            if self._reporter is not None:
                self._reporter.end()

    async def _send(self, frames: list[Frame]) -> None:
        if self._end is not None:
            code = self._end.code if self._end.code is not None else NORMAL
            raise ConnectionClosed(
                f"The connection is closed ({code}: {self._end.reason or 'no reason given'}).",
                close_code=code,
                reason=self._end.reason,
            )
        try:
            await self._ws.send_all(frames)
            return
        except ConnectionError:
            error = ConnectionClosed("The connection was lost.", close_code=1006)
        # Outside of the handler: aiohttp's error may hold the address, and so a token.
        raise error

    async def close(self, code: int = NORMAL, reason: str = "client_closed") -> None:
        """Close the connection, and wait for the last report of usage. Safe to call twice.

        It takes a few hundredths of a second; with reports that hang, a second.

        Args:
            code: The WebSocket's close code.
            reason: Reason for the other side. It is cut to 123 bytes.
        """
        self._finish(Close(code=code, reason=reason))
        cut = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        try:
            await self._ws.close(code, cut)
        finally:
            reporter, self._reporter = self._reporter, None
            try:
                if reporter is not None:
                    await reporter.aclose()
            finally:
                self._closed(self)
