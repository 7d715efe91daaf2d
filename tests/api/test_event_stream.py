"""Events out of bytes that are fed by hand, cut anywhere."""

from __future__ import annotations

import pytest

from livekit_plugins_speko import SpekoApiError
from livekit_plugins_speko.api.event_stream import EventDecoder
from livekit_plugins_speko.api.limits import MAX_EVENT_BYTES

BODY = (
    'event: delta\ndata: {"text":"Grüße\u2028🙂"}\n\n'
    ": keepalive\n\n"
    "id: 7\nretry: 10\n: x\n\n"
    "event:done\ndata: {\ndata:}\n\n"
)
EVENTS = [("delta", '{"text":"Grüße\u2028🙂"}'), ("done", "{\n}")]
LINE_ENDS = pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])


def decode(body: bytes, size: int) -> list[tuple[str, str]]:
    """The events of a body in reads of one size and empty ones, but for those without data."""
    decoder = EventDecoder()
    reads = [body[at : at + size] for at in range(0, len(body), size)]
    events = [event for read in reads for part in (read, b"") for event in decoder.feed(part)]
    events += decoder.end()
    return [(event.event, event.data) for event in events if event.data]


@LINE_ENDS
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
def test_events_survive_reads_cut_anywhere(size: int, newline: str, mark: str) -> None:
    assert decode((mark + BODY.replace("\n", newline)).encode(), size) == EVENTS


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_event_is_returned_with_the_read_that_completes_it(newline: str) -> None:
    decoder = EventDecoder()
    assert decoder.feed(f"data: 1{newline}".encode()) == []
    (event,) = decoder.feed(newline.encode())
    assert event.data == "1"


@LINE_ENDS
@pytest.mark.parametrize("missing", [1, 2])
def test_last_event_may_lack_its_blank_line(newline: str, missing: int) -> None:
    body = BODY.replace("\n", newline)[: -missing * len(newline)]
    assert decode(body.encode(), 5) == EVENTS


def test_body_that_ends_after_a_blank_line_has_no_event_left() -> None:
    decoder = EventDecoder()
    decoder.feed(b"data: 1\n\n")
    assert decoder.end() == []


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    assert decode(b"data: \xff\n\n", 100) == [("message", "\ufffd")]


def test_size_limit_is_per_event() -> None:
    decoder = EventDecoder()
    half = b"data: " + b"a" * (MAX_EVENT_BYTES // 2) + b"\n\n"
    for _ in range(4):
        assert len(decoder.feed(half)) == 1
    decoder.feed(b": keepalive\n\n" + half[:-2])
    with pytest.raises(SpekoApiError, match=f"larger than {MAX_EVENT_BYTES} bytes") as raised:
        decoder.feed(half)
    assert raised.value.code == "MALFORMED_RESPONSE"
