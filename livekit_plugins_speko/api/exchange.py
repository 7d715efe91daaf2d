"""One HTTP exchange, in a task of its own so that cancelling the caller cannot corrupt the pool.

A caller who barges in cancels a call at any moment. httpcore (1.0.9) then leaks the connection for
good if asyncio cancels it between connecting and sending, or while it returns the connection: the
socket stays open and keeps its place in the pool, until a full pool serves no call any more
(encode/httpcore#830, encode/httpcore#1093). Its clean-up does hold under a cancellation
of anyio's. So the request runs in a task that only this module stops, through a scope of anyio's,
and never between a new connection and the first request on it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx

from .._aio import closing, until_done
from .limits import MAX_WAITING_CHUNKS
from .pools import Pool
from .redaction import without_key
from .timing import CURRENT_TIMING

GRACE_S = 0.05
"""Longest wait, in seconds, for a proxy's tunnel to be ready before it is closed half made."""

CLOSE_S = 1.0
"""Longest wait, in seconds, for a connection to close. Only a transport of the user's own waits."""

CATCH_UP_S = 0.002
"""Shortest time of reading, in seconds, between two pauses: for all that has arrived meanwhile."""

# Steps of httpcore (httpx's ``trace`` extension) after which there is a new connection.
_CONNECTED = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")


