"""Bad lines under speech to speech: every word is understood and heard once, or reported lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bad_lines.realtime import FORMS, check
from tests.bad_lines.rows import BadLine, bandwidth, cut, latency, silence, slices, slow_close
from tests.bad_lines.toxiproxy import Toxic, Toxiproxy
from tests.faults.table import Record

LATE = latency(150, 100), latency(150, 100, up=True)
DEAD = silence(), silence(up=True)
REFUSED = "APIConnectionError, ConnectError"
LOST = "APIConnectionError"
PLACES = {
    "in a question": {"late": "the reply"},
    "before a reply": {"late": "the reply"},
    "in a reply": {"lost": "the reply's end"},
}


def row(fault: str, *toxics: Toxic, **more: Any) -> BadLine:
    return BadLine(fault=fault, toxics=toxics, **more)


def failing(place: str) -> list[BadLine]:
    """Lines that fail at a place of a turn, until the connection is lost."""

    def failed(fault: str, *toxics: Toxic, **more: Any) -> BadLine:
        made = {"at": place, "error": LOST, **PLACES[place], **more}
        return row(f"{place}, {fault}", *toxics, **made)

    up = place == "in a question"
    return [
        failed("closed", cut(3, up=up)),
        failed("reset", cut(3, up=up), abrupt=True),
        failed("down for 0.3 s", down=True, for_s=0.3, error=f"{LOST} / {REFUSED}"),
    ]


ROWS = [
    row("a good line"),
    row("latency of 50 to 250 ms", *LATE, late="all words", at_least_s=0.3),
    row("30 KB/s up", bandwidth(30, up=True), late="the reply", at_least_s=0.6),
    row("slices of 1 to 19 bytes", slices(10), slices(10, up=True)),
    row("closes 0.5 s late", slow_close(500), slow_close(500, up=True)),
    *(each for place in PLACES for each in failing(place)),
    row("in a question, silence", *DEAD, at="in a question", late="the reply", error=LOST),
]
# What depends on the wire.
OTHERS = ("slices of 1 to 19 bytes", "in a question, reset", "before a reply, closed")
CALLS = [(form, each) for form in FORMS for each in ROWS if form == "proxy" or each.fault in OTHERS]


@pytest.mark.parametrize(("form", "row"), CALLS, ids=[f"{form}: {_.fault}" for form, _ in CALLS])
async def test_bad_line_costs_what_its_row_says(
    form: str, row: BadLine, toxiproxy: Toxiproxy, record: Record
) -> None:
    record(await check(row, form, toxiproxy))
