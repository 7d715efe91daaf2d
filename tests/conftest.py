"""Fixtures that every test may use, and the conditions after each of them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

# onnxruntime, which runs Silero's VAD, reports its use to Microsoft unless this is set before its
# import. No test goes further than loopback.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import httpx
import pytest
import spekoai
from hypothesis import settings
from livekit.agents import vad
from livekit.plugins import silero

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import LocalGateway
from tests.helpers.gateway_requests import connect
from tests.helpers.session_calls import assert_nothing_was_lost

# The official SDK's client would look for the gateway through a proxy of the environment's.
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))

# So that a failed assertion in one of them shows its values, as it does in a test.
pytest.register_assert_rewrite(
    *("tests.helpers.components_calls", "tests.helpers.decoding_calls", "tests.helpers.tts_calls"),
    *("tests.e2e", "tests.faults"),
)

# The matrix of faults, which `make faults` prints.
pytest_plugins = ["tests.faults.table"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("tests", deadline=None)
# By hand: pytest tests/fuzz --hypothesis-profile=long
settings.register_profile("long", deadline=None, max_examples=20_000)
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


@pytest.fixture(params=[Speko, spekoai.AsyncSpeko], ids=["Speko", "AsyncSpeko"])
async def client(request: pytest.FixtureRequest, gateway: LocalGateway) -> AsyncIterator[Any]:
    """Each of the clients that an adapter takes."""
    async with request.param(base_url=gateway.base_url, api_key=gateway.api_key) as client:
        yield client


@pytest.fixture
async def http_client(gateway: LocalGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway that knows no more than HTTP."""
    async with connect(gateway) as http_client:
        yield http_client


@pytest.fixture
def nothing_is_lost(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test that leaves a task or an unretrieved exception."""
    caplog.set_level(logging.DEBUG)
    yield
    assert_nothing_was_lost(caplog)


@pytest.fixture(scope="module")
def voice_detector() -> vad.VAD:
    """Silero's VAD, loaded once."""
    return silero.VAD.load()
