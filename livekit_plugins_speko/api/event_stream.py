"""Server-sent events out of bytes, fed by hand. No I/O.

The format is the WHATWG's (HTML, "Server-sent events"). Fields other than ``event`` and ``data``
are left out: no service resumes one of these streams.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

from .limits import MAX_EVENT_BYTES
from .responses import malformed


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        event: Its name, ``message`` where it has none.
        data: Its text, empty where it has none.
    """

    event: str
    data: str


class EventDecoder:
    """Decoder of one event stream, which may be cut into reads anywhere.

    Lines end with LF, CRLF or CR, and with nothing else: U+2028 is a letter of a JSON string.
    """

    def __init__(self) -> None:
        # Reads of a line whose end has not come.
        self._line: list[bytes] = []
        # True after a read that ends with CR: an LF that follows belongs to it.
        self._after_cr = False
        # True before the first line, which may begin with a byte order mark.
        self._at_start = True
        # Name and lines of data of the event whose blank line has not come.
        self._name = b""
        self._data: list[bytes] = []
        # Bytes that came since the last complete event.
        self._pending_bytes = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that one read completes.

        Raises:
            SpekoApiError: An event is larger than `MAX_EVENT_BYTES`.
        """
        if not data:  # a CR before it still waits for its LF
            return []
        self._pending_bytes += len(data)
        if self._pending_bytes > MAX_EVENT_BYTES:
            raise malformed(f"an event is larger than {MAX_EVENT_BYTES} bytes")
        lines = self._with_line_feeds(data).split(b"\n")
        if len(lines) == 1:
            self._line.append(lines[0])
            return []
        if self._line:
            lines[0] = b"".join((*self._line, lines[0]))
        self._line = [rest] if (rest := lines.pop()) else []
        return self._events(lines)

    def end(self) -> list[ServerSentEvent]:
        """Return the event that lacks its blank line, the body having ended well.

        Only its data says if it is complete: a body may end well in the middle of an event.
        """
        line, self._line = b"".join(self._line), []
        return self._events([line, b""])

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Return a read, which is not empty, with lines that all end with LF."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _events(self, lines: list[bytes]) -> list[ServerSentEvent]:
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
        events: list[ServerSentEvent] = []
        for line in lines:
            if line:
                self._read(line)
            elif self._name or self._data:
                events.append(self._event())
        return events

    def _read(self, line: bytes) -> None:
        """Read one line of an event. A comment is a field without a name."""
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._name = value.removeprefix(b" ")

    def _event(self) -> ServerSentEvent:
        name, data = self._name or b"message", b"\n".join(self._data)
        self._name, self._data = b"", []
        self._pending_bytes = 0
        return ServerSentEvent(name.decode(errors="replace"), data.decode(errors="replace"))
