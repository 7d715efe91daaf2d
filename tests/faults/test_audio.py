"""The matrix of faults: synthesis, by the form of its audio."""

from __future__ import annotations

from tests.faults.audio import audio_rows
from tests.faults.calls import check
from tests.faults.rows import Row, each
from tests.faults.table import Record

ROWS = audio_rows()


@each(ROWS)
async def test_fault_ends_as_its_row_says(row: Row, record: Record) -> None:
    for seen in await check(row):
        record(seen)
