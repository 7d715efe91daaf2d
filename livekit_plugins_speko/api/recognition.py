"""Recognition over WebSockets, one after the other, as one stream."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from .._aio import timeout
from .._checks import check_flag, check_length, check_session_id, check_words, text_or_none
from ..errors import CONNECTION_LOST, SpekoApiError, SpekoAuthError
from ..intent import Intent, PipelineConstraints
from ..log import logger
from .limits import MAX_KEYWORDS, MAX_PROMPT_CHARS
from .recognition_connection import Connection, Renewed
from .reconnects import Bounds, Reconnects
from .stt_messages import Failure, Ready, Transcript, build_config
from .unconfirmed_audio import UnconfirmedAudio
from .websocket import PING_AFTER_S, SocketLost, Sockets, WebSocket

PATH = "/v1/transcribe/stream"
"""Path of the service below the base URL."""

StreamEvent: TypeAlias = Ready | Transcript | Failure
"""An event of a stream, distinguished by its ``type``."""

Outcome: TypeAlias = Literal["completed", "failed", "cancelled"]
"""Outcome of a connection, as in `RouteEvent`."""

_NORMAL, _IDLE = 1000, 1011
_PERMANENT = {4400: (400, "INVALID_CONFIG"), 1008: (403, "POLICY_VIOLATION")}
_UNAUTHORIZED = 4401
# Statuses below 500 of which another attempt may have a different outcome.
_TRANSIENT = frozenset({408, 429, 499})


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """The options of a streaming recognition, checked when they are made.

    Attributes:
        intent: The routing, as `validate_intent` returned it.
        constraints: Providers allowed, as `validate_constraints` returned them.
        session_id: Session that the stream is attributed to. A blank one counts as none.
        keywords: Words to listen for, 200 at most.
        stt_language: Language for the provider alone. A blank one counts as none.
        prompt: Context for the provider, 2000 characters at most. A blank one counts as none.
        sample_rate: Rate of the audio, in Hz.
        interim_results: Ask for the text of a segment while it is still being said.
    """

    intent: Intent
    constraints: PipelineConstraints | None = None
    session_id: str | None = None
    keywords: tuple[str, ...] | None = None
    stt_language: str | None = None
    prompt: str | None = None
    sample_rate: int = 16_000
    interim_results: bool = True

    def __post_init__(self) -> None:
        check_session_id("Speko: session_id", self.session_id)
        check_words("Speko: keywords", self.keywords, most=MAX_KEYWORDS)
        language = text_or_none("Speko: stt_language", self.stt_language)
        prompt = text_or_none("Speko: prompt", self.prompt)
        check_length("Speko: prompt", prompt, most=MAX_PROMPT_CHARS)
        check_flag("Speko: interim_results", self.interim_results)
        object.__setattr__(self, "stt_language", language)
        object.__setattr__(self, "prompt", prompt)

    def config(self) -> str:
        """Build the first frame of a connection."""
        return build_config(
            intent=self.intent,
            constraints=self.constraints,
            keywords=self.keywords,
            stt_language=self.stt_language,
            prompt=self.prompt,
            sample_rate=self.sample_rate,
            interim_results=self.interim_results,
        )

    def headers(self) -> dict[str, str]:
        """Build the headers of a connection beside the key."""
        session_id = (self.session_id or "").strip()
        return {"x-session-id": session_id} if session_id else {}


class Sink(Protocol):
    """The receiver of a stream's events. Its methods must not block."""

    def on_event(self, event: StreamEvent) -> None:
        """Take an event. Word times are the stream's. An empty final ends a segment."""

    def on_sent(self, size: int) -> None:
        """Take note of `size` bytes of audio that were sent, again or for the first time."""

    def on_attempt(self) -> None:
        """Take note that a connection is being made."""

    def on_connected(self) -> None:
        """Take note that it is open."""

    def on_closed(self, outcome: Outcome) -> None:
        """Take note that it ended, or could not be made."""


