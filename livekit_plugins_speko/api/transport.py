"""One request at a time over httpx: the connections, the key, the headers. Knows no message."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx

from ..errors import CLIENT_CLOSED, SpekoApiError
from ..log import logger
from ..version import __version__
from .endpoint import is_loopback
from .exchange import Exchange
from .redaction import Redaction
from .response import EVENT_STREAM, Answer
from .responses import parse_route_headers
from .timing import CURRENT_TIMING
from .tls import check_certificates, context_at_hand, on_loop, shared_context

# httpx imports these with its first client and its first request, which would hold the event loop
# up for 50 ms. One that a later version no longer has is one that it does not need.
for _module in ("httpcore", "anyio.abc", "anyio.streams.tls", "anyio._backends._asyncio"):
    with suppress(ImportError):
        importlib.import_module(_module)

KEEPALIVE_EXPIRY_S = 300.0
"""How long an idle connection is kept, in seconds. A caller thinks longer than httpx's 5."""

MAX_IDLE_CONNECTIONS = 10
"""How many connections a client keeps. A session uses up to four at once; httpcore looks at each
idle one before and after every request, so a pool of many makes all of them slower."""

USER_AGENT = f"livekit-plugins-speko/{__version__}"
_ACCEPT = {
    "Accept": f"{EVENT_STREAM}, application/json, audio/*",
    # Compression saves nothing of audio, and lets a few bytes grow without a bound.
    "Accept-Encoding": "identity",
    "User-Agent": USER_AGENT,
}


@functools.lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    """An address as httpx wants it. Parsing takes as long as all else in making a request."""
    return httpx.URL(url)


class Transport:
    """Sends requests with the key and hands out answers whose status was a success."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        timeout_s: float,
        http_client: httpx.AsyncClient | None,
    ) -> None:
        """Use `http_client`, or make one of its own and close it in `aclose`."""
        self._api_key = api_key
        self._base_url = base_url
        self._timeout = httpx.Timeout(timeout_s)
        self._owns_client = http_client is None
        # None until the TLS context is there.
        self._client = http_client
        if http_client is None:
            scheme = httpx.URL(base_url).scheme
            if scheme == "https":
                check_certificates()
            context = context_at_hand(scheme)
            self._client = None if context is None else self._new_client(context)
        # Whether `aclose` was called: no client is made after it.
        self._closed = False
        # Requests under way.
        self._running: set[Exchange] = set()
        # Whether it was said that more of them are under way than connections are kept.
        self._told_of_crowd = False
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
            # The answer does not matter, so the key has no business there.
            async with self.open("HEAD", "/", with_key=False):
                pass
        except SpekoApiError:  # it answered, which is all that was wanted
            pass
        except Exception as error:  # a call will meet it again, and tell
            logger.debug("prewarming failed", extra={"error": type(error).__name__})

    def _new_client(self, context: ssl.SSLContext) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=context,
            # No caller waits in line for a connection.
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                keepalive_expiry=KEEPALIVE_EXPIRY_S,
            ),
            # httpx would look for this machine itself behind the environment's proxy.
            trust_env=not is_loopback(self._base_url),
        )

    async def _opened(self) -> httpx.AsyncClient:
        """The client, as soon as it can be had without holding the event loop up."""
        if self._client is None:
            context = await asyncio.to_thread(shared_context)
            if self._client is None and not self._closed:
                self._client = self._new_client(context)
        if self._client is None or self._client.is_closed:
            raise SpekoApiError(
                "The client is closed. Close it after the sessions that use it.", 0, CLIENT_CLOSED
            )
        return self._client

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json_body: Mapping[str, Any] | None = None,
        with_key: bool = True,
    ) -> Answer:
        """Send a request; return its answer with the body unread.

        Raises:
            SpekoApiError: As `Answer.check`. Or the client is closed (status 0).
            httpx.HTTPError: The network failed.
        """
        client = await self._opened()
        self._tell_of_crowd()
        all_headers = {**_ACCEPT, **(headers or {})}
        if json_body is not None:
            content = json.dumps(json_body, separators=(",", ":")).encode()
            all_headers["Content-Type"] = "application/json"
        request = client.build_request(
            method,
            _parsed(self._base_url + path),
            headers=all_headers,
            content=content,
            timeout=self._timeout,
        )
        if with_key:
            # Straight into the request: what collects tracebacks may collect their variables too.
            request.headers["Authorization"] = f"Bearer {self._api_key}"
        redaction = Redaction(self._api_key, json_body)
        exchange = Exchange(client, request, redact=redaction.key, running=self._running)
        try:
            answer = Answer(exchange, await exchange.send(), redaction)
            if (timing := CURRENT_TIMING.get()) is not None:
                timing.note_headers(parse_route_headers(answer.headers))
            await answer.check()
        except BaseException:
            await exchange.aclose()
            raise
        return answer

    def _tell_of_crowd(self) -> None:
        """Warn once of a client whose connections can't be kept: each call then makes its own."""
        crowded = self._owns_client and len(self._running) >= MAX_IDLE_CONNECTIONS
        if crowded and not self._told_of_crowd:
            self._told_of_crowd = True
            logger.warning(
                "more calls at once than this client keeps connections for, so most of them wait "
                "for a new one: make a Speko for each session",
                extra={"calls": len(self._running), "connections_kept": MAX_IDLE_CONNECTIONS},
            )

    @asynccontextmanager
    async def open(self, method: str, path: str, **options: Any) -> AsyncIterator[Answer]:
        """`send`, closing the answer in the end."""
        answer = await self.send(method, path, **options)
        try:
            yield answer
        finally:
            await answer.aclose()
