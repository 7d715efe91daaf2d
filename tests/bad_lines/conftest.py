"""Toxiproxy, started once for each process of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bad_lines.toxiproxy import Toxiproxy, program, running


@pytest.fixture(scope="session")
def toxiproxy() -> Iterator[Toxiproxy]:
    """A Toxiproxy that runs."""
    server = program()
    if server is None:
        pytest.exit("There is no Toxiproxy: run make toxiproxy.", returncode=1)
    with running(server) as toxiproxy:
        yield toxiproxy
