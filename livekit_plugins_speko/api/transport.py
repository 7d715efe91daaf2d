"""The connections, the key and the common headers of every request. Knows no message."""

from __future__ import annotations

import asyncio
import functools
import importlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from .._aio import close_all
from ..errors import CLIENT_CLOSED, SpekoApiError
from ..log import logger
from ..version import __version__
from .endpoint import is_loopback
from .exchange import Exchange
from .pools import Pool, Pools, own_pools, users_pool
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
        # True if the pools are made here, and closed with this object.
        self._owns_pools = http_client is None
        # None until the TLS context is loaded.
        self._pools: Pools | None = None
        if http_client is not None:
            self._pools = users_pool(http_client)
        else:
            scheme = httpx.URL(base_url).scheme
            if scheme == "https":
                check_certificates()
            if (context := context_at_hand(scheme)) is not None:
                self._pools = self._own_pools(context)
        # True after `aclose`: no connection is made after it.
        self._closed = False
        # Opens a connection ahead of the first call. None before `prewarm`.
        self._prewarming: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        """End the requests under way, and close the connections if they were made here."""
        self._closed = True
        running = [each for pool in self._pools or () for each in pool.running]
        await close_all(self._end_prewarming, *(each.aclose for each in running), self._close_pools)

    async def _end_prewarming(self) -> None:
        if self._prewarming is not None:
            self._prewarming.cancel()
            await asyncio.wait([self._prewarming])

    async def _close_pools(self) -> None:
        if self._pools is not None:
            await self._pools.aclose()

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

    def _own_pools(self, context: ssl.SSLContext) -> Pools:
        # Through the environment's proxy this machine would be another one.
        return own_pools(context, trust_env=not is_loopback(self._base_url))

    async def _pool(self) -> Pool:
        """Return a pool with room for an exchange, made without blocking the event loop."""
        if self._pools is None:
            context = await asyncio.to_thread(shared_context)
            if self._pools is None and not self._closed:
                self._pools = self._own_pools(context)
        closed = self._closed and self._owns_pools
        if self._pools is None or self._pools.is_closed or closed:
            raise SpekoApiError(
                "The client is closed. Close it after the sessions that use it.", 0, CLIENT_CLOSED
            )
        return self._pools.pick()

    async def send(self, request: HttpRequest, *, with_key: bool = True) -> Response:
        """Send a request; return its response with the body unread.

        Raises:
            SpekoApiError: As `Response.check`. Or the client is closed (status 0).
            httpx.HTTPError: The network failed.
        """
        pool = await self._pool()
        outgoing = pool.build_request(
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
        exchange = Exchange(pool, outgoing, redact=redaction.key)
        try:
            response = Response(exchange, await exchange.send(), redaction)
            if (timing := CURRENT_TIMING.get()) is not None:
                timing.note_headers(parse_route_headers(response.headers))
            await response.check()
        except BaseException:
            await exchange.aclose()
            raise
        return response

    @asynccontextmanager
    async def open(self, request: HttpRequest, *, with_key: bool = True) -> AsyncIterator[Response]:
        """Send a request as `send` does, and close its response in the end."""
        response = await self.send(request, with_key=with_key)
        try:
            yield response
        finally:
            await response.aclose()
