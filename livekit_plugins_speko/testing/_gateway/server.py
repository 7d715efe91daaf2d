"""The sockets of the gateway: an HTTP server on the loopback interface."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from .waiting import Changes

# Above the gateway's own limit of a header line, so that it can refuse one with a JSON error.
_MAX_HEADER_BYTES = 64 * 1024
# How long an engine that ignores its cancellation may delay the close, in seconds.
_CANCEL_S = 2.0
# aiohttp's own wait for connections, in seconds; by then none has a request in progress.
_SHUTDOWN_S = 5.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _CountingServer(web.Server):
    """aiohttp's server, with a list of its sockets until each is closed."""

    def __init__(self, handler: Handler, changes: Changes) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        self.sockets: dict[RequestHandler, asyncio.Transport] = {}
        self._changes = changes

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self.sockets[handler] = transport
        self._changes.notify()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.sockets.pop(handler)
        self._changes.notify()


class LoopbackServer:
    """An HTTP server with one handler, on a port of 127.0.0.1.

    It owns its sockets and the tasks that respond on them; `aclose` ends them all. A handler is
    cancelled when its client goes away.
    """

    def __init__(self, handler: Handler, changes: Changes, port: int = 0) -> None:
        """Make a server that does not listen yet.

        Args:
            handler: Responds to one request.
            changes: Notified when the number of sockets or of handlers changes.
            port: The port to open; 0 takes a free one.
        """
        self._handler = handler
        self._changes = changes
        self._wanted_port = port
        # The tasks that are responding to a request.
        self._tasks: set[asyncio.Task[object]] = set()
        # None before start().
        self._server: _CountingServer | None = None
        # None before start() and after aclose().
        self._listener: asyncio.Server | None = None

    @property
    def listening(self) -> bool:
        """True while it accepts connections."""
        return self._listener is not None

    @property
    def port(self) -> int:
        """The port; `RuntimeError` when the server does not listen."""
        if self._listener is None:
            raise RuntimeError("The server does not listen: call start() first.")
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def open_connections(self) -> int:
        """The number of open sockets, idle ones included."""
        return len(self._server.sockets) if self._server is not None else 0

    @property
    def in_flight(self) -> int:
        """The number of requests in progress."""
        return len(self._tasks)

    async def start(self) -> None:
        """Open the port."""
        self._server = _CountingServer(self._serve, self._changes)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._server, "127.0.0.1", self._wanted_port)

    async def aclose(self) -> None:
        """Close the port and all connections, and cancel the handlers. May be called twice."""
        if self._server is None or self._listener is None:
            return
        server, listener, self._listener = self._server, self._listener, None
        listener.close()
        server.pre_shutdown()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=_CANCEL_S)
            await server.shutdown(_SHUTDOWN_S)
        finally:  # also when a test is cancelled at this moment
            # A client that does not read would keep a socket with unsent bytes open for ever.
            for transport in server.sockets.values():
                transport.abort()
        await self._changes.until(lambda: not server.sockets)
        await listener.wait_closed()

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None, "aiohttp runs each handler in a task"
        self._tasks.add(task)
        try:
            return await self._handler(http)
        finally:
            self._tasks.discard(task)
            self._changes.notify()
