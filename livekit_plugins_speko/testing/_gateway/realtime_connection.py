"""One speech-to-speech connection: the same for scripts and engines on each wire."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from aiohttp import web

from .connection import ConnectionOver, SocketConnection
from .realtime_forms import FORMS
from .realtime_pieces import RealtimePiece
from .request import GatewayRequest
from .session_store import GatewaySession


class RealtimeConnection(SocketConnection):
    """One connection of `realtime`, for scripts, engines and tests.

    `frames` has kinds `audio`, `commit`, `interrupt`, `tool_result`, `text` and `instructions`.
    On Gemini's wire `instructions` cannot be told from `text`, and come as `text`. On xAI's an
    item counts once its `response.create` has come; one without an item is `instructions`.

    Attributes:
        session: The session that its token belongs to.
    """

    def __init__(
        self, socket: web.WebSocketResponse, request: GatewayRequest, session: GatewaySession
    ) -> None:
        """Take over an open socket. The gateway calls it.

        Args:
            socket: The socket, after the upgrade.
            request: The request that opened it.
            session: The session.
        """
        super().__init__(socket, request)
        self.session = session
        self._form = FORMS[session.form](session)

    @property
    def opening(self) -> dict[str, Any]:
        """The client's settings: xAI's `session`, Gemini's `setup`; empty on the proxy's wire."""
        return self._form.opening

    @property
    def input_rate_hz(self) -> int:
        """The rate of the caller's audio, in Hz."""
        return self._form.input_rate_hz

    @property
    def output_rate_hz(self) -> int:
        """The rate of the agent's audio, in Hz."""
        return self._form.output_rate_hz

    @property
    def bytes_per_second(self) -> int:
        """The byte rate of the caller's audio: 16 bit, mono."""
        return 2 * self.input_rate_hz

    @property
    def is_open(self) -> bool:
        """True once the client has sent what opens the connection."""
        return self._form.is_open

    async def opened(self) -> None:
        """Wait until the client has sent what opens the connection."""
        await self._changes.until(lambda: self.is_open)

    async def send(self, piece: RealtimePiece) -> None:
        """Send one piece in the connection's form.

        Args:
            piece: Audio, words, a tool call, or another piece.

        Raises:
            ClientGone: The client closed the connection.
            TypeError: The form has no frame for it.
        """
        for frame in self._form.render(piece):
            await self.send_raw(frame)

    async def end(self, reason: str) -> None:
        """End the session as the service does: the proxy's `end` frame, then a close with 1000.

        Args:
            reason: The reason.

        Raises:
            ConnectionOver: Always, which ends the script.
        """
        for frame in self._form.end(reason):
            await self.send_raw(frame)
        await self.close(1000, reason)

    async def end_with_its_session(self) -> None:
        """Wait until the session's life or lease is over, then end it."""
        ends_at = min(self.session.ends_at, self.session.lease_expires_at)
        await asyncio.sleep(max(0.0, ends_at - time.time()))
        with suppress(ConnectionOver, ConnectionError):
            await self.end("session_expired")

    async def _accept(self, data: str | bytes) -> None:
        for read in self._form.read(data):
            self._add(read.kind, pcm=read.pcm, text=read.text, call_id=read.call_id)
