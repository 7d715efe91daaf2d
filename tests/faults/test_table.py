"""The matrix of faults: how it is printed."""

from __future__ import annotations

from typing import Any

from tests.faults.table import WIDTH, Seen, lines


def seen(fault: str = "reset", **fields: Any) -> Seen:
    made = {"stage": "complete", "passes": False, "error": "", "retries": 0, "requests": 1}
    return Seen(**{**made, "fault": fault, "seconds": 0.1, "heard": "nothing", **fields})


def test_permanent_and_passing_fault_are_one_line_each() -> None:
    stays = seen(error="APIError, X", retries=1, seconds=0.71)
    passes = seen(error="APIError, X", retries=1, seconds=0.12, passes=True, heard="all of it")
    (line,) = lines([stays, passes])[-1:]
    assert line.split() == ("reset APIError, X 1 0.71 s nothing 1 0.12 s all of it".split())


def test_fault_without_a_retry_has_no_second_call() -> None:
    assert lines([seen(error="APIStatusError 401, X")])[-1].endswith("0    0.10 s  nothing")


def test_stages_are_in_turn_order_and_faults_in_given_order() -> None:
    text = "\n".join(lines([seen("b"), seen("a"), seen("c", stage="transcribe")]))
    assert text.index("\nc ") < text.index("\nb ") < text.index("\na ")


def test_line_fits_a_terminal() -> None:
    longest = seen(
        "a fault with a name that is longer than its column is wide",
        error="APIStatusError 500, ALL_PROVIDERS_FAILED",
        heard="all of it, once",
    )
    assert max(map(len, lines([longest, seen(longest.fault, passes=True)]))) <= WIDTH
