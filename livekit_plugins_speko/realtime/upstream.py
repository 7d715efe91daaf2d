"""The service as a session uses it: a link, and what becomes of its events and failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from livekit.agents import APIConnectOptions, APIError, llm

from .._call import Calls
from ..api.realtime_events import Error, RealtimeEvent
from ..api.realtime_options import RealtimeOptions
from ..api.timing import Timing
from ..api.types import Route
from .configuration import Configuration
from .connections import Connection, Connector
from .conversation import Conversation
from .emitter import Emitter
from .link import Link
from .outbox import Command, Outbox
from .reports import Reports
from .requester import Requester

_AFTER_TOOL = "Tell the caller the result of the tool."


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """The facts about a session that do not change.

    Attributes:
        options: Options of the service's sessions, without prompt and tools.
        connector: Makes its connections.
        conn_options: Attempts to connect.
        calls: Takes its `route` events.
    """

    options: RealtimeOptions
    connector: Connector
    conn_options: APIConnectOptions
    calls: Calls


class Upstream:
    """Forwards what comes of the link to the conversation and to LiveKit. Used by one task."""

    def __init__(
        self,
        settings: SessionSettings,
        *,
        label: str,
        configuration: Configuration,
        conversation: Conversation,
        outbox: Outbox,
        reports: Reports,
        emitter: Emitter,
        connected: Callable[[float], None],
    ) -> None:
        """Open nothing.

        Args:
            settings: The session's.
            label: The model's label.
            configuration: What the service's sessions are made with.
            conversation: Takes the events of the connections.
            outbox: What is to be sent.
            reports: Takes failed connections, and the provider.
            emitter: Emits the session's events.
            connected: Called with the seconds that a connection took.
        """
        self._options = settings.options
        self._label = label
        self._configuration = configuration
        self._conversation = conversation
        self._outbox = outbox
        self._reports = reports
        self._emitter = emitter
        self._connected = connected
        self._requester = Requester(conversation, outbox)
        self._link = Link(self, settings.connector, outbox, settings.conn_options)
        # True if the next session begins with a reply to a tool's result.
        self._must_speak = False

    @property
    def can_take_text(self) -> bool:
        """Return True if there is a connection, whose wire takes text."""
        connection = self._link.connection
        return connection is not None and connection.can_take_text

    async def run(self) -> None:
        """Keep a connection until there can be none."""
        await self._link.run()

    async def aclose(self) -> None:
        """Wait until the connections are closed, once `run` has ended."""
        await self._link.aclose()

    def renew_to_speak(self) -> None:
        """Make a new session at the next quiet moment, which is to tell a tool's result."""
        self._must_speak = True
        self._link.renew()

    def request(
        self, instructions: str | None, typed: str | None
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """Request a reply, as `Requester.request`."""
        return self._requester.request(instructions, typed, self._link.connection)

    @property
    def is_quiet(self) -> bool:
        """Return True at a good moment for a new session of the service."""
        return self._conversation.is_quiet

    @property
    def left_s(self) -> float:
        """Return the seconds of audio that are still to be played."""
        return self._conversation.replies.playback.left_s

    def connect_options(self) -> Mapping[str, Any]:
        """Return the options of the next session, with the history in its prompt."""
        return self._configuration.connect_options()

    def on_connected(self, connection: Connection, seconds: float, *, again: bool) -> None:
        """Take a new connection."""
        self._reports.route = Route(
            provider=self._options.provider or "unknown",
            model=self._options.model or "unknown",
        )
        self._conversation.turn.is_barge_in_reported = connection.reports_barge_in
        self._connected(seconds)
        if again:
            self._emitter.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())
        if self._must_speak and not self._link.is_renewal_due:
            self._must_speak = False
            kind: Literal["reply", "commit"] = "reply" if connection.can_take_text else "commit"
            text = _AFTER_TOOL if connection.can_take_text else None
            self._outbox.push(Command(kind=kind, text=text))
            self._conversation.tools.await_reply()
        self._requester.send_waiting(connection)

    def on_event(self, event: RealtimeEvent) -> bool:
        """Take an event; return True if it is real traffic."""
        if isinstance(event, Error) and not self._conversation.fail_request(event):
            body = {"error": event.message, "code": event.code}
            error = APIError(f"Speko: {event.message} ({event.code})", body=body, retryable=True)
            self.on_failure(error, None, recoverable=True)
        return self._conversation.take(event)

    def on_dropped(self, *, lost: bool) -> None:
        """End what is under way. The next session replies to a tool's result in its place."""
        self._must_speak = self._must_speak or self._conversation.tools.is_reply_due
        self._conversation.drop(
            "the connection was lost" if lost else "a new session begins", lost=lost
        )

    def on_failure(self, error: Exception, timing: Timing | None, *, recoverable: bool) -> None:
        """Report a failure. After one that is not recoverable nothing else is emitted."""
        if timing is not None:
            self._reports.failed(timing)
        if not recoverable:
            self._conversation.close()
        self._emitter.emit(
            "error",
            llm.RealtimeModelError(
                timestamp=time.time(), label=self._label, error=error, recoverable=recoverable
            ),
        )
        if not recoverable:
            self._emitter.close()

    def on_bug(self, error: Exception) -> None:
        """Report a programming error of the link, which has ended."""
        self.on_failure(error, None, recoverable=False)
