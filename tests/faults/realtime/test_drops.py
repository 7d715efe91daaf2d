"""The matrix of faults: sessions with a voice model whose connection is lost or closed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.faults.realtime.drops import ROWS
from tests.faults.realtime.rows import RealtimeRow, check_each, each
from tests.faults.table import Record


@each(ROWS)
async def test_fault_ends_as_its_row_says(
    rows: Sequence[RealtimeRow], record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    for seen in await check_each(rows, caplog):
        record(seen)
