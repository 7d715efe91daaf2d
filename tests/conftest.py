"""Fixtures that every test may use, and what must hold after each of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

# onnxruntime, which runs Silero's VAD, reports its use to Microsoft unless this is set before its
# import. No test goes further than loopback.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import pytest
from hypothesis import settings

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import LocalGateway

# How long an example takes says more about the machine than about the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task running."""
    before = asyncio.all_tasks()
    yield
    left: set[asyncio.Task[object]] = set()
    for _ in range(50):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.01)
    assert not left, f"tasks left running: {[task.get_name() for task in left]}"


@pytest.fixture
async def gateway(no_task_left: None) -> AsyncIterator[LocalGateway]:
    """The service's stand-in. It fails a test whose script has steps left or lacked one."""
    async with LocalGateway() as gateway:
        yield gateway


@pytest.fixture
async def speko(gateway: LocalGateway) -> AsyncIterator[Speko]:
    """A client of the gateway, whose connections are all idle or closed after the test."""
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as client:
        yield client
