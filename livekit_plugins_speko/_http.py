"""One request at a time over httpx: the connections, the key, the headers. Knows no message."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from ._answer import EVENT_STREAM, Answer
from ._exchange import Exchange
from ._redaction import Redaction
from ._settings import is_loopback
from .errors import CLIENT_CLOSED, SpekoApiError
from .version import __version__

KEEPALIVE_EXPIRY_S = 300.0
"""How long an idle connection is kept, in seconds. A caller thinks longer than httpx's 5."""

USER_AGENT = f"livekit-plugins-speko/{__version__}"
_ACCEPT = {
    "Accept": f"{EVENT_STREAM}, application/json, audio/*",
    # Compression saves nothing of audio, and lets a few bytes grow without a bound.
    "Accept-Encoding": "identity",
    "User-Agent": USER_AGENT,
}


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
        if http_client is None:
            http_client = httpx.AsyncClient(
                # No caller waits in line for a connection.
                limits=httpx.Limits(max_connections=None, keepalive_expiry=KEEPALIVE_EXPIRY_S),
                # httpx would look for this machine itself behind the environment's proxy.
                trust_env=not is_loopback(base_url),
            )
        self._client = http_client
        # Requests under way.
        self._running: set[Exchange] = set()

    async def aclose(self) -> None:
        """End the requests under way, and close the connections if they were made here."""
        try:
            for exchange in list(self._running):
                await exchange.aclose()
        finally:
            if self._owns_client:
                await self._client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json_body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send a request; return its answer with the body unread.

        Raises:
            SpekoApiError: As `Answer.check`. Or the client is closed (status 0).
            httpx.HTTPError: The network failed.
        """
        if self._client.is_closed:
            raise SpekoApiError(
                "The client is closed. Close it after the sessions that use it.", 0, CLIENT_CLOSED
            )
        all_headers = {**_ACCEPT, **(headers or {})}
        if json_body is not None:
            content = json.dumps(json_body, separators=(",", ":")).encode()
            all_headers["Content-Type"] = "application/json"
        request = self._client.build_request(
            method,
            self._base_url + path,
            headers=all_headers,
            content=content,
            timeout=self._timeout,
        )
        # Straight into the request: what collects tracebacks may collect their variables too.
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        redaction = Redaction(self._api_key, json_body)
        exchange = Exchange(self._client, request, redact=redaction.key, running=self._running)
        try:
            answer = Answer(exchange, await exchange.send(), redaction)
            await answer.check()
        except BaseException:
            await exchange.aclose()
            raise
        return answer

    @asynccontextmanager
    async def open(self, method: str, path: str, **options: Any) -> AsyncIterator[Answer]:
        """`send`, closing the answer in the end."""
        answer = await self.send(method, path, **options)
        try:
            yield answer
        finally:
            await answer.aclose()
