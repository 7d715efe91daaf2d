"""The matrix of faults: synthesis."""

from __future__ import annotations

from tests.matrix.calls import check
from tests.matrix.network import network_rows, status_rows
from tests.matrix.rows import Row, each
from tests.matrix.stages import SYNTHESIZE
from tests.matrix.table import Record

ROWS = [*network_rows(SYNTHESIZE), *status_rows(SYNTHESIZE)]


@each(ROWS)
async def test_a_fault_ends_as_its_row_says(row: Row, record: Record) -> None:
    for seen in await check(row):
        record(seen)
