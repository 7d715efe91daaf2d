"""One WebSocket on aiohttp: connect, send, receive, ping, close. Knows no message."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from .._aio import finish, timeout
from ..errors import CLIENT_CLOSED, SpekoApiError
from ..version import __version__
from .endpoint import is_loopback
from .joined_writes import JoiningResponse
from .limits import MAX_EVENT_BYTES
from .redaction import Redaction
from .responses import parse_error_response
from .tls import context_at_hand, shared_context

PING_AFTER_S = 5.0
"""Longest time without a frame before a ping, in seconds. aiohttp waits half of it for the pong."""

_CLOSE_WAIT_S = 0.02
"""Longest wait for the server's part of the closing handshake, in seconds. The close frame is on
its way by then, and a call that is cancelled must not wait for a round trip."""

NO_STATUS, ABNORMAL = 1005, 1006
"""Codes that no frame carries: closed without a code, and closed without a close frame."""

_USER_AGENT = f"livekit-plugins-speko/{__version__}"


class SocketLost(ConnectionError):
    """The connection could not be made, or it ended.

    Attributes:
        code: The close code of the server, or 1006 when none came.
        reason: The server's reason, without the API key; empty when it gave none.
    """

    def __init__(self, message: str, *, code: int = ABNORMAL, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Target:
    """An address that is not below the client's base URL, and what lets one in there.

    Attributes:
        url: The address, ws or wss.
        query: Parameters to add to it.
        subprotocols: Subprotocols that the server may choose from.
        tokens: Secrets in any of these, which no text may show.
        peer: Name of the server in errors.
        is_exact: True if the address is used as it is spelled, since a part of it may be signed.
    """

    url: str = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    subprotocols: tuple[str, ...] = field(default=(), repr=False)
    tokens: tuple[str, ...] = field(default=(), repr=False)
    peer: str = "Speko"
    is_exact: bool = True

    def address(self) -> URL:
        """Return the address with its query."""
        text = f"{self.url}?{urlencode(self.query)}" if self.query else self.url
        return URL(text, encoded=self.is_exact)


class WebSocket:
    """An open connection. One task may send while another one receives."""

    def __init__(self, ws: JoiningResponse, redaction: Redaction, peer: str = "Speko") -> None:
        """Use `ws`, which is open, to `peer`. `Sockets.connect` makes it."""
        self._ws = ws
        self._peer = peer
        self._redaction = redaction
        # The socket below, which ends a connection whose peer no longer reads. None with an event
        # loop that does not show it.
        self._socket: socket.socket | None = ws.get_extra_info("socket")
        # The server's close code and reason. None and empty while the connection is open.
        self.close_code: int | None = None
        self.close_reason = ""

    def redact(self, text: str) -> str:
        """Return a text of the service without the API key."""
        return self._redaction.message(text)

    async def send_text(self, text: str) -> None:
        """Send a text frame.

        Raises:
            ConnectionError: The connection is lost.
        """
        await self._ws.send_str(text)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame.

        Raises:
            ConnectionError: The connection is lost.
        """
        await self._ws.send_bytes(data)

    async def send_all(self, frames: Sequence[str | bytes]) -> None:
        """Send text and binary frames, in one write.

        Raises:
            ConnectionError: The connection is lost.
        """
        self._ws.writes.hold()
        try:
            for frame in frames:
                if isinstance(frame, str):
                    await self._ws.send_str(frame)
                else:
                    await self._ws.send_bytes(frame)
        finally:
            self._ws.writes.release()

    async def receive(self) -> str | bytes:
        """Receive the next text or binary frame.

        Raises:
            SocketLost: The server closed, the network failed, or a ping had no response.
        """
        message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.TEXT or message.type is aiohttp.WSMsgType.BINARY:
            data: str | bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.CLOSE:
            self.close_code = message.data or NO_STATUS
            self.close_reason = self._redaction.message(message.extra or "")
        else:
            self.close_code = self._ws.close_code or ABNORMAL
            if self.close_code == aiohttp.WSCloseCode.OK:  # the end of the file, no close frame
                self.close_code = ABNORMAL
        reason = f": {self.close_reason}" if self.close_reason else ""
        raise SocketLost(
            f"The connection to {self._peer} was closed ({self.close_code}{reason}).",
            code=self.close_code,
            reason=self.close_reason,
        )

    def __aiter__(self) -> WebSocket:
        return self

    async def __anext__(self) -> str | bytes:
        return await self.receive()

    async def close(self, code: int = 1000, reason: str = "done") -> None:
        """Close the connection, in a few hundredths of a second at most. Safe to call twice.

        That is done when this returns, also when the caller is cancelled meanwhile: aiohttp would
        leave a connection open whose other side does not read.
        """
        await finish(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with timeout(2 * _CLOSE_WAIT_S):
                await self._ws.close(code=code, message=reason.encode())
        except (TimeoutError, asyncio.TimeoutError):
            self.abort()
        if self._ws.close_code == ABNORMAL and self.close_code in (None, ABNORMAL):
            self.abort()

    def abort(self) -> None:
        """End the connection at once, without sending the rest."""
        if self._socket is not None:
            with suppress(OSError, NotImplementedError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)


class Sockets:
    """The WebSockets of one client: one aiohttp session, made with the first of them.

    Proxies come from the environment, as for the client's requests, and redirects are refused.
    """

    def __init__(self, *, api_key: str, base_url: str) -> None:
        """Open nothing. `base_url` is the client's, http or https."""
        self._api_key = api_key
        self._base_url = base_url
        # None before the first connection.
        self._session: aiohttp.ClientSession | None = None
        # True after `aclose`: no connection is made after it.
        self._closed = False

    async def aclose(self) -> None:
        """End every connection. Safe to call twice."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            # asyncio closes a transport's socket in the loop's next round.
            await asyncio.sleep(0)

    async def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: tuple[str, ...] = (),
        timeout_s: float,
        ping_after_s: float = PING_AFTER_S,
        max_frame_bytes: int = MAX_EVENT_BYTES,
    ) -> WebSocket:
        """Open a connection to the API, with the key.

        Args:
            path: Path below the base URL.
            headers: Headers beside the key and the user agent.
            subprotocols: Subprotocols that the server may choose from.
            timeout_s: Longest wait, in seconds, until the connection is open.
            ping_after_s: Time without a frame, in seconds, after which the server is pinged. The
                connection counts as lost when half of that passes without a response.
            max_frame_bytes: Largest frame that is taken; a larger one ends the connection.

        Raises:
            SpekoApiError: The service refused, with its status; or the client is closed (0).
            SocketLost: The network failed.
            TimeoutError: It took too long.
        """
        target = Target(url=self._base_url + path, subprotocols=subprotocols, is_exact=False)
        return await self._connect(
            target,
            {**(headers or {}), "Authorization": f"Bearer {self._api_key}"},
            timeout_s=timeout_s,
            ping_after_s=ping_after_s,
            max_frame_bytes=max_frame_bytes,
        )

    async def connect_to(self, target: Target, *, timeout_s: float) -> WebSocket:
        """Open a connection to another address, without the key.

        Raises:
            SpekoApiError: The server refused, with its status; or the client is closed (0).
            SocketLost: The network failed.
            TimeoutError: It took too long.
        """
        return await self._connect(
            target,
            {},
            timeout_s=timeout_s,
            ping_after_s=PING_AFTER_S,
            max_frame_bytes=MAX_EVENT_BYTES,
        )

    async def _connect(
        self,
        target: Target,
        headers: dict[str, str],
        *,
        timeout_s: float,
        ping_after_s: float,
        max_frame_bytes: int,
    ) -> WebSocket:
        redaction = Redaction(self._api_key, tokens=target.tokens)
        try:
            async with timeout(timeout_s):
                context = await self._context(target.url)
                ws = await self._opened().ws_connect(
                    target.address(),
                    headers={"User-Agent": _USER_AGENT, **headers},
                    protocols=target.subprotocols,
                    heartbeat=ping_after_s,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_WAIT_S),
                    max_msg_size=max_frame_bytes,
                    ssl=context if context is not None else True,
                )
            assert isinstance(ws, JoiningResponse), "the session's class"
            return WebSocket(ws, redaction, target.peer)
        except (TimeoutError, asyncio.TimeoutError):
            error: Exception = TimeoutError(
                f"{target.peer} did not open the connection in {timeout_s:g} s"
            )
        except (aiohttp.ClientError, OSError, SpekoApiError, RuntimeError) as fault:
            error = self._to_error(fault, redaction, target.peer)
        # Outside of the handler: aiohttp's error holds the request's headers, and so the key.
        headers.clear()  # error trackers collect local variables too
        raise error

    async def _context(self, url: str) -> ssl.SSLContext | None:
        if not url.startswith(("https:", "wss:")):
            return None
        return context_at_hand("https") or await asyncio.to_thread(shared_context)

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise _closed()
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_redirect.append(_refuse_redirect)
            self._session = aiohttp.ClientSession(
                trust_env=not is_loopback(self._base_url),
                # No stream queues for a connection, and no call for a cookie.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                trace_configs=[trace],
                ws_response_class=JoiningResponse,
            )
        return self._session

    def _to_error(self, fault: Exception, redaction: Redaction, peer: str) -> Exception:
        """Return the error to raise, which has none of the request's headers."""
        if isinstance(fault, SpekoApiError):
            return fault
        if isinstance(fault, RuntimeError):  # aiohttp's for a session that was closed meanwhile
            return _closed() if self._closed else fault
        if isinstance(fault, aiohttp.WSServerHandshakeError) and fault.status >= 300:
            return parse_error_response(fault.status, fault.headers or {}, {})
        detail = fault.strerror if isinstance(fault, OSError) and fault.strerror else ""
        shown = redaction.key(f"{type(fault).__name__}{': ' * bool(detail)}{detail}")
        return SocketLost(f"The connection to {peer} failed ({shown}).")


async def _refuse_redirect(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceRequestRedirectParams,
) -> None:
    """Refuse a redirect: the key must not travel."""
    params.response.close()
    raise parse_error_response(params.response.status, {}, {})


def _closed() -> SpekoApiError:
    return SpekoApiError(
        "The client is closed. Close it after the sessions that use it.", 0, CLIENT_CLOSED
    )
