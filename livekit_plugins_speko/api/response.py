"""One response while it arrives: its headers, and its body as JSON, as events or as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Set
from contextlib import suppress

import httpx

from .._aio import Deadline
from ..errors import SpekoApiError
from .event_stream import EventDecoder, ServerSentEvent
from .exchange import Exchange
from .limits import MAX_ERROR_BYTES, MAX_JSON_BYTES
from .redaction import Redaction
from .responses import as_object, malformed, parse_error_body, parse_error_response, parse_json

ERROR_BODY_S = 0.25
"""Longest wait, in seconds, for the body of an error. Its status is what counts."""

DRAIN_S = 0.1
"""Longest wait, in seconds, for the end of a response that is complete but for it."""

LATE_ERRORS = (TimeoutError, httpx.HTTPError, SpekoApiError)
"""Errors of a response that cost nothing once it has said all it had to say."""

EVENT_STREAM = "text/event-stream"
"""Media type of an event stream, the service's current form."""

JSON_TYPE = "application/json"
"""Media type of one JSON object, the older service's form."""


class Response:
    """The response to one request, whose headers have come. Iterating gives its body's bytes.

    It owns the connection until it is read to its end or closed. Used by one task.
    """

    def __init__(self, exchange: Exchange, head: httpx.Response, redaction: Redaction) -> None:
        """Take over an exchange whose body is unread, and remove the key from its headers."""
        self._exchange = exchange
        self._status = head.status_code
        self._redaction = redaction
        # By their names in lower case. As httpx has them, each look-up decodes all of them.
        self.headers = {name: redaction.key(value) for name, value in head.headers.items()}

    @property
    def media_type(self) -> str:
        """The content type without its parameters, lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def aclose(self) -> None:
        """Give the connection back if the response was read to its end, else close it."""
        await self._exchange.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._exchange

    def pause(self, seconds: float) -> None:
        """Read no more for so long: what arrives meanwhile is one read, which costs less."""
        self._exchange.pause(seconds)

    async def check(self) -> None:
        """Check that the response is a success and can be read.

        Raises:
            SpekoApiError: The status is no success; a redirect is none, since the key must not
                travel. Or the body is compressed, which was not requested.
        """
        if not 200 <= self._status < 300:
            raise await self._error()
        encoding = self.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in ("", "identity"):
            raise malformed(f"it is compressed ({encoding}), expected it as it is")

    async def _error(self) -> SpekoApiError:
        """Build the error of the status, with or without a body."""
        body = b""
        with suppress(TimeoutError, httpx.HTTPError):
            async with Deadline(ERROR_BODY_S):
                body = await self._read(MAX_ERROR_BYTES)
        payload = self._redaction.error(parse_error_body(body))
        return parse_error_response(self._status, self.headers, payload)

    async def json(self) -> object:
        """Read all of it as JSON.

        Raises:
            SpekoApiError: It is no JSON, or larger than `MAX_JSON_BYTES`.
        """
        body = await self._read(MAX_JSON_BYTES + 1)
        if len(body) > MAX_JSON_BYTES:
            raise malformed(f"it is larger than {MAX_JSON_BYTES} bytes")
        return parse_json(body, "the response")

    async def events(self, known: Set[str]) -> AsyncIterator[tuple[str, dict[str, object]]]:
        """Yield an event stream's names and objects, as they arrive.

        The last event may lack the blank line after it where the body ended well and its JSON is
        complete. If that is cut off it counts as not sent.

        Args:
            known: Events wanted. Others are skipped, whatever their data is.

        Raises:
            SpekoApiError: The response is no event stream, an event's data no JSON object, or an
                event larger than `MAX_EVENT_BYTES`.
            httpx.HTTPError: The network failed.
        """
        if self.media_type != EVENT_STREAM:
            found = self.headers.get("content-type") or "no content type"
            raise malformed(f"expected {EVENT_STREAM}, got {found}")
        decoder = EventDecoder()
        async for chunk in self._exchange:
            for event in decoder.feed(chunk):
                if event.event in known and event.data:
                    yield event.event, self._payload(event)
        for event in decoder.end():
            if event.event in known and event.data and _is_json(event.data):
                yield event.event, self._payload(event)

    def _payload(self, event: ServerSentEvent) -> dict[str, object]:
        """Parse an event's object; redact that of an error."""
        name = f"the {event.event} event"
        payload = as_object(parse_json(event.data, name), name)
        if event.event == "error":
            return {**self._redaction.error(payload)}
        self._redaction.note(event.event, payload)
        return payload

    async def _read(self, limit: int) -> bytes:
        body = bytearray()
        async for chunk in self._exchange:
            body += chunk
            if len(body) >= limit:
                break
        return bytes(body[:limit])


def _is_json(text: str) -> bool:
    try:
        parse_json(text, "the event")
    except SpekoApiError:
        return False
    return True


async def drain(items: AsyncIterator[object]) -> None:
    """Read a response to its end so that its connection can be reused.

    The end follows at once what was read last. A service that keeps it back is not waited for: the
    connection is closed then. A fault there costs the call nothing.
    """
    with suppress(*LATE_ERRORS):
        async with Deadline(DRAIN_S):
            async for _ in items:
                pass
