"""The one loop that every failure goes through: connect, serve, and connect again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError

from .._aio import timeout
from .._faults import cause_to_show, to_livekit_error
from ..api.realtime_events import Close, Error, RealtimeEvent
from ..api.timing import Timing
from ..errors import INSUFFICIENT_CREDITS
from .connections import Connection, Connector, to_timestamp
from .lifetime import LATEST_S, Attempts, Lifetime
from .outbox import Outbox
from .sender import send

HUNG_UP = frozenset({None, 1000, 1005})
"""Close codes of an agent that hung up. None is an ``end`` message."""

UNAUTHORIZED = 4401
"""Close code of a token that was refused."""

FATAL_CODES = frozenset(
    {
        INSUFFICIENT_CREDITS,
        "insufficient_quota",
        "AUTH_ERROR",
        "invalid_api_key",
        "account_disabled",
    }
)
"""Codes of errors after which a lost connection is not made again."""

FAREWELL_S = 8.0
"""Longest time, in seconds, that an agent's last words are played after it hung up."""

OUTPUT_DELAY_S = 0.3
"""Time, in seconds, by which the output may be behind what was received: a room's buffer."""

REASON_WAIT_S = 0.5
"""Longest wait, in seconds, for the close frame of a connection that can't be written to."""

CLOSE_S = 0.1
"""Longest wait, in seconds, for the end of a connection before the next one is made. Its last
report of usage may take longer."""

QUIET_CHECK_S = 0.1
"""Interval, in seconds, at which a quiet moment is looked for near a session's end."""


class Handler(Protocol):
    """The session above the link."""

    @property
    def is_quiet(self) -> bool:
        """True at a good moment for a new session."""

    @property
    def left_s(self) -> float:
        """Seconds of audio that are still to be played."""

    def connect_options(self) -> Mapping[str, Any]:
        """Return the options of the next session, with the history in its prompt."""

    def on_connected(self, connection: Connection, seconds: float, *, again: bool) -> None:
        """Take a new connection."""

    def on_event(self, event: RealtimeEvent) -> bool:
        """Take an event; return True if it is real traffic."""

    def on_dropped(self, *, lost: bool) -> None:
        """Take the end of a connection: `lost`, or ended in a quiet moment."""

    def on_failure(self, error: APIError, timing: Timing | None, *, recoverable: bool) -> None:
        """Take a failure, of an attempt to connect if there is a `timing`."""


