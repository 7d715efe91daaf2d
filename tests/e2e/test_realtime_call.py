"""A whole call with a voice model, whose gateway is killed and comes back in between."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from examples.engines import Recogniser
from examples.stack import (
    REALTIME_WORKER,
    LiveKit,
    Process,
    free_ports,
    start_gateway,
    start_successor,
)
from tests.e2e.caller import Caller
from tests.e2e.conftest import StartWorker
from tests.e2e.conversation import TIME_IN_TOKYO, Conversation, StartCheck
from tests.e2e.programs import begin
from tests.e2e.rooms import ended, fresh_room, is_closed, job_process

CONNECTED = "voice model: connected"
HUNG_UP = "voice model: closed with 1000 by the client"


async def test_a_caller_talks_with_a_voice_model(
    check: StartCheck, start: StartWorker, livekit: LiveKit, recogniser: Recogniser, output: Path
) -> None:
    (port,) = free_ports(1)
    log = output / "gateway-realtime.log"
    gateway, speko = await begin(start_gateway, log, port)
    async with AsyncExitStack() as stack:
        stack.callback(gateway.kill)
        worker = await stack.enter_async_context(start(speko=speko, program=REALTIME_WORKER))
        caller = await stack.enter_async_context(Caller(livekit, room := fresh_room()))
        talk = Conversation(caller, recogniser, check)
        await talk.is_answered()
        await talk.is_greeted()
        await talk.turn("time", TIME_IN_TOKYO)
        with check("time: the agent's tool is called, once"):
            ran = [line for line in worker.lines if "executing tool" in line]
            assert len(ran) == 1 and "get_local_time" in ran[0]
        again = await begin(start_successor, log, port)
        stack.callback(again.stop)
        await the_gateway_is_restarted(talk, gateway, again)
        await talk.turn("before", "you asked me what time is it in tokyo right now")
        await talk.story_is_broken_off(least_s=0.0)
        with check("it is the same call: one agent, who never left"):
            assert not caller.left
            assert [caller.agent] == list(caller.agents)
        job = await job_process(worker, room)
        with check("the caller leaves, and the job ends"):
            await caller.leave()
            assert await ended(job)
            assert any("speko-realtime-agent" in line and "usage" in line for line in worker.lines)
            assert not any("Traceback" in line for line in worker.lines)
        with check("the session's socket is closed with 1000, and the room is gone"):
            await asyncio.to_thread(again.wait_for, HUNG_UP, 10.0)
            assert await is_closed(livekit, room)


async def the_gateway_is_restarted(talk: Conversation, gateway: Process, again: Process) -> None:
    with talk.check("the gateway is killed, and is back at its port"):
        await asyncio.to_thread(gateway.kill)
        await asyncio.to_thread(again.wait_for, "SPEKO_BASE_URL=", 20.0)
    with talk.check("the agent gets a new session by itself"):
        await asyncio.to_thread(again.wait_for, CONNECTED, 20.0)
