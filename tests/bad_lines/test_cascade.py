"""Bad lines under HTTP: every word of the reply is heard once, and in order."""

from __future__ import annotations

from typing import Any

from livekit.agents import vad

from tests.bad_lines.cascade import check
from tests.bad_lines.rows import BadLine, bandwidth, cut, latency, silence, slices, slow_close
from tests.bad_lines.toxiproxy import Toxic, Toxiproxy
from tests.faults.network import BROKEN, RESET, TIMEOUT
from tests.faults.rows import each
from tests.faults.table import Record

# What is late if a request fails, and the size of the middle of its response, in bytes.
REQUESTS = {
    "transcribe": ("the reply", 700),
    "complete": ("the reply", 700),
    "synthesize": ("the sentence", 5_000),
}
WRITE_FAILED = "APIConnectionError, WriteError"
REFUSED = "APIConnectionError, ConnectError"


def row(fault: str, *toxics: Toxic, **more: Any) -> BadLine:
    return BadLine(fault=fault, toxics=toxics, **more)


def slow_lines() -> list[BadLine]:
    """Lines over which everything arrives."""
    both_ways = latency(150, 100), latency(150, 100, up=True)
    return [
        row("a good line"),
        row("latency of 50 to 250 ms, both ways", *both_ways, late="all words", at_least_s=0.3),
        row("20 KB/s down", bandwidth(20), late="the audio", at_least_s=0.4),
        row("20 KB/s up", bandwidth(20, up=True), late="the reply", at_least_s=0.7, patience_s=9.0),
        row("slices of 1 to 9 bytes down", slices(5)),
        row("slices of 1 to 19 bytes up", slices(10, up=True)),
        row("connections close 0.5 s late", slow_close(500), slow_close(500, up=True)),
    ]


def failing(name: str) -> list[BadLine]:
    """Lines that fail in a request, until the failure is noticed."""
    late, middle = REQUESTS[name]
    # LiveKit repeats no reply whose first words were spoken: the model would say others.
    cost = {"lost": "the reply's end"} if name == "complete" else {"late": late}

    def failed(fault: str, *toxics: Toxic, error: str, **more: Any) -> BadLine:
        made = {"at": name, "late": late, "error": error, **more}
        return row(f"{name}: {fault}", *toxics, **made)

    def begun(fault: str, *toxics: Toxic, error: str, **more: Any) -> BadLine:
        made = {"at": name, "error": error, **cost, **more}
        return row(f"{name}: {fault}", *toxics, **made)

    return [
        failed("closed after 40 bytes", cut(40), error=BROKEN),
        failed("reset after 40 bytes", cut(40), error=RESET, abrupt=True),
        begun(f"closed after {middle} bytes", cut(middle), error=BROKEN),
        begun(f"reset after {middle} bytes", cut(middle), error=RESET, abrupt=True),
        begun(f"{middle} bytes, closed late", cut(middle), slow_close(400), error=BROKEN),
        failed("silence, closed after 0.3 s", silence(300), error=BROKEN, at_least_s=0.3),
        failed("silence", silence(), error=TIMEOUT, at_least_s=1.0),
        failed("down and up", down=True, error=f"{BROKEN} / {REFUSED}"),
    ]


ROWS = [
    *slow_lines(),
    row("down before the call, then up", down=True, late="the reply", error=REFUSED),
    row("down and up between turns", at="between", down=True),
    row(
        "transcribe: closed after 9000 bytes sent",
        cut(9_000, up=True),
        late="the reply",
        error=f"{BROKEN} / {WRITE_FAILED}",
    ),
    *(each for name in REQUESTS for each in failing(name)),
]


@each(ROWS)
async def test_bad_line_costs_what_its_row_says(
    row: BadLine, toxiproxy: Toxiproxy, voice_detector: vad.VAD, record: Record
) -> None:
    record(await check(row, toxiproxy, voice_detector))
