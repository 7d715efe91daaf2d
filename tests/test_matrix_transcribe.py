"""The matrix of faults: recognition."""

from __future__ import annotations

from tests.matrix.calls import check
from tests.matrix.network import network_rows, status_rows
from tests.matrix.rows import Row, each
from tests.matrix.stages import TRANSCRIBE
from tests.matrix.streams import stream_rows
from tests.matrix.table import Record

ROWS = [*network_rows(TRANSCRIBE), *status_rows(TRANSCRIBE), *stream_rows(TRANSCRIBE)]


@each(ROWS)
async def test_a_fault_ends_as_its_row_says(row: Row, record: Record) -> None:
    for seen in await check(row):
        record(seen)
