"""The connections of a client: small pools of httpx's, each for a few exchanges at once.

httpcore (1.0.9) visits every connection of a pool when a request begins and when it ends, and asks
the socket of each idle one if the service hung up. A pool for all the calls of 50 sessions would
slow each of them. So a pool takes as many exchanges as one session has, and a busy client makes
another one, which costs 0.2 ms and 60 kB.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.request import getproxies

import httpx

from .._aio import finish

KEEPALIVE_EXPIRY_S = 300.0
"""Time that an idle connection is kept, in seconds. A caller thinks longer than httpx's 5."""

MAX_EXCHANGES = 4
"""Most exchanges at once in a pool: a session has no more."""

# No exchange queues for a connection.
_LIMITS = httpx.Limits(
    max_connections=None,
    max_keepalive_connections=MAX_EXCHANGES,
    keepalive_expiry=KEEPALIVE_EXPIRY_S,
)


class Closable(Protocol):
    """An exchange under way."""

    async def aclose(self) -> None:
        """End it."""


class Pool(ABC):
    """A pool of connections, and the exchanges that use it."""

    def __init__(self) -> None:
        # Exchanges under way, each of which adds itself.
        self.running: set[Closable] = set()
        # Since when there is none, on `time.monotonic`.
        self.idle_since = time.monotonic()

    def release(self, exchange: Closable) -> None:
        """Note that an exchange is over."""
        self.running.discard(exchange)
        self.idle_since = time.monotonic()

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """True if it sends no more."""

    @abstractmethod
    def build_request(
        self, method: str, url: httpx.URL, *, timeout: httpx.Timeout, **parts: Any
    ) -> httpx.Request:
        """Build a request of these ``headers`` and ``content``."""

    @abstractmethod
    async def send(self, request: httpx.Request) -> httpx.Response:
        """Return the response with its body unread. No redirect is followed."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections, unless they are the user's own."""


class DirectPool(Pool):
    """httpx's transport without its client, whose cookies, hooks and redirects no call needs."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Connect with `context` where a URL is https."""
        super().__init__()
        self._transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=_LIMITS)
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """True after `aclose`."""
        return self._closed

    def build_request(
        self, method: str, url: httpx.URL, *, timeout: httpx.Timeout, **parts: Any
    ) -> httpx.Request:
        """Build a request of these parts alone."""
        return httpx.Request(method, url, extensions={"timeout": timeout.as_dict()}, **parts)

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request, as httpx's client would."""
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        self._closed = True
        await self._transport.aclose()


class ClientPool(Pool):
    """An `httpx.AsyncClient`: the user's, or one that goes through the environment's proxies."""

    def __init__(self, client: httpx.AsyncClient, *, owned: bool = False) -> None:
        """Use `client`, and close it if it is `owned`."""
        super().__init__()
        self._client = client
        self._owned = owned

    @property
    def is_closed(self) -> bool:
        """True if the client was closed."""
        return self._client.is_closed

    def build_request(
        self, method: str, url: httpx.URL, *, timeout: httpx.Timeout, **parts: Any
    ) -> httpx.Request:
        """Build a request of these parts and the client's own headers."""
        return self._client.build_request(method, url, timeout=timeout, **parts)

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the client's hooks."""
        return await self._client.send(request, stream=True, auth=None, follow_redirects=False)

    async def aclose(self) -> None:
        """Close the client if it is owned."""
        if self._owned:
            await self._client.aclose()


class Pools:
    """The pools of one client: as many as its calls at once need. It closes those that it made."""

    def __init__(self, make: Callable[[], Pool], *, most: int = MAX_EXCHANGES) -> None:
        """Make the first pool with `make`, which may take `most` exchanges at once, and so on."""
        self._make = make
        self._most = most
        # The first ones are the busiest.
        self._pools = [make()]
        # Pools that are being closed, since none of their connections was used for long.
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def is_closed(self) -> bool:
        """True if no pool sends any more."""
        return self._pools[0].is_closed

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._pools)

    def pick(self) -> Pool:
        """Return the first pool that has room for an exchange."""
        last = self._pools[-1]
        if len(self._pools) > 1 and not last.running and _expired(last):
            self._close_later(self._pools.pop())
        for pool in self._pools:
            if len(pool.running) < self._most:
                return pool
        self._pools.append(self._make())
        return self._pools[-1]

    def _close_later(self, pool: Pool) -> None:
        """Close a pool without a wait."""
        task = asyncio.create_task(pool.aclose(), name="speko_close_pool")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Close every pool, also when the caller is cancelled meanwhile."""
        await finish(self._close())

    async def _close(self) -> None:
        for pool in self._pools:
            await pool.aclose()
        if self._closing:
            await asyncio.wait(self._closing)


def own_pools(context: ssl.SSLContext, *, trust_env: bool) -> Pools:
    """Make the pools of a client that was given none.

    Args:
        context: For https.
        trust_env: The environment's proxies count, if it has any.
    """
    if not (trust_env and _has_proxies()):
        return Pools(lambda: DirectPool(context))
    return Pools(lambda: ClientPool(httpx.AsyncClient(verify=context, limits=_LIMITS), owned=True))


def users_pool(client: httpx.AsyncClient) -> Pools:
    """Use the one pool of the user's client for every exchange."""
    return Pools(lambda: ClientPool(client), most=sys.maxsize)


def _expired(pool: Pool) -> bool:
    return time.monotonic() - pool.idle_since > KEEPALIVE_EXPIRY_S


def _has_proxies() -> bool:
    """Return True if the environment, or the system, names a proxy. Then httpx applies them."""
    return any(getproxies().get(scheme) for scheme in ("http", "https", "all"))
