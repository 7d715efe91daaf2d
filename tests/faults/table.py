"""Prints the outcomes of the matrix: a plugin of pytest, with the option --print-faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import pytest

WIDTH = 160
_PROPERTY = "fault_seen"
_COLUMNS = (42, 40, 36, 39)
_HEARD = f"{'retries':7} {'time':>6}  heard"
_USUAL_HEADINGS = (
    ("", "", "the fault stays", "the fault passes after one answer"),
    ("fault", "error that LiveKit sees, cause", _HEARD, _HEARD),
)
_STREAM_HEADINGS = (
    ("fault of the first connection", "error that ends the stream", "reports   time  heard", ""),
)
_TOOLS_HEADINGS = (("fault", "cause of the error reported", _HEARD, "tools the model is offered"),)
_LINE_HEADINGS = (
    ("line", "errors reported on the way", "reports   time  heard", "late / lost / said twice"),
)
_CALL_HEADINGS = (
    ("fault", "last error that is reported", "reports   time  the call", "forms of the wire"),
)
_HEADINGS = {
    "tools": _TOOLS_HEADINGS,
    "transcribe_stream": _STREAM_HEADINGS,
    **dict.fromkeys(("drops", "replies", "calls", "ends"), _CALL_HEADINGS),
    **dict.fromkeys(("bad_http", "bad_stream", "bad_realtime"), _LINE_HEADINGS),
}
_LEGEND = (
    "",
    "THE MATRIX OF FAULTS, as this run saw it.",
    "LiveKit may try once more (max_retry=1), after its usual 0.1 s. conn_options.timeout is 5 s,",
    "and 0.4 s where the fault is a silence. An empty last column: nothing is tried again.",
    "* A fetch of registered tools may take 5 s; here it may take 0.4 s.",
    "Speech to speech has three attempts of 2 s, or of 1 s where the fault is a silence. Where it",
    "goes on, the next reply is heard whole, and a new session knows what was said and heard.",
)
_TITLES = {
    "transcribe": "TRANSCRIBE: what the agent understood of the caller",
    "transcribe_stream": "RECOGNITION THAT STREAMS: the words that were understood",
    "complete": "COMPLETE: what came of the model's reply",
    "synthesize": "SYNTHESIZE: what the caller heard of the sentence",
    "audio": "SYNTHESIZE, by the form of the audio: what the caller heard of the sentence",
    "tools": "REGISTERED TOOLS: the first turn, which fetches them",
    "connecting": "SPEECH TO SPEECH: a session that cannot be made, in each form of the wire",
    "drops": "SPEECH TO SPEECH: a connection that is lost or closed, and what became of the call",
    "replies": "SPEECH TO SPEECH: odd replies, and a caller who interrupts",
    "calls": "SPEECH TO SPEECH: tool calls",
    "ends": "SPEECH TO SPEECH: a session whose life ends, and a caller who leaves",
    "bad_http": "BAD LINES, HTTP: a turn of a session, from the caller's words to the spoken reply",
    "bad_stream": "BAD LINES, RECOGNITION THAT STREAMS: the words that were understood",
    "bad_realtime": "BAD LINES, SPEECH TO SPEECH: turns of a session with a voice model",
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The outcome of one call.

    Attributes:
        stage: The part of the table that it belongs to.
        fault: What the service did.
        passes: Whether it did so in its first answer only.
        error: LiveKit's error and its cause; empty when there was none.
        retries: How often the call was tried again.
        requests: How many requests the service got.
        seconds: How long the call took.
        heard: What came of it.
        note: What else there is to tell.
    """

    stage: str
    fault: str
    passes: bool
    error: str
    retries: int
    requests: int
    seconds: float
    heard: str
    note: str = ""


Record: TypeAlias = Callable[[Seen], None]


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Record:
    """Adds an outcome to the table."""
    return lambda seen: record_property(_PROPERTY, asdict(seen))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--print-faults", action="store_true", help="print the matrix of faults at the end"
    )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--print-faults"):
        return
    reports = (report for group in terminalreporter.stats.values() for report in group)
    for line in (*_LEGEND, *lines(_recorded(reports))):
        terminalreporter.write_line(line)


def _recorded(reports: Iterable[Any]) -> Iterator[Seen]:
    for report in reports:
        if getattr(report, "when", None) == "call":
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    yield Seen(**value)


def lines(seen: Iterable[Seen]) -> list[str]:
    """The table, in the order of the stages, the rows of each in the order in which they came."""
    stages: dict[str, dict[str, list[Seen]]] = {stage: {} for stage in _TITLES}
    for each in seen:
        stages[each.stage].setdefault(each.fault, []).append(each)
    found = []
    for stage, rows in stages.items():
        if rows:
            headings = _HEADINGS.get(stage, _USUAL_HEADINGS)
            found += ["", _TITLES[stage], "", *(_line(*heading) for heading in headings)]
            found += ["-" * WIDTH, *(_row(fault, calls) for fault, calls in rows.items())]
    return found


def _row(fault: str, calls: list[Seen]) -> str:
    errors = " / ".join(sorted({call.error for call in calls} - {""})) or "none"
    cells = [[_cell(call) for call in calls if call.passes is passes] for passes in (False, True)]
    notes = " ".join(dict.fromkeys(call.note for call in calls))
    stays, passes = cells[0] or [""], cells[1] or [notes]
    return _line(fault, errors, stays[0], passes[0])


def _cell(call: Seen) -> str:
    return f"{call.retries:^7} {call.seconds:4.2f} s  {call.heard}"


def _line(*cells: str) -> str:
    columns = zip(cells, _COLUMNS, strict=True)
    return " ".join(cell[:width].ljust(width) for cell, width in columns).rstrip()
