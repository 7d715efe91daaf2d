"""The matrix of faults: sessions with a voice model that cannot be made."""

from __future__ import annotations

import pytest

from tests.faults.realtime.connecting import ROWS
from tests.faults.realtime.rows import RealtimeRow, check, each
from tests.faults.table import Record


@each(ROWS)
async def test_fault_ends_as_its_row_says(
    row: RealtimeRow, record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    record(await check(row, caplog))
