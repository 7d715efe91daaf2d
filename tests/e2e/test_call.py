"""One whole call: the worker, the room, the caller's words, the agent's voice, and the end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psutil  # type: ignore[import-untyped]

from examples.engines import Recogniser
from examples.stack import LiveKit, Process
from tests.e2e.caller import Caller
from tests.e2e.checks import Checks
from tests.e2e.conftest import StartWorker
from tests.e2e.conversation import TIME_IN_TOKYO, Conversation, StartCheck
from tests.e2e.rooms import (
    children,
    ended,
    fresh_room,
    is_closed,
    job_process,
    processes,
    trouble,
)


async def test_a_caller_talks_with_the_agent(
    check: StartCheck,
    checks: Checks,
    start: StartWorker,
    livekit: LiveKit,
    recogniser: Recogniser,
) -> None:
    room = fresh_room()
    async with AsyncExitStack() as stack:
        with check("the worker registers with the server"):
            worker = await stack.enter_async_context(start())
        caller = await stack.enter_async_context(Caller(livekit, room))
        talk = Conversation(caller, recogniser, check)
        await talk.is_answered()
        await talk.is_greeted()
        checks.latencies.append(
            await talk.turn("question", "i am the demo assistant made of a few rules")
        )
        checks.latencies.append(await talk.turn("time", TIME_IN_TOKYO))
        the_tool_was_called(talk, worker)
        await talk.story_is_broken_off()
        checks.latencies.append(await talk.turn("goodbye", "you are welcome goodbye"))
        await the_job_ends(talk, worker, livekit, room)
        await the_worker_stops(talk, worker)


def the_tool_was_called(talk: Conversation, worker: Process) -> None:
    with talk.check("time: the tool is called, and its result is told") as seen:
        assert any("executing tool" in line and "get_local_time" in line for line in worker.lines)
        now = datetime.now(ZoneInfo("Asia/Tokyo"))
        times = [f"{now - timedelta(minutes=ago):%H:%M}" for ago in (0, 1)]
        seen.seen = talk.caller.said_by(talk.caller.agent)[-1].text
        assert any(time in seen.seen for time in times)


async def the_job_ends(talk: Conversation, worker: Process, livekit: LiveKit, room: str) -> None:
    job = await job_process(worker, room)
    # What the worker keeps to start jobs with.
    idle = children(worker) - {job.pid}
    with talk.check("the caller leaves, and the job ends clean"):
        await talk.caller.leave()
        # Sooner than LiveKit's server closes a room whose last caller has left.
        assert await ended(job, within_s=8.0)
        assert any("speko-agent" in line and "usage" in line for line in worker.lines)
        assert trouble(worker.lines) == []
    with talk.check("nothing of it is left running: no process, no room"):
        assert children(worker) <= idle
        assert await is_closed(livekit, room)


async def the_worker_stops(talk: Conversation, worker: Process) -> None:
    below = processes(children(worker))
    with talk.check("the worker stops when told to, and leaves no process"):
        assert await asyncio.to_thread(worker.stop) == 0
        assert not psutil.wait_procs(below, timeout=5)[1]
        assert trouble(worker.lines) == []