class Recognition:
    """One speaker's audio, recognised on one connection after another.

    `run` does the work, in one task; `push`, `flush`, `end` and `renew` do not block. Times are in
    seconds since it was made.
    """

    def __init__(
        self,
        sockets: Sockets,
        options: StreamOptions,
        sink: Sink,
        *,
        timeout_s: float = 10.0,
        bounds: Bounds | None = None,
    ) -> None:
        """Connect nothing yet.

        Args:
            sockets: The client's connections.
            options: What to ask of the service.
            sink: Takes the events.
            timeout_s: Time after the last good connection, in seconds, in which attempts are made.
            bounds: Other bounds, for tests.
        """
        self.bounds = bounds or Bounds()
        self.options = options
        self.sink = sink
        self.audio = UnconfirmedAudio(options.sample_rate)
        # Set when there is something to do for the task that sends.
        self.pushed = asyncio.Event()
        # True once the input has ended.
        self.ended = False
        # True from the first text of a segment to its final.
        self.segment_open = False
        # True while the open connection has other options than the stream.
        self.renewal_due = False
        self._sockets = sockets
        self._timeout_s = timeout_s
        self._reconnects = Reconnects(timeout_s, self.bounds)
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        # The open connection. None without one.
        self._connection: Connection | None = None
        # Bounds the end of the stream. Runs out only after `end`.
        self._bound = timeout(None)
        self._running = False
        # True once `run` is over: audio is dropped.
        self._closed = False
        # True if a connection dropped after the input had ended, and no final came since.
        self._cut_at_end = False
        # Half a sample, which the next piece of audio completes.
        self._half = b""

    @property
    def now_s(self) -> float:
        """Seconds since the stream was made."""
        return self._loop.time() - self._began_s

    def push(self, pcm: bytes) -> None:
        """Append mono PCM16 audio. It is dropped once the stream is over."""
        if self._closed or self.ended:
            return
        if self._half or len(pcm) % 2:
            pcm = self._half + pcm
            even = len(pcm) - len(pcm) % 2
            pcm, self._half = pcm[:even], pcm[even:]
        self.audio.push(pcm, self.now_s)
        self.pushed.set()

    def flush(self) -> None:
        """Request the final of the audio pushed so far."""
        if not (self._closed or self.ended):
            self.audio.flush()
            self.pushed.set()

    def end(self) -> None:
        """End the input. `run` is over in 2 s at most then."""
        if not (self._closed or self.ended):
            self.ended = True
            self.pushed.set()
            self._bound_end()

    def _bound_end(self) -> None:
        if self._running:
            self._bound.reschedule(self._loop.time() + self.bounds.end_wait)

    def renew(self, options: StreamOptions) -> None:
        """Use other options, from the end of what is being said.

        The service takes options only as a connection opens, so there will be a new one.
        """
        if options == self.options or self._closed:
            return
        self.options = options
        if self._connection is not None:
            self.renewal_due = True
            self._connection.renew()

    def close(self) -> None:
        """Drop the audio: `run` is over, or was cancelled before it began."""
        self._closed = True
        self.audio.clear()

    async def run(self) -> None:
        """Recognise until the input has ended.

        Raises:
            SpekoAuthError: The key was refused.
            SpekoApiError: Another permanent refusal; or no connection lasts (``CONNECTION_LOST``).
        """
        try:
            async with self._bound:
                self._running = True
                if self.ended:
                    self._bound_end()
                await self._run()
        except (TimeoutError, asyncio.TimeoutError):
            self._check_end()
        finally:
            self._running = False
            self.close()

    async def _run(self) -> None:
        wanted = True
        while not (self.ended and self.audio.is_empty):
            if not wanted and not (self.audio.has_news or self.ended):
                self.pushed.clear()
                await self.pushed.wait()
                continue
            socket = await self._open()
            try:
                await self._use(socket)
                return
            except Renewed:
                self._connection = None
                self._reconnects.rest()
            except SocketLost as lost:
                if self._is_complete(lost):
                    return
                wanted = not self._note_loss(lost)
            self.audio.rewind()

    async def _open(self) -> WebSocket:
        """Connect, in as many attempts as there is time for."""
        while True:
            await asyncio.sleep(self._reconnects.wait_s(self.now_s))
            self.sink.on_attempt()
            outcome: Outcome = "cancelled"
            try:
                socket = await self._sockets.connect(
                    PATH,
                    headers=self.options.headers(),
                    timeout_s=self._reconnects.left_s(self.now_s),
                    ping_after_s=min(PING_AFTER_S, (PING_AFTER_S + self._timeout_s / 2) / 1.5),
                )
                outcome = "completed"
                return socket
            except SpekoApiError as error:
                outcome = "failed"
                if error.status < 500 and error.status not in _TRANSIENT:
                    raise
                self._reconnects.failed(error)
            except (OSError, TimeoutError, asyncio.TimeoutError) as fault:
                outcome = "failed"
                self._reconnects.failed(fault)
            finally:
                if outcome != "completed":
                    self.sink.on_closed(outcome)

    async def _use(self, socket: WebSocket) -> None:
        """Recognise on one connection until the stream is over."""
        connection = self._connection = Connection(socket, self)
        outcome: Outcome = "failed"
        self.sink.on_connected()
        try:
            await connection.run()
            outcome = "completed"
        except Renewed:
            outcome = "completed"
            raise
        except SocketLost as lost:
            outcome = "completed" if self._is_routine(lost, connection) else "failed"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self.sink.on_closed(outcome)

    def _is_routine(self, lost: SocketLost, connection: Connection) -> bool:
        return lost.code == _IDLE and connection.idle_s >= self.bounds.idle

    def _is_complete(self, lost: SocketLost) -> bool:
        """Return True if the service closed in order, though without its own end."""
        connection = self._connection
        assert connection is not None, "a connection was lost"
        settled = connection.final_after_end or self.audio.is_empty
        return lost.code == _NORMAL and connection.end_sent and settled

    def _note_loss(self, lost: SocketLost) -> bool:
        """Note that a connection dropped. Return True if that is routine.

        Raises:
            SpekoApiError: The service closed for good.
        """
        connection, self._connection = self._connection, None
        assert connection is not None, "a connection was lost"
        text = f"Speko closed the recognition ({lost.code}): {lost.reason or 'no reason given'}"
        if lost.code == _UNAUTHORIZED:
            raise SpekoAuthError(text, "UNAUTHORIZED") from lost
        if lost.code in _PERMANENT:
            status, code = _PERMANENT[lost.code]
            raise SpekoApiError(text, status, code) from lost
        if self._is_routine(lost, connection):
            self._reconnects.rest()
            logger.debug("recognition closed for want of audio, and opens with the next")
            return True
        self._cut_at_end = self.ended
        self._reconnects.lost(self.now_s, lost, good=connection.is_good)
        logger.warning(
            "recognition was cut and connects again",
            extra={"close_code": lost.code, "good": connection.is_good},
        )
        return False

    def note_final(self) -> None:
        """Note that a final with a text came."""
        self._cut_at_end = False

    def _check_end(self) -> None:
        """Raise unless the service had its time for the last final."""
        connection = self._connection
        sent = connection is not None and connection.end_sent
        if not sent or (self._cut_at_end and not self.audio.is_empty):
            raise SpekoApiError(
                "The connection to Speko was lost at the end of the input, and the last words with "
                "it.",
                0,
                CONNECTION_LOST,
            )
        logger.debug("the service did not end the recognition in time")
