"""The matrix of faults: synthesis."""

from __future__ import annotations

from tests.faults.calls import check
from tests.faults.network import network_rows, status_rows
from tests.faults.rows import Row, each
from tests.faults.stages import SYNTHESIZE
from tests.faults.table import Record

ROWS = [*network_rows(SYNTHESIZE), *status_rows(SYNTHESIZE)]


@each(ROWS)
async def test_fault_ends_as_its_row_says(row: Row, record: Record) -> None:
    for seen in await check(row):
        record(seen)
