"""A worker that dies in a call, and a gateway that goes away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from pathlib import Path

from livekit import rtc

from examples.engines import Recogniser
from examples.stack import LiveKit, free_ports, start_gateway
from tests.e2e.caller import Caller
from tests.e2e.conftest import StartWorker
from tests.e2e.conversation import TIME_IN_TOKYO, Conversation, StartCheck
from tests.e2e.programs import begin
from tests.e2e.rooms import children, ended, fresh_room, job_process, processes, trouble

# What LiveKit logs when recognition has failed for good.
UNANSWERED = "failed to recognize speech after"
# LiveKit gives a session up after several errors in a row, each of them with its retries.
AT_MOST_S = 90.0


async def test_a_second_worker_takes_the_next_call_when_the_first_dies(
    check: StartCheck, start: StartWorker, livekit: LiveKit, recogniser: Recogniser
) -> None:
    async with start("first") as first, Caller(livekit, room := fresh_room()) as caller:
        talk = Conversation(caller, recogniser, check)
        await talk.is_answered()
        await caller.agent_done()
        asked = await caller.say("story")
        await caller.agent_speaks(asked.ended_s)
        async with start("second") as second:
            assert talk.ears.quiet_for_s() < 0.5, "the story is over"
            with check("the worker is killed in the middle of a story: all its processes end"):
                below = [await job_process(first, room), *processes(children(first))]
                await asyncio.to_thread(first.kill)
                killed_s = time.monotonic()
                assert all([await ended(each, within_s=15.0) for each in below])
            with check("the caller is told that the agent is gone") as seen:
                await caller.until("the agent's leave", lambda: bool(caller.left), 30.0)
                seen.seen = f"{caller.left[caller.agent] - killed_s:.1f} s after its end"
            async with Caller(livekit, next_room := fresh_room()) as other:
                with check("the second worker takes the next call"):
                    talk = Conversation(other, recogniser, check)
                    await talk.is_answered()
                    await job_process(second, next_room)
                await talk.is_greeted()
                await talk.turn("question", "i am the demo assistant made of a few rules")
            assert trouble(second.lines) == []


async def test_a_call_goes_on_when_the_gateway_comes_back(
    check: StartCheck, start: StartWorker, livekit: LiveKit, recogniser: Recogniser, output: Path
) -> None:
    (port,) = free_ports(1)
    log = output / "gateway-lost.log"
    gateway, speko = await begin(start_gateway, log, port)
    async with AsyncExitStack() as stack:
        stack.callback(gateway.kill)
        worker = await stack.enter_async_context(start(speko=speko))
        caller = await stack.enter_async_context(Caller(livekit, fresh_room()))
        talk = Conversation(caller, recogniser, check)
        await talk.is_answered()
        await caller.agent_done()
        asked = await caller.say("story")
        began_s = await caller.agent_speaks(asked.ended_s)
        with check("the gateway is killed in a story: the agent falls silent, and listens"):
            await asyncio.to_thread(gateway.kill)
            await caller.agent_done(began_s)
        with check("what is said meanwhile is not answered"):
            unheard = await caller.say("question")
            await asyncio.to_thread(worker.wait_for, UNANSWERED, 30.0, len(worker.lines))
            assert talk.ears.first_sound(unheard.ended_s) is None
        with check("the gateway is back at its port"):
            again, _ = await begin(start_gateway, log, port)
            stack.callback(again.stop)
        await talk.turn("time", TIME_IN_TOKYO)
        await talk.turn("goodbye", "you are welcome goodbye")
        with check("it is the same call: one agent, who never left"):
            assert not caller.left
            assert [caller.agent] == list(caller.agents)


async def test_a_call_that_can_not_go_on_is_hung_up(
    check: StartCheck, start: StartWorker, livekit: LiveKit, recogniser: Recogniser, output: Path
) -> None:
    gateway, speko = await begin(start_gateway, output / "gateway-gone.log")
    async with AsyncExitStack() as stack:
        stack.callback(gateway.kill)
        worker = await stack.enter_async_context(start(speko=speko))
        caller = await stack.enter_async_context(Caller(livekit, room := fresh_room()))
        talk = Conversation(caller, recogniser, check)
        await talk.is_answered()
        await caller.agent_done()
        job = await job_process(worker, room)
        await asyncio.to_thread(gateway.kill)
        with check("the gateway stays away: the call is hung up, not left in silence") as seen:
            began_s = time.monotonic()
            while caller.disconnected is None:
                assert time.monotonic() - began_s < AT_MOST_S, str(caller)
                await caller.say("question")
                with contextlib.suppress(AssertionError):
                    await caller.until("the hang-up", lambda: caller.disconnected is not None, 8)
            seen.seen = f"{time.monotonic() - began_s:.1f} s after the caller spoke first"
            assert caller.disconnected == rtc.DisconnectReason.ROOM_DELETED
        with check("its job ends, too"):
            assert await ended(job)
