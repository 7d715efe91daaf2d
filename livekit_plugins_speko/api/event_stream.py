"""Server-sent events out of bytes, fed by hand. No I/O.

httpx-sse exports a reader of an `httpx.Response` alone, and here a response's bytes come out of a
task of their own. So its two decoders are used below that reader. They know the format; this module
adds UTF-8, the bound, and the event at the end of a body.
"""

from __future__ import annotations

import codecs

from httpx_sse import ServerSentEvent
from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from .limits import MAX_EVENT_BYTES
from .responses import malformed

# UTF-8 with or without a byte order mark. Looked up here: that imports a module.
_TextDecoder = codecs.getincrementaldecoder("utf-8-sig")


class EventDecoder:
    """Decoder of one event stream, which may be cut into reads anywhere.

    Lines end with LF, CRLF or CR, and with nothing else: U+2028 is a letter of a JSON string.
    """

    def __init__(self) -> None:
        self._text = _TextDecoder(errors="replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()
        # Bytes that came since the last complete event.
        self._pending_bytes = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that one read completes.

        Raises:
            SpekoApiError: An event is larger than `MAX_EVENT_BYTES`.
        """
        self._pending_bytes += len(data)
        if self._pending_bytes > MAX_EVENT_BYTES:
            raise malformed(f"an event is larger than {MAX_EVENT_BYTES} bytes")
        return self._decode(self._lines.decode(self._text.decode(data)))

    def end(self) -> list[ServerSentEvent]:
        """Return the event that lacks its blank line, the body having ended well.

        Only its data says if it is complete: a body may end well in the middle of an event.
        """
        rest = self._lines.decode(self._text.decode(b"", final=True))
        return self._decode([*rest, *self._lines.flush(), ""])

    def _decode(self, lines: list[str]) -> list[ServerSentEvent]:
        events = [event for line in lines if (event := self._events.decode(line)) is not None]
        if events:
            self._pending_bytes = 0
        return events