class Link:
    """Keeps one connection at a time. Its task is the session's; `run` ends when it gave up."""

    def __init__(
        self,
        handler: Handler,
        connector: Connector,
        outbox: Outbox,
        conn_options: APIConnectOptions,
    ) -> None:
        """Open nothing."""
        self._handler = handler
        self._connector = connector
        self._outbox = outbox
        self._timeout_s = conn_options.timeout
        self._attempts = Attempts(conn_options)
        # The connection, once it is ready. None between two.
        self.connection: Connection | None = None
        # Code of the last error that the service reported on it, or empty.
        self._error_code = ""
        # Set to make a new session at the next quiet moment.
        self._renewal = asyncio.Event()
        # Connections that are being closed.
        self._closing: set[asyncio.Task[None]] = set()

    def renew(self) -> None:
        """Make a new session at the next quiet moment: the model must learn something."""
        self._renewal.set()

    @property
    def is_renewal_due(self) -> bool:
        """Return True if the session lacks something that the next one is to know."""
        return self._renewal.is_set()

    async def aclose(self) -> None:
        """Wait until the connections are closed, once `run` has ended."""
        if self._closing:
            await asyncio.wait(self._closing)

    async def run(self) -> None:
        """Keep a connection until there can be none; then report why."""
        again = False
        try:
            while True:
                connection, lifetime = await self._connect(again=again)
                again = True
                end = await self._serve(connection, lifetime)
                if end is not None:
                    await self._recover(end, lifetime)
        except APIError as error:
            self._handler.on_failure(error, None, recoverable=False)

    async def _connect(self, *, again: bool) -> tuple[Connection, Lifetime]:
        while True:
            timing = Timing()
            self._renewal.clear()
            try:
                async with timeout(self._timeout_s):
                    connection = await self._connector.connect(self._handler.connect_options())
            except Exception as fault:
                await self._retry(fault, timing)
                continue
            self.connection, self._error_code = connection, ""
            lifetime = Lifetime(
                to_timestamp(connection.expires_at), to_timestamp(connection.lease_expires_at)
            )
            self._handler.on_connected(connection, timing.elapsed_s, again=again)
            return connection, lifetime

    async def _retry(self, fault: Exception, timing: Timing) -> None:
        """Wait for the next attempt; raise if there is none, or for a programming error."""
        error = to_livekit_error(fault)
        if error is None:
            raise fault
        if getattr(fault, "code", None) in FATAL_CODES:
            error.retryable = False
        asked_s = getattr(fault, "retry_after", None) or 0.0
        wait_s = self._attempts.fail() if error.retryable and asked_s <= self._timeout_s else None
        self._handler.on_failure(error, timing, recoverable=True)
        if wait_s is None:
            if error is fault:
                raise error
            raise error from cause_to_show(fault)
        await asyncio.sleep(max(wait_s, asked_s))

    async def _serve(self, connection: Connection, lifetime: Lifetime) -> Close | None:
        """Send and receive until the connection's end; return None when it is to be renewed."""
        tasks: list[asyncio.Task[Close | None]] = [
            asyncio.create_task(send(self._outbox, connection), name="speko_realtime_send"),
            asyncio.create_task(self._receive(connection), name="speko_realtime_receive"),
            asyncio.create_task(self._until_renewal(lifetime), name="speko_realtime_renewal"),
        ]
        sender, receiver, _ = tasks
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if done == {sender}:  # the server's reason, if there is one, is with the receiver
                more, _ = await asyncio.wait({receiver}, timeout=REASON_WAIT_S)
                done |= more
        finally:
            for task in tasks:
                task.cancel()
            self.connection = None
            try:
                await asyncio.wait(tasks)
            finally:  # also when the caller leaves at this moment
                await self._close(connection)
        end: Close | None = None
        for task in tasks:
            end = (task.result() if task in done else None) or end
        self._outbox.drop_commands()
        self._handler.on_dropped(lost=end is not None)
        return end

    async def _close(self, connection: Connection) -> None:
        closing = asyncio.create_task(connection.close(), name="speko_realtime_close")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.wait({closing}, timeout=CLOSE_S)

    async def _receive(self, connection: Connection) -> Close | None:
        async for event in connection:
            if isinstance(event, Close):
                return event
            if isinstance(event, Error):
                self._error_code = event.code
            if self._handler.on_event(event):
                self._attempts.succeeded()
        return Close(code=1006, reason="")

    async def _until_renewal(self, lifetime: Lifetime) -> Close | None:
        """Return at the moment at which a new session is to be made."""
        window_s = lifetime.until_window_s
        try:
            async with timeout(None if window_s is None else max(0.0, window_s)):
                await self._renewal.wait()
        except (TimeoutError, asyncio.TimeoutError):
            pass
        while not (self._handler.is_quiet or lifetime.is_over):
            left_s = lifetime.left_s
            rest_s = QUIET_CHECK_S if left_s is None else min(QUIET_CHECK_S, left_s - LATEST_S)
            await asyncio.sleep(max(0.0, rest_s))
        return None

    async def _recover(self, end: Close, lifetime: Lifetime) -> None:
        """Wait for the next attempt after a connection was lost; raise if there is none."""
        told = f"{end.code or 'end'}: {end.reason or 'no reason given'}"
        if end.code == UNAUTHORIZED or self._error_code in FATAL_CODES:
            raise APIStatusError(
                f"Speko closed the session ({told}{self._error_suffix}).",
                status_code=401 if end.code == UNAUTHORIZED else 402,
                retryable=False,
            )
        if end.code in HUNG_UP and not lifetime.is_over:
            left_s = self._handler.left_s + OUTPUT_DELAY_S
            await asyncio.sleep(min(max(0.0, left_s), FAREWELL_S))
            raise APIError(f"Speko hung up ({told}).", retryable=False)
        error = APIConnectionError(f"The connection to Speko was lost ({told}).")
        wait_s = 0.0 if lifetime.is_over else self._attempts.fail()
        if wait_s is None:
            raise APIConnectionError(str(error), retryable=False)
        self._handler.on_failure(error, None, recoverable=True)
        await asyncio.sleep(wait_s)

    @property
    def _error_suffix(self) -> str:
        return f", {self._error_code}" if self._error_code else ""
