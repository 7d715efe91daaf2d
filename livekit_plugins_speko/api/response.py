"""An answer while it arrives: its headers, and its body as JSON, as events or as bytes."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Set
from contextlib import suppress
from typing import Any, cast

import httpx
from httpx_sse import EventSource

from .._aio import Deadline, closing
from ..errors import SpekoApiError
from .exchange import Exchange
from .limits import MAX_ERROR_BYTES, MAX_EVENT_BYTES, MAX_JSON_BYTES
from .redaction import Redaction
from .responses import as_object, malformed, parse_error_body, parse_error_response, parse_json

ERROR_BODY_S = 0.25
"""Longest wait, in seconds, for what an error says beside its status, which is what counts."""

DRAIN_S = 0.1
"""Longest wait, in seconds, for the end of an answer that has said all it had to say."""

EVENT_STREAM = "text/event-stream"
"""Media type of an event stream, the service's current form."""

JSON_TYPE = "application/json"
"""Media type of one JSON object, the older service's form."""

# UTF-8 with or without a byte order mark. Looked up here: that imports a module.
_TextDecoder = codecs.getincrementaldecoder("utf-8-sig")


class Answer:
    """The answer to one request, whose headers have come. Iterating gives its body's bytes.

    It owns the connection until it is read to its end or closed. Used by one task.
    """

    def __init__(self, exchange: Exchange, head: httpx.Response, redaction: Redaction) -> None:
        """Take over an exchange whose body is unread, and take the key out of its headers."""
        self._exchange = exchange
        self._status = head.status_code
        self._redaction = redaction
        self.headers = httpx.Headers(
            [(name, redaction.header(value)) for name, value in head.headers.multi_items()],
            encoding=head.headers.encoding,
        )

    @property
    def media_type(self) -> str:
        """The content type without its parameters, lower case."""
        content_type: str = self.headers.get("content-type", "")
        return content_type.partition(";")[0].strip().lower()

    async def aclose(self) -> None:
        """Give the connection back if the answer was read to its end, else close it."""
        await self._exchange.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._exchange

    async def check(self) -> None:
        """Check that the answer is no error, and can be read.

        Raises:
            SpekoApiError: The status is no success; a redirect is none: the key must not travel.
                Or the body is compressed, which nobody asked for.
        """
        if not 200 <= self._status < 300:
            raise await self._error()
        encoding = self.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in ("", "identity"):
            raise malformed(f"it is compressed ({encoding}), expected it as it is")

    async def _error(self) -> SpekoApiError:
        """The error that the status says, whether or not the body comes."""
        body = b""
        with suppress(TimeoutError, httpx.HTTPError):
            async with Deadline(ERROR_BODY_S):
                body = await self._read(MAX_ERROR_BYTES)
        payload = self._redaction.payload(parse_error_body(body))
        return parse_error_response(self._status, self.headers, payload)

    async def json(self) -> Any:
        """Read all of it as JSON.

        Raises:
            SpekoApiError: It is no JSON, or larger than `MAX_JSON_BYTES`.
        """
        body = await self._read(MAX_JSON_BYTES + 1)
        if len(body) > MAX_JSON_BYTES:
            raise malformed(f"it is larger than {MAX_JSON_BYTES} bytes")
        return parse_json(body, "the answer")

    async def events(self, known: Set[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield an event stream's names and objects, as they arrive.

        Args:
            known: Events wanted. Others are skipped, whatever their data is.

        Raises:
            SpekoApiError: The answer is no event stream, an event's data no JSON object, or an
                event larger than `MAX_EVENT_BYTES`.
            httpx.HTTPError: The network failed.
        """
        if self.media_type != EVENT_STREAM:
            found = self.headers.get("content-type") or "no content type"
            raise malformed(f"expected {EVENT_STREAM}, got {found}")
        body = _EventText(self._exchange)
        # All that it asks of a response is its type and its text.
        source = EventSource(cast(httpx.Response, body))
        async with closing(source.aiter_sse()) as events:
            async for event in events:
                body.pending_bytes = 0
                if event.event not in known or not event.data:
                    continue
                what = f"the {event.event} event"
                payload = as_object(parse_json(event.data, what), what)
                if event.event == "error":
                    payload = self._redaction.payload(payload)
                else:
                    self._redaction.hear(payload)
                yield event.event, payload

    async def _read(self, limit: int) -> bytes:
        body = bytearray()
        async for chunk in self._exchange:
            body += chunk
            if len(body) >= limit:
                break
        return bytes(body[:limit])


class _EventText:
    """The text of an event stream, none of whose events may be too large.

    It stands in for an `httpx.Response`, which passes each read through four generators.
    """

    def __init__(self, chunks: Exchange) -> None:
        self.headers = {"content-type": EVENT_STREAM}
        self._chunks = chunks
        # Bytes that came since the last event that was complete.
        self.pending_bytes = 0

    async def aiter_text(self) -> AsyncIterator[str]:
        """Yield the text as it arrives: UTF-8, whatever the answer's type says."""
        decoder = _TextDecoder(errors="replace")
        async for chunk in self._chunks:
            self.pending_bytes += len(chunk)
            if self.pending_bytes > MAX_EVENT_BYTES:
                raise malformed(f"an event is larger than {MAX_EVENT_BYTES} bytes")
            if text := decoder.decode(chunk):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text


async def drain(items: AsyncIterator[Any]) -> None:
    """Read an answer to its end, so that its connection can be used again.

    The end stands right behind what was read last. A service that keeps it back gets no wait for
    it: the connection is closed then. What goes wrong there costs nobody anything.
    """
    with suppress(TimeoutError, httpx.HTTPError, SpekoApiError):
        async with Deadline(DRAIN_S):
            async for _ in items:
                pass
