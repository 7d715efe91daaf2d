"""The connections, the key and the common headers of every request. Knows no message."""

from __future__ import annotations

import asyncio
import functools
import importlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from ..errors import CLIENT_CLOSED, SpekoApiError
from ..log import logger
from ..version import __version__
from .endpoint import is_loopback
from .exchange import Exchange
from .redaction import Redaction
from .requests import HttpRequest
from .response import EVENT_STREAM, Response
from .responses import parse_route_headers
from .timing import CURRENT_TIMING
from .tls import check_certificates, context_at_hand, on_loop, shared_context

# httpx imports these with its first client and its first request, which would block the event loop
# for 50 ms. A later version that lacks one does not need it.
for _module in ("httpcore", "anyio.abc", "anyio.streams.tls", "anyio._backends._asyncio"):
    with suppress(ImportError):
        importlib.import_module(_module)

KEEPALIVE_EXPIRY_S = 300.0
"""Time that an idle connection is kept, in seconds. A caller thinks longer than httpx's 5."""

MAX_IDLE_CONNECTIONS = 10
"""Most idle connections that a client keeps. A session uses up to four at once; httpcore checks
each idle one before and after every request, so a large pool slows all of them."""

USER_AGENT = f"livekit-plugins-speko/{__version__}"
_ACCEPT = {
    "Accept": f"{EVENT_STREAM}, application/json, audio/*",
    # Compression saves nothing on audio, and lets a few bytes grow without a bound.
    "Accept-Encoding": "identity",
    "User-Agent": USER_AGENT,
}


@functools.lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    """Parse a URL once: it takes as long as the rest of building a request."""
    return httpx.URL(url)


class Transport:
    """Sends requests with the key and returns responses whose status was a success."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        timeout_s: float,
        http_client: httpx.AsyncClient | None,
    ) -> None:
        """Use `http_client`, or make one and close it in `aclose`."""
        self._api_key = api_key
        self._base_url = base_url
        self._timeout = httpx.Timeout(timeout_s)
        self._owns_client = http_client is None
        # None until the TLS context is loaded.
        self._client = http_client
        if http_client is None:
            scheme = httpx.URL(base_url).scheme
            if scheme == "https":
                check_certificates()
            context = context_at_hand(scheme)
            self._client = None if context is None else self._new_client(context)
        # True after `aclose`: no client is made after it.
        self._closed = False
        # Requests under way.
        self._running: set[Exchange] = set()
        # True once the log said that more are under way than connections are kept.
        self._warned_of_crowd = False
        # Opens a connection ahead of the first call. None before `prewarm`.
        self._prewarming: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        """End the requests under way, and close the connections if they were made here."""
        self._closed = True
        try:
            if self._prewarming is not None:
                self._prewarming.cancel()
                await asyncio.wait([self._prewarming])
            for exchange in list(self._running):
                await exchange.aclose()
        finally:
            if self._owns_client and self._client is not None:
                await self._client.aclose()

    def prewarm(self) -> None:
        """Open a connection in the background, the first time that this is called on a loop."""
        if self._prewarming is None and not self._closed and on_loop():
            self._prewarming = asyncio.create_task(self._prewarm(), name="speko_prewarm")

    async def _prewarm(self) -> None:
        try:
            # The response does not matter, so the key is not needed.
            async with self.open(HttpRequest(method="HEAD", path="/"), with_key=False):
                pass
        except SpekoApiError:  # any status means that the connection is open
            pass
        except Exception as error:  # a call will meet it again, and raise
            logger.debug("prewarming failed", extra={"error": type(error).__name__})

    def _new_client(self, context: ssl.SSLContext) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=context,
            # No call queues for a connection.
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                keepalive_expiry=KEEPALIVE_EXPIRY_S,
            ),
            # httpx would look for this machine through the environment's proxy.
            trust_env=not is_loopback(self._base_url),
        )

    async def _opened(self) -> httpx.AsyncClient:
        """Return the client, made without blocking the event loop."""
        if self._client is None:
            context = await asyncio.to_thread(shared_context)
            if self._client is None and not self._closed:
                self._client = self._new_client(context)
        if self._client is None or self._client.is_closed:
            raise SpekoApiError(
                "The client is closed. Close it after the sessions that use it.", 0, CLIENT_CLOSED
            )
        return self._client

    async def send(self, request: HttpRequest, *, with_key: bool = True) -> Response:
        """Send a request; return its response with the body unread.

        Raises:
            SpekoApiError: As `Response.check`. Or the client is closed (status 0).
            httpx.HTTPError: The network failed.
        """
        client = await self._opened()
        self._warn_of_crowd()
        outgoing = client.build_request(
            request.method,
            _parsed(request.url or self._base_url + request.path),
            headers={**_ACCEPT, **request.headers},
            content=request.content,
            timeout=self._timeout,
        )
        # Straight into the request: error trackers may collect local variables too.
        if request.bearer is not None:
            outgoing.headers["Authorization"] = f"Bearer {request.bearer}"
        elif with_key and request.url is None:
            outgoing.headers["Authorization"] = f"Bearer {self._api_key}"
        tokens = () if request.bearer is None else (request.bearer,)
        redaction = Redaction(self._api_key, request.said, tokens=tokens)
        exchange = Exchange(client, outgoing, redact=redaction.key, running=self._running)
        try:
            response = Response(exchange, await exchange.send(), redaction)
            if (timing := CURRENT_TIMING.get()) is not None:
                timing.note_headers(parse_route_headers(response.headers))
            await response.check()
        except BaseException:
            await exchange.aclose()
            raise
        return response

    def _warn_of_crowd(self) -> None:
        """Warn once that connections can't be kept, so that most calls make one each."""
        crowded = self._owns_client and len(self._running) >= MAX_IDLE_CONNECTIONS
        if crowded and not self._warned_of_crowd:
            self._warned_of_crowd = True
            logger.warning(
                "more calls at once than this client keeps connections for, so most of them wait "
                "for a new one: make a Speko for each session",
                extra={"calls": len(self._running), "connections_kept": MAX_IDLE_CONNECTIONS},
            )

    @asynccontextmanager
    async def open(self, request: HttpRequest, *, with_key: bool = True) -> AsyncIterator[Response]:
        """Send a request as `send` does, and close its response in the end."""
        response = await self.send(request, with_key=with_key)
        try:
            yield response
        finally:
            await response.aclose()
