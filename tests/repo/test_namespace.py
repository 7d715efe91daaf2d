"""`livekit.plugins.speko`: the same objects under the names of LiveKit's other plugins."""

from __future__ import annotations

import pytest
from livekit.plugins import speko

import livekit_plugins_speko as package


@pytest.mark.parametrize("short", ["STT", "LLM", "TTS", "RealtimeModel"])
def test_short_name_is_the_same_class(short: str) -> None:
    assert getattr(speko, short) is getattr(package, f"Speko{short}")


@pytest.mark.parametrize("name", sorted(package.__all__))
def test_every_public_name_is_in_the_namespace_too(name: str) -> None:
    assert getattr(speko, name) is getattr(package, name)
    assert name in speko.__all__
