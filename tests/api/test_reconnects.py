"""How long a stream tries to connect again."""

from __future__ import annotations

import pytest

from livekit_plugins_speko.api.reconnects import Bounds, Reconnects
from livekit_plugins_speko.errors import SpekoApiError

LOST = ConnectionError("lost")
TIMEOUT_S = 5.0


def attempt_at(now_s: float, reconnects: Reconnects) -> None:
    assert reconnects.wait_s(now_s) < TIMEOUT_S


def test_lifetime_of_a_silent_connection_is_not_time_without_one() -> None:
    reconnects = Reconnects(TIMEOUT_S, Bounds())
    attempt_at(0.0, reconnects)
    reconnects.lost(9.0, LOST, good=False)
    attempt_at(9.0, reconnects)
    assert reconnects.left_s(9.0) == TIMEOUT_S


def test_connections_that_only_drop_end_the_stream_in_time() -> None:
    reconnects = Reconnects(TIMEOUT_S, Bounds())
    for now_s in (0.0, 2.0, 4.0):
        attempt_at(now_s, reconnects)
        reconnects.lost(now_s, LOST, good=False)
    with pytest.raises(SpekoApiError, match="connections open and drop"):
        reconnects.wait_s(TIMEOUT_S)
