"""As `tool_rows`, with rows that hypothesis makes: no byte is lost on what is no JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from tests.fuzz import tool_rows
from tests.fuzz.values import ROWS

SEEDS = (bytes(64), bytes(range(256)))


@given(row=ROWS)
def _check(row: Any) -> None:
    # JSON has no infinity, but numbers that are too large for a float.
    tool_rows.check(json.dumps(row).replace("Infinity", "1e999").encode())


def check(data: bytes) -> None:
    """Read the row that hypothesis makes of these bytes."""
    _check.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined]
