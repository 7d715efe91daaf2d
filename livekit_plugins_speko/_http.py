"""One request at a time over httpx: the key, the status, the body's form. Knows no message."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from httpx_sse import EventSource

from ._closing import closing
from ._deadline import Deadline
from ._responses import as_object, malformed, parse_error_body, parse_error_response, parse_json
from .errors import CLIENT_CLOSED, SpekoApiError
from .version import __version__

KEEPALIVE_EXPIRY_S = 300.0
"""How long an idle connection is kept, in seconds. A caller thinks longer than httpx's 5."""

MAX_ERROR_BYTES = 65_536
"""How much of an error's body is read, in bytes."""

MAX_JSON_BYTES = 16 * 1024 * 1024
"""How large an answer in JSON may be, in bytes."""

DRAIN_S = 0.1
"""Longest wait, in seconds, for the end of an answer whose last event has come."""

USER_AGENT = f"livekit-plugins-speko/{__version__}"
_EVENT_STREAM = "text/event-stream"
_REDACTED = "[api key]"


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
                limits=httpx.Limits(keepalive_expiry=KEEPALIVE_EXPIRY_S),
                # httpx would look for this machine itself behind the environment's proxy.
                trust_env=not is_loopback(base_url),
            )
        self._client = http_client

    async def aclose(self) -> None:
        """Close the connections, if they were made here."""
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
    ) -> httpx.Response:
        """Send a request; return its answer with the body unread.

        Raises:
            SpekoApiError: The status is no success. A redirect is none: the key must not travel.
                Or the client is closed (status 0).
            httpx.HTTPError: The network failed.
        """
        if self._client.is_closed:
            raise SpekoApiError(
                "The client is closed. Close it after the sessions that use it.", 0, CLIENT_CLOSED
            )
        all_headers = {
            "Authorization": f"Bearer {self._api_key}",
            "User-Agent": USER_AGENT,
            "Accept": f"{_EVENT_STREAM}, application/json, audio/*",
            **(headers or {}),
        }
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
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        self._redact(response.headers)
        if not response.is_success:
            try:
                raise await self._error(response)
            finally:
                await response.aclose()
        return response

    @asynccontextmanager
    async def open(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        """`send`, closing the answer in the end."""
        response = await self.send(method, path, **options)
        try:
            yield response
        finally:
            await response.aclose()

    async def read_json(self, response: httpx.Response) -> Any:
        """Read a whole answer as JSON.

        Raises:
            SpekoApiError: It is no JSON, or larger than `MAX_JSON_BYTES`.
        """
        body = await _read(response, MAX_JSON_BYTES + 1)
        if len(body) > MAX_JSON_BYTES:
            raise malformed(f"it is larger than {MAX_JSON_BYTES} bytes")
        return parse_json(body, "the answer")

    async def events(
        self, response: httpx.Response, known: Set[str]
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield an event stream's names and objects, as they arrive.

        Args:
            response: The answer.
            known: Events wanted. Others are skipped, whatever their data is.

        Raises:
            SpekoApiError: The answer is no event stream, or an event's data no JSON object.
            httpx.HTTPError: The network failed.
        """
        content_type: str = response.headers.get("content-type", "")
        if not content_type.lower().startswith(_EVENT_STREAM):
            raise malformed(f"expected {_EVENT_STREAM}, got {content_type or 'no content type'}")
        # httpx-sse takes no other spelling, and event streams are UTF-8 whatever the type says.
        response.headers["content-type"] = _EVENT_STREAM
        async with closing(EventSource(response).aiter_sse()) as events:
            async for event in events:
                if event.event not in known or not event.data:
                    continue
                what = f"the {event.event} event"
                payload = as_object(parse_json(event.data, what), what)
                if event.event == "error":
                    payload = self._without_key(payload)
                yield event.event, payload

    async def drain(self, events: AsyncIterator[Any]) -> None:
        """Read an answer to its end, so that its connection can be used again.

        The end stands right behind the last event. A service that keeps it back gets no wait for
        it: the connection is closed then. What goes wrong behind the last event costs nobody
        anything.
        """
        with suppress(TimeoutError, httpx.HTTPError, SpekoApiError), Deadline(DRAIN_S):
            async for _ in events:
                pass

    async def _error(self, response: httpx.Response) -> SpekoApiError:
        body = parse_error_body(await _read(response, MAX_ERROR_BYTES))
        return parse_error_response(response.status_code, response.headers, self._without_key(body))

    def _redact(self, headers: httpx.Headers) -> None:
        for name, value in headers.items():
            if self._api_key in value:
                headers[name] = value.replace(self._api_key, _REDACTED)

    def _without_key(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value.replace(self._api_key, _REDACTED) if isinstance(value, str) else value
            for name, value in payload.items()
        }


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_json(response: httpx.Response) -> bool:
    """Whether an answer has the older service's form, one JSON object."""
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "application/json"


async def _read(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])
