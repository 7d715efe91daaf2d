"""Bad lines under streaming recognition: every word is understood once, without an error."""

from __future__ import annotations

from typing import Any

from livekit.agents import vad

from tests.bad_lines.recognition import PLACES, check, see_session
from tests.bad_lines.rows import BadLine, bandwidth, cut, latency, silence, slices, slow_close
from tests.bad_lines.toxiproxy import Toxic, Toxiproxy
from tests.faults.rows import each
from tests.faults.table import Record

LATE = latency(150, 100), latency(150, 100, up=True)
DEAD = silence(), silence(up=True)
ALL_LATER = "the next utterance"


def row(fault: str, *toxics: Toxic, **more: Any) -> BadLine:
    return BadLine(fault=fault, toxics=toxics, **more)


def slow_lines() -> list[BadLine]:
    """Lines over which everything arrives."""
    return [
        row("a good line"),
        row("latency of 50 to 250 ms, both ways", *LATE, late="all words", at_least_s=0.3),
        row("64 KB/s up", bandwidth(64, up=True), late="all words", at_least_s=0.4, patience_s=9.0),
        row("1 KB/s down", bandwidth(1), late="all words", at_least_s=0.2),
        row("slices of 1 to 9 bytes down", slices(5)),
        row("slices of 1 to 19 bytes up", slices(10, up=True)),
        row("connections close 0.5 s late", slow_close(500), slow_close(500, up=True)),
    ]


def failing(place: str) -> list[BadLine]:
    """Lines that fail at a place of a recognition, until the connection is lost."""

    def failed(fault: str, *toxics: Toxic, **more: Any) -> BadLine:
        return row(f"{place}: {fault}", *toxics, at=place, late="the utterance", **more)

    return [
        failed("closed after 3 bytes", cut(3)),
        failed("reset after 3 bytes", cut(3), abrupt=True),
        failed("closed at 1000 bytes sent", cut(1_000, up=True)),
        failed("silence, closed in 0.3 s", silence(300), at_least_s=0.3),
        failed("down for 0.3 s", down=True, for_s=0.3),
    ]


ROWS = [
    *slow_lines(),
    row("closed in the handshake, after 40 bytes", cut(40), late="all words"),
    row("reset after the handshake, 250 bytes", cut(250), abrupt=True, late="all words"),
    row("down for 0.3 s before the stream", down=True, for_s=0.3, late="all words"),
    row("ready, then closed late", cut(250), slow_close(400), late="all words", at_least_s=0.4),
    row("in a word: silence", *DEAD, at="in a word", late="the utterance", at_least_s=1.0),
    row("after a final: silence", *DEAD, at="after a final", late=ALL_LATER, at_least_s=1.0),
    *(each for place in PLACES if place != "start" for each in failing(place)),
]


SESSIONS = [
    row("a session: latency of 50 to 250 ms", *LATE, for_s=1.5, late="the reply"),
    row("a session: down for 0.3 s in a word", at="in a word", down=True, for_s=0.3),
    row("a session: reset at 1000 bytes sent", cut(1_000, up=True), at="in a word", abrupt=True),
]


@each(SESSIONS)
async def test_bad_line_under_a_session_costs_no_word(
    row: BadLine, toxiproxy: Toxiproxy, voice_detector: vad.VAD, record: Record
) -> None:
    record(await see_session(row, toxiproxy, voice_detector))


@each(ROWS)
async def test_bad_line_costs_no_word(row: BadLine, toxiproxy: Toxiproxy, record: Record) -> None:
    record(await check(row, toxiproxy))
