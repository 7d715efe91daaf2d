"""The scripted gateway as a program, with what it was asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from examples.stack import ROOT, Process, surroundings
from livekit_plugins_speko import Speko

COMMAND = (sys.executable, "-m", "tests.e2e.scripted")


class ScriptedService:
    """A running scripted gateway.

    Attributes:
        process: Its process.
        variables: Lead an agent to it.
    """

    def __init__(self, process: Process, variables: dict[str, str]) -> None:
        self.process, self.variables = process, variables

    def requests(self, route: str, session_id: str | None = None) -> list[dict[str, Any]]:
        """What it was asked so far on a route, maybe for one session alone."""
        rows = [json.loads(line) for line in tuple(self.process.lines) if line.startswith("{")]
        return [
            row for row in rows if row["route"] == route and session_id in (None, row["session"])
        ]

    def client(self) -> Speko:
        """A client of it, for whoever enters it."""
        return Speko(
            base_url=self.variables["SPEKO_BASE_URL"], api_key=self.variables["SPEKO_API_KEY"]
        )


@contextmanager
def scripted_service(log: Path) -> Iterator[ScriptedService]:
    """Run the scripted gateway."""
    with Process("the scripted gateway", COMMAND, log, surroundings(), ROOT) as process:
        ready = process.wait_for(r"SPEKO_BASE_URL=\S+ SPEKO_API_KEY=\S+", 60.0)
        variables = dict(pair.split("=", 1) for pair in ready[0].split())
        yield ScriptedService(process, variables)
        assert process.stop() == 0
