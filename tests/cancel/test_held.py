"""Barge-in while the service keeps a call waiting, and in the moment of a timeout."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest
from livekit.agents import APITimeoutError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko.testing import LocalGateway
from tests.cancel.answers import Held
from tests.cancel.calls import (
    FEW_TURNS,
    SOON_S,
    Call,
    Watch,
    assert_no_task_left,
    cancel,
    chat,
    client_tasks,
    list_tools,
    new_client,
    nothing_reported,
    recognize,
    speak,
)
from tests.helpers.raw_server import events
from tests.helpers.support import compressed, tone

CALLS: dict[str, tuple[str, Call]] = {
    "tools": ("tools", list_tools),
    "recognize": ("transcribe", recognize),
    "chat": ("complete", chat),
    "speak": ("synthesize", speak),
}

INTERIM = events(("transcript", '{"text": "hel", "isFinal": false, "confidence": null}'))
DELTA = events(("delta", '{"text": "Hi"}'))
# The type of each route's response, and a beginning that ends in the middle of something.
BEGUN = {
    "transcribe": ("text/event-stream", INTERIM.encode() + b"event: trans"),
    "complete": ("text/event-stream", DELTA.encode() + b'event: delta\ndata: {"te'),
    "synthesize": ("audio/pcm;rate=24000", tone()[:999]),
    "tools": ("application/json", b'[{"name": "a", '),
}
# LiveKit's decoder needs this much before it has a frame.
MP3 = compressed(tone(1.0))[:8_000]


def held(route: str, where: str) -> Held:
    content_type, begun = BEGUN[route]
    if where == "mp3":
        return Held("audio/mpeg", MP3)
    return Held(content_type, *([begun] if where == "middle" else []), headers=where != "headers")


HOLDS = [(name, where) for name in CALLS for where in ("headers", "middle")]


@pytest.mark.parametrize(("name", "where"), [*HOLDS, ("chat", "body"), ("speak", "mp3")])
async def test_a_call_that_waits_gives_its_connection_up_at_once(
    gateway: LocalGateway, name: str, where: str
) -> None:
    route, call = CALLS[name]
    answer, watch = held(route, where), Watch()
    getattr(gateway, route).always(answer)
    async with new_client(gateway.base_url) as speko:
        before = client_tasks()
        with nothing_reported():
            task = asyncio.create_task(call(speko, watch))
            await answer.settled()
            turns = await cancel(task)
            await gateway.idle(connections=0, within_s=SOON_S)
            await assert_no_task_left(before)
    assert turns <= FEW_TURNS or where == "mp3"  # a thread takes any number of turns
    assert (watch.errors, gateway.requests[0].cancelled) == ([], True)
    await no_decoder_left()


async def no_decoder_left() -> None:
    """Wait for the thread of LiveKit's decoder to end."""
    for _ in range(100):
        if not any(thread.name.startswith("AudioDecoder") for thread in threading.enumerate()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a decoder's thread still runs")


# A timeout in the same moment

TIMEOUT_S = 0.05
# Turns of the loop from the timeout to the cancellation; negative: from that to the timeout.
APART = (-3, -1, 0, 1, 2, 3, 5, 8)


def stall_the_loop() -> None:
    """Keep the loop from turning until the timeout is due: it fires in the next turn."""
    time.sleep(TIMEOUT_S * 1.5)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task can't tell who cancelled it")
@pytest.mark.parametrize(
    ("name", "where"), [("recognize", "headers"), ("chat", "middle"), ("speak", "middle")]
)
async def test_a_cancellation_in_the_moment_of_a_timeout_leaves_nothing_open(
    gateway: LocalGateway, name: str, where: str
) -> None:
    route, call = CALLS[name]
    async with new_client(gateway.base_url) as speko:
        before = client_tasks()
        with nothing_reported():
            for apart in APART:
                answer = held(route, where)
                getattr(gateway, route).always(answer)
                watch = Watch(APIConnectOptions(max_retry=0, timeout=TIMEOUT_S))
                task = asyncio.create_task(call(speko, watch))
                await answer.settled()
                await time_out_and_cancel(task, apart)
                assert_ended_once(task, watch, cancelled=apart <= 0)
                await assert_no_task_left(before)
                await gateway.idle(connections=0, within_s=SOON_S)


async def time_out_and_cancel(task: asyncio.Task[None], apart: int) -> None:
    if apart < 0:
        task.cancel()
    else:
        stall_the_loop()
    for _ in range(abs(apart)):
        await asyncio.sleep(0)
    if apart < 0:
        stall_the_loop()
    else:
        task.cancel()
    await asyncio.wait([task], timeout=SOON_S)
    assert task.done()


def assert_ended_once(task: asyncio.Task[None], watch: Watch, *, cancelled: bool) -> None:
    """Either the cancellation was raised, or the timeout with its one event."""
    if cancelled:
        assert task.cancelled(), task.exception()
    elif not task.cancelled():
        assert isinstance(task.exception(), APITimeoutError), task.exception()
        assert len(watch.errors) == 1
