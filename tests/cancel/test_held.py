"""Barge-in while the service keeps the call waiting: in any part of an answer, or before it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest
from livekit.agents import APITimeoutError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import LocalGateway
from tests.cancel.answers import Held
from tests.cancel.calls import (
    FEW_TURNS,
    SOON_S,
    Call,
    Watch,
    assert_nothing_left,
    assert_only_idle,
    cancel,
    chat,
    client_tasks,
    complete,
    list_tools,
    nothing_reported,
    recognize,
    speak,
    synthesize,
    transcribe,
)
from tests.helpers.raw_server import events
from tests.helpers.support import compressed, tone

CALLS: dict[str, tuple[str, Call]] = {
    "transcribe": ("transcribe", transcribe),
    "complete": ("complete", complete),
    "synthesize": ("synthesize", synthesize),
    "tools": ("tools", list_tools),
    "recognize": ("transcribe", recognize),
    "chat": ("complete", chat),
    "speak": ("synthesize", speak),
}
ADAPTERS = pytest.mark.parametrize("name", ["recognize", "chat", "speak"])

INTERIM = events(("transcript", '{"text": "hel", "isFinal": false, "confidence": null}'))
DELTA = events(("delta", '{"text": "Hi"}'))
# The type of each route's answer, and an answer's beginning that ends in the middle of something.
BEGUN = {
    "transcribe": ("text/event-stream", INTERIM.encode() + b"event: trans"),
    "complete": ("text/event-stream", DELTA.encode() + b'event: delta\ndata: {"te'),
    "synthesize": ("audio/pcm;rate=24000", tone()[:999]),
    "tools": ("application/json", b'[{"name": "a", '),
}
# LiveKit's decoder needs so much before it has a frame.
MP3 = compressed(tone(1.0))[:8_000]


def held(route: str, where: str) -> Held:
    content_type, begun = BEGUN[route]
    if where == "mp3":
        return Held("audio/mpeg", MP3)
    return Held(content_type, *([begun] if where == "middle" else []), headers=where != "headers")


HOLDS = [(name, where) for name in CALLS for where in ("headers", "body", "middle")]


@pytest.mark.parametrize("every_turn", [False, True], ids=["once", "in_every_turn"])
@pytest.mark.parametrize(("name", "where"), [*HOLDS, ("speak", "mp3")])
async def test_a_call_that_is_kept_waiting_lets_go_of_its_connection_at_once(
    gateway: LocalGateway, speko: Speko, name: str, where: str, every_turn: bool
) -> None:
    route, call = CALLS[name]
    answer, watch = held(route, where), Watch()
    getattr(gateway, route).always(answer)
    before = client_tasks()
    with nothing_reported():
        task = asyncio.create_task(call(speko, watch))
        await answer.settled()
        turns = await cancel(task, every_turn=every_turn)
        await gateway.idle(connections=0, within_s=SOON_S)
        await assert_nothing_left(speko, before)
    assert turns <= FEW_TURNS or where == "mp3"  # no turns can be counted where a thread takes part
    assert (watch.errors, assert_only_idle(speko)) == ([], 0)
    assert gateway.requests[0].cancelled
    await no_decoder_left()


async def no_decoder_left() -> None:
    """Wait for the thread of LiveKit's decoder to end."""
    for _ in range(100):
        if not any(thread.name.startswith("AudioDecoder") for thread in threading.enumerate()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a decoder's thread goes on")


# A timeout in the same moment

KNOWS_WHO_CANCELLED = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="a task can't tell who cancelled it"
)

RINGS_IN_S = 0.05
# Turns of the loop from the ring to the cancellation; negative: from that to the ring.
APART = range(-6, 12)


def stall_the_loop() -> None:
    """Keep the loop from turning until the deadline has passed: it rings in the next turn."""
    time.sleep(RINGS_IN_S * 1.5)


@KNOWS_WHO_CANCELLED
@ADAPTERS
@pytest.mark.parametrize("where", ["headers", "middle"])
async def test_a_cancellation_in_the_moment_of_a_timeout_leaves_nothing_behind(
    gateway: LocalGateway, speko: Speko, name: str, where: str
) -> None:
    route, call = CALLS[name]
    before = client_tasks()
    with nothing_reported():
        for apart in APART:
            answer = held(route, where)
            getattr(gateway, route).always(answer)
            watch = Watch(APIConnectOptions(max_retry=0, timeout=RINGS_IN_S))
            task = asyncio.create_task(call(speko, watch))
            await answer.settled()
            await ring_and_cancel(task, apart)
            assert_ended_once(task, watch, cancelled=apart <= 0)
            await assert_nothing_left(speko, before)
            await gateway.idle(connections=0, within_s=SOON_S)


async def ring_and_cancel(task: asyncio.Task[None], apart: int) -> None:
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
    """Either the cancellation came out, or the timeout with its one event."""
    if cancelled:
        assert task.cancelled(), task.exception()
    elif not task.cancelled():
        assert isinstance(task.exception(), APITimeoutError), task.exception()
        assert len(watch.errors) == 1