class Exchange:
    """A request under way, and an async iterator over the bytes of its response, as they came.

    It owns the task that talks to the network; its sender must close it. One task at a time may
    wait on it. When a wait is cancelled, the connection is closed before the cancellation
    continues.
    """

    def __init__(
        self,
        pool: Pool,
        request: httpx.Request,
        *,
        redact: Callable[[str], str],
    ) -> None:
        """Take over a request that was not sent yet.

        Args:
            pool: Sends it, and holds the exchange for as long as its task runs, so that closing
                the client closes each one left open.
            request: The request.
            redact: Removes the key from a text.
        """
        request.extensions = {**request.extensions, "trace": self._trace}
        self._pool = pool
        self._request = request
        self._redact = redact
        self._scope = anyio.CancelScope()
        # Talks to the network. None before `send`.
        self._task: asyncio.Task[None] | None = None
        # The response as httpx returned it. None until its headers have come.
        self._head: httpx.Response | None = None
        # Reads of the body that the caller has not taken yet.
        self._chunks: deque[bytes] = deque()
        # Set when there is something new: the headers, a read, the end.
        self._news = asyncio.Event()
        # Set when a read was taken.
        self._room = asyncio.Event()
        # Until when nothing is read, on the loop's clock.
        self._paused_until_s = 0.0
        # When the last pause was over.
        self._resumed_at_s = 0.0
        # True once the request is to be stopped.
        self._stopped = False
        # True between connecting and sending. Stopped there, httpcore does not close.
        self._on_threshold = False
        # True while the request under way is the one that opens a proxy's tunnel.
        self._asks_proxy = False
        # A connection that no request has used, which httpcore does not close by itself.
        self._unused: Any = None
        # True if the connection was made for this request.
        self._connected = False

    async def send(self) -> httpx.Response:
        """Send the request; return httpx's response for its status and headers alone.

        Raises:
            httpx.HTTPError: The network failed, or the client was closed. The frames of httpx and
                of the libraries below it are removed, since they hold the key, and the key is
                removed from the texts.
        """
        self._task = asyncio.create_task(self._run(), name="speko_request")
        self._task.add_done_callback(self._ended)
        self._pool.running.add(self)
        while self._head is None:
            self._over()
            await self._wait()
        return self._head

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._over():
                raise StopAsyncIteration
            await self._wait()
        # All that has arrived at once: each step above this one costs the same for any size.
        joined = b"".join(self._chunks)
        self._chunks.clear()
        self._room.set()
        return joined

    def pause(self, seconds: float) -> None:
        """Read no more for so long: what arrives meanwhile is one read, which costs less.

        The read under way is joined with it.
        """
        self._paused_until_s = asyncio.get_running_loop().time() + seconds

    async def aclose(self) -> None:
        """Give the connection back if the response was read to its end, else close it.

        That is done when this returns, also when the caller is cancelled meanwhile.
        """
        if self._task is None or self._task.done():
            return
        self._stop()
        if self._task is asyncio.current_task():
            return  # a hook of the user's client closes what it is a part of
        await until_done(self._task)

    async def _wait(self) -> None:
        self._news.clear()
        try:
            await self._news.wait()
        except asyncio.CancelledError:
            await self.aclose()
            raise

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pool.release(self)
        self._news.set()
        if not task.cancelled():
            task.exception()  # retrieved here, in case the caller is gone by now

    def _stop(self) -> None:
        self._stopped = True
        if self._on_threshold:  # `_trace` stops it after that
            asyncio.get_running_loop().call_later(GRACE_S, self._scope.cancel)
        else:
            self._scope.cancel()

    def _over(self) -> bool:
        """Return True once the body is complete; raise if it ended early."""
        if self._task is None or not self._task.done():
            return False
        if self._stopped or self._task.cancelled():
            raise httpx.ReadError("The response was closed before its end.")
        if isinstance(fault := self._task.exception(), httpx.HTTPError):
            raise without_key(fault, self._redact)
        if fault is not None:
            raise fault
        return True

    async def _run(self) -> None:
        with self._scope:
            try:
                self._head = await self._pool.send(self._request)
                self._news.set()
                await self._read(self._head)
            except httpx.HTTPStatusError as fault:  # a hook of the user's client checks it first
                self._head = fault.response
            except ssl.SSLError as fault:  # httpcore lets it through after the handshake
                raise httpx.ReadError(f"TLS failed: {fault.reason}") from None
            except httpx.HTTPError as fault:
                without_key(fault, self._redact)  # asyncio's debug log shows what a task ended with
                raise
            finally:
                with anyio.move_on_after(CLOSE_S, shield=True):
                    if self._head is not None:
                        await self._head.aclose()
                    if self._unused is not None:
                        await self._unused.aclose()

    async def _read(self, response: httpx.Response) -> None:
        # A hook of the user's client may have read all of it before.
        read = response.is_stream_consumed
        body = response.aiter_bytes() if read else response.stream
        assert isinstance(body, AsyncIterable), "an asynchronous client's"
        async with closing(body) as chunks:
            async for chunk in chunks:
                self._chunks.append(chunk)
                if self._paused_until_s:
                    await self._pause()
                self._news.set()
                if len(self._chunks) >= MAX_WAITING_CHUNKS:
                    self._room.clear()
                    await self._room.wait()

    async def _pause(self) -> None:
        """Wait for the end of the pause, unless there has just been one."""
        clock = asyncio.get_running_loop().time
        if clock() >= self._resumed_at_s + CATCH_UP_S:
            await asyncio.sleep(self._paused_until_s - clock())
            self._paused_until_s, self._resumed_at_s = 0.0, clock()

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Follow httpcore's steps, and stop the request at one where httpcore cleans up."""
        part, _, step = event.partition(".")
        if step in _CONNECTED:
            self._unused, self._on_threshold = info["return_value"], True
            self._connected = True
        elif step == "send_request_headers.started":
            self._asks_proxy = getattr(info.get("request"), "method", None) == b"CONNECT"
            self._on_threshold = False
            if not self._asks_proxy:
                self._unused = None
                self._note_connection()
        elif step == "receive_response_headers.complete" and self._asks_proxy:
            self._on_threshold = True
        elif event == "connection.start_tls.started":
            self._on_threshold = False
        else:
            return
        if self._stopped and part != "proxy":  # nothing closes a tunnel that is not ready
            self._scope.cancel()
            await anyio.lowlevel.checkpoint()

    def _note_connection(self) -> None:
        if (timing := CURRENT_TIMING.get()) is not None:
            timing.note_connection(reused=not self._connected)
