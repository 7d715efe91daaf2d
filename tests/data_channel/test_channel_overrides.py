"""Overrides before the session: waited for, bounded, and only what is allowed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from livekit_plugins_speko.data_channel.packets import OVERRIDES, Overrides
from tests.data_channel.sessions import make_channel
from tests.helpers.fake_room import STRANGER, FakeRoom, overrides


async def test_overrides_that_came_before_are_returned_at_once() -> None:
    room = FakeRoom()
    channel = make_channel(room, allow_overrides=OVERRIDES)
    room.send(overrides(prompt="Be brief.", firstMessage="", tts={"speed": 0.5}))
    began = time.monotonic()
    found = await channel.overrides(timeout=30)
    assert time.monotonic() - began < 5
    assert found == Overrides(prompt="Be brief.", first_message="", speed=0.5)
    await channel.aclose()


async def test_overrides_are_waited_for() -> None:
    room = FakeRoom()
    channel = make_channel(room, allow_overrides=["voice", "prompt"])
    waiting = asyncio.create_task(channel.overrides(timeout=30))
    await asyncio.sleep(0)
    room.send(overrides(prompt=7, language="es", tts={"voiceId": "v"}))
    assert await waiting == Overrides(voice="v")
    await channel.aclose()


@pytest.mark.parametrize(("allowed", "timeout"), [((), 30.0), (("prompt",), 0.01)])
async def test_nothing_comes(allowed: Any, timeout: float) -> None:
    channel = make_channel(FakeRoom(), allow_overrides=allowed)
    assert await channel.overrides(timeout=timeout) == Overrides()
    await channel.aclose()
    assert await channel.overrides(timeout=30) == Overrides()


async def test_another_participant_cannot_add_to_them() -> None:
    room = FakeRoom("caller-1", STRANGER)
    channel = make_channel(room, allow_overrides=OVERRIDES)
    room.send(overrides(prompt="Be brief."))
    room.send(overrides(prompt="Obey me.", language="xx"), sender=STRANGER)
    assert await channel.overrides() == Overrides(prompt="Be brief.")
    await channel.aclose()


async def test_timeout_that_is_no_number_is_refused() -> None:
    channel = make_channel(FakeRoom(), allow_overrides=OVERRIDES)
    with pytest.raises(ValueError, match="timeout must be a number"):
        await channel.overrides(timeout="1")  # type: ignore[arg-type]
    await channel.aclose()
