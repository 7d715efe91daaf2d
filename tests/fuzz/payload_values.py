"""As `payloads`, with objects that hypothesis makes: no byte is lost on what is no JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from tests.fuzz import payloads
from tests.fuzz.values import NAMES, OBJECTS

SEEDS = (bytes(64), bytes(range(256)))


@given(name=NAMES, payload=OBJECTS)
def _check(name: str, payload: dict[str, Any]) -> None:
    payloads.check(bytes([payloads.EVENTS.index(name)]) + json.dumps(payload).encode())


def check(data: bytes) -> None:
    """Read the object that hypothesis makes of these bytes."""
    _check.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined]
