"""The matrix of faults: the tools registered for an agent."""

from __future__ import annotations

import pytest

from livekit_plugins_speko.llm import tools
from livekit_plugins_speko.testing import LocalGateway
from tests.faults.fetches import ToolsRow, check_tools
from tests.faults.registered import tools_rows
from tests.faults.rows import each
from tests.faults.table import Record

ROWS = tools_rows()


@each(ROWS)
async def test_failed_fetch_of_tools_loses_no_reply(
    row: ToolsRow,
    gateway: LocalGateway,
    record: Record,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if row.bound_s is not None:
        monkeypatch.setattr(tools, "REGISTERED_TOOLS_TIMEOUT_S", row.bound_s)
    record(await check_tools(row, gateway, caplog))
