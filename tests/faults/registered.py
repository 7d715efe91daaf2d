"""The rows of the registered tools: faults of their fetch, and invalid rows in its response."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from livekit_plugins_speko.api.limits import MAX_JSON_BYTES, MAX_TOOLS
from livekit_plugins_speko.testing import Answer, Latency, Refusal
from tests.faults.answers import End, Raw, closed, endless, reset, silence
from tests.faults.fetches import ToolsRow
from tests.faults.network import STATUSES
from tests.faults.rows import IMPATIENT_S
from tests.faults.stages import JSON, cut
from tests.helpers.tools_calls import filled_row

GOOD = (filled_row("book"), filled_row("cancel"))
BOTH = ("book", "cancel")
THREE = (*BOTH, "odd")


def tools_rows() -> list[ToolsRow]:
    """Every row about the registered tools."""
    return [*_network(), *_statuses(), *_answers(), *_strange(), *_works()]


def _network() -> list[ToolsRow]:
    start = json.dumps(GOOD).encode()[:99]

    def row(fault: str, error: str, then: End, *pieces: bytes, **more: Any) -> ToolsRow:
        # Without a piece not even the headers come.
        answer = Raw(pieces, JSON, then=then, status=200 if pieces else None)
        return ToolsRow(fault=fault, answer=answer, error=error, **more)

    late: dict[str, Any] = {"bound_s": IMPATIENT_S}
    return [
        ToolsRow(fault="connection refused", answer=None, error="ConnectError"),
        row("accepted, then silence *", "TimeoutError", silence, **late),
        row("a stall in the middle *", "TimeoutError", silence, start, **late),
        row("an answer that drips for ever *", "TimeoutError", endless(b" "), b"[", **late),
        row("reset before the headers", "ReadError", reset),
        row("closed before the headers", "RemoteProtocolError", closed),
        row("reset in the middle", "ReadError", reset, start),
        row("closed in the middle", "RemoteProtocolError", closed, start),
    ]


def _statuses() -> list[ToolsRow]:
    def row(fault: str, error: str, answer: Answer) -> ToolsRow:
        return ToolsRow(fault=fault, answer=answer, error=error)

    limited = Refusal(429, "slow down", "RATE_LIMITED", headers={"Retry-After": "1"})
    return [
        *(
            row(f"{status} {code}", f"{status} {code}", Refusal(status, "no", code))
            for status, code, _ in STATUSES
        ),
        row("429, Retry-After: 1", "429 RATE_LIMITED", limited),
        row("502 with a proxy's HTML", "502 UNKNOWN", Refusal(502, body="<html></html>")),
        row("307 to another host", "307 UNKNOWN", Raw(status=307, headers={"Location": "/x"})),
    ]


def _answers() -> list[ToolsRow]:
    def row(fault: str, *pieces: bytes, content_type: str = JSON) -> ToolsRow:
        answer = Raw(pieces, content_type)
        return ToolsRow(fault=fault, answer=answer, error="200 MALFORMED_RESPONSE")

    huge = (b"[", *cut(b" " * MAX_JSON_BYTES, 65_536), b"]")
    many = json.dumps([filled_row(f"tool{number}") for number in range(MAX_TOOLS + 1)])
    return [
        row("empty 200"),
        row("JSON that is none", b'[{"name": '),
        row("text/html with status 200", b"<html></html>", content_type="text/html"),
        row("an object in place of a list", b'{"tools": []}'),
        row("null in place of a list", b"null"),
        row(f"more than {MAX_TOOLS} rows", many.encode()),
        row("more than 4 MiB", *huge),
    ]


def _strange() -> list[ToolsRow]:
    """A bad row between two good ones: the good ones are kept."""
    good, odd = filled_row("odd"), {"name": "odd", "source": {"kind": "inline"}}

    def row(fault: str, bad: Any) -> ToolsRow:
        answer = Raw((json.dumps([GOOD[0], bad, GOOD[1]]).encode(),), JSON)
        return ToolsRow(fault=f"a row: {fault}", answer=answer, tools=BOTH, bad_row=True)

    return [
        row("null", None),
        row("a number", 7),
        row("a text", "book"),
        row("a list", [good]),
        row("an empty object", {}),
        row("no name", {key: value for key, value in good.items() if key != "name"}),
        row("an empty name", {**good, "name": ""}),
        row("a number for a name", {**good, "name": 7}),
        row("no parameters", odd),
        row("a list for parameters", {**good, "parameters": []}),
        row("a text for parameters", {**good, "parameters": "{}"}),
        row("no source", {**good, "source": None}),
        row("a source without a kind", {**good, "source": {"url": "https://example.com"}}),
        row("a number for a kind", {**good, "source": {"kind": 1}}),
    ]


def _works() -> list[ToolsRow]:
    def row(fault: str, *rows: Any, tools: Sequence[str] = BOTH) -> ToolsRow:
        return ToolsRow(
            fault=fault, answer=Raw((json.dumps(rows).encode(),), JSON), tools=tuple(tools)
        )

    body = json.dumps(GOOD).encode()
    unusual = {**filled_row("odd"), "description": None, "preToolSpeech": 7, "createdAt": 0}
    slow = Latency(first_s=2 * IMPATIENT_S)
    return [
        row("a row: no description, a new field", *GOOD, {**unusual, "new": 1}, tools=THREE),
        row("two rows of one name", *GOOD, GOOD[0]),
        row("no tools at all", tools=()),
        ToolsRow(fault="split at every byte", answer=Raw(tuple(cut(body, 1)), JSON), tools=BOTH),
        ToolsRow(
            fault="slow, below its bound", answer=Raw((body,), JSON), tools=BOTH, latency=slow
        ),
    ]
