"""Responses that fail a call and repeat what the request said."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.helpers.raw_server import EVENT_STREAM, answer, events

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html"}
PCM = {"Content-Type": "audio/pcm;rate=24000"}
# Each raises an error of another class, or is treated in a way of its own.
STATUSES = (302, 401, 429, 499, 503)


@dataclass(frozen=True)
class Fault:
    """What a server does.

    Attributes:
        answer: What it sends.
        hold: Whether it keeps the connection open afterwards.
    """

    answer: bytes
    hold: bool = False


def refusals(said: str) -> dict[str, Fault]:
    """Errors whose bodies hold `said`, by their names."""
    refused = _refused(said)
    long = json.dumps({"error": f"{said} " * 200, "code": "LONG"})
    answers = {
        **{f"status {status}": answer(refused, status=status, headers=JSON) for status in STATUSES},
        "escaped": answer(refused.replace("/", "\\/"), status=401, headers=JSON),
        "often": answer(long, status=500, headers=JSON),
        "html": answer(f"<p>{said}</p>", status=502, headers=HTML),
        "cut off": answer(refused, status=500, headers=JSON, whole=False),
    }
    return {name: Fault(sent) for name, sent in answers.items()}


def _refused(said: str) -> str:
    return json.dumps({"error": f"refused: {said}", "code": said, "more": [said]})


def unreadable(said: str) -> dict[str, Fault]:
    """Responses with status 200 that hold `said` and are, or end in, a fault, by their names."""
    refused = _refused(said)
    nameless = json.dumps({"text": 1, "toolCalls": [{"args": said}]})
    answers = {
        "json that is none": answer(refused[:-1], headers=JSON),
        "json of another form": answer(f"[{refused}]", headers=JSON),
        "text": answer(said, headers={"Content-Type": "text/plain"}),
        "error event": answer(events(("error", refused)), headers=EVENT_STREAM),
        "event that is no json": answer(events(("done", refused[:-1])), headers=EVENT_STREAM),
        "event of another form": answer(events(("done", f"[{refused}]")), headers=EVENT_STREAM),
        "call without a name": answer(events(("done", nameless)), headers=EVENT_STREAM),
        "event cut off": answer(events(("meta", refused))[:-3], headers=EVENT_STREAM, whole=False),
        "no wav": answer(f"RIFF {said}", headers={"Content-Type": "audio/wav"}),
    }
    return {name: Fault(sent) for name, sent in answers.items()}


def header_echoes(said: str) -> dict[str, Fault]:
    """Faults whose headers hold `said`, and malformed headers."""
    return {
        "content type": Fault(answer("{}", headers={"Content-Type": f"text/{said}"})),
        "provider": Fault(answer("{}", headers={**HTML, "X-Speko-Provider": said})),
        "location": Fault(answer(status=307, headers={"Location": f"http://127.0.0.1/{said}"})),
        "encoding": Fault(answer("{}", headers={**JSON, "Content-Encoding": said})),
        "bad location": Fault(answer(status=302, headers={"Location": f"http://[{said}"})),
        "bad status line": Fault(f"HTTP/1.1 {said}\r\n\r\n".encode()),
        "bad header": Fault(f"HTTP/1.1 200 OK\r\n{said} {said}: a\r\n\r\n".encode()),
        "bad length": Fault(answer(headers={"Content-Length": said})),
        "retry": Fault(answer("{}", status=429, headers={"Retry-After": said})),
    }


def silences() -> dict[str, Fault]:
    """Faults that repeat nothing: connections that are cut, hang, or are not HTTP."""
    return {
        "reset": Fault(b""),
        "no http": Fault(b"220 mail.example ESMTP\r\n"),
        "silence": Fault(b"", hold=True),
        "stall": Fault(answer(": wait\n\n", headers=EVENT_STREAM, whole=False), hold=True),
        "broken audio": Fault(answer(b"abc", headers=PCM, whole=False)),
    }
