"""The engines of the examples, loaded once for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.engines import Recogniser, Voice


@pytest.fixture(scope="module")
def recogniser() -> Iterator[Recogniser]:
    engine = Recogniser()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def voice() -> Iterator[Voice]:
    engine = Voice()
    yield engine
    engine.close()
