"""Three workers and six callers at once: one worker is drained, one is killed, one goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from examples.stack import LiveKit, Process
from tests.e2e.conftest import StartWorker
from tests.e2e.conversation import GREETED, StartCheck
from tests.e2e.page import Page
from tests.e2e.rooms import children, ended, fresh_room, job_process, processes, trouble
from tests.e2e.scripted.service import ScriptedService
from tests.e2e.two_calls import MOST_CALLS
from tests.e2e.words import words

# `start` drains when it is told to end; `dev` does not.
PROGRAM = ("-m", "tests.e2e.two_calls", "start")
NAMES = ("first", "second", "third")


@dataclass
class Served:
    """A caller, the room of the call, and the worker that took it."""

    page: Page
    room: str
    worker: str = ""


@dataclass
class Floor:
    """All workers and callers of the test. It owns nothing."""

    stack: AsyncExitStack
    livekit: LiveKit
    workers: dict[str, Process]
    calls: list[Served] = field(default_factory=list)

    async def call(self, name: str) -> Served:
        """Call, wait until the greeting is over, and note which worker took the call."""
        page = Page(self.livekit, room := fresh_room(), identity=name)
        began_s = time.monotonic()
        await self.stack.enter_async_context(page)
        greeting = await page.greeting(began_s)
        assert " ".join(words(greeting.text)) == GREETED
        await page.agent_done(began_s)
        took = [each for each, worker in self.workers.items() if _told(worker, room)]
        assert len(took) == 1, took
        served = Served(page, room, took[0])
        self.calls.append(served)
        return served

    def calls_of(self, name: str) -> list[Served]:
        """The calls that one worker took."""
        return [each for each in self.calls if each.worker == name]


def _told(worker: Process, room: str) -> bool:
    """Whether a worker's log tells that it was assigned a room."""
    return any(room in line and "received job request" in line for line in tuple(worker.lines))


async def asks(served: Served, question: str) -> None:
    """Type something that no other caller does, and hear the own reply to it."""
    page = served.page
    text = f"{question} I am {page.identity}."
    typed_s = await page.types(text)
    reply = await page.reply(typed_s)
    assert reply.text == f"You said: {text}"
    await page.agent_done(typed_s)


async def test_callers_of_three_workers(
    check: StartCheck, start: StartWorker, livekit: LiveKit, scripted: ScriptedService
) -> None:
    async with AsyncExitStack() as stack:
        with check("three workers register at once"):
            starting = (start(name, "", scripted.variables, PROGRAM) for name in NAMES)
            started = await asyncio.gather(*map(stack.enter_async_context, starting))
        floor = Floor(stack, livekit, dict(zip(NAMES, started, strict=True)))
        with check("six callers at once are greeted, two by each worker"):
            await asyncio.gather(*(floor.call(f"caller-{number}") for number in range(6)))
            assert [len(floor.calls_of(name)) for name in NAMES] == [MOST_CALLS] * 3
        with check("each asks at the same time, and is answered"):
            await asyncio.gather(*(asks(served, "Are you open?") for served in floor.calls))
        killed_s = await one_is_killed(check, floor.workers["second"])
        with check("the first worker is told to end: it drains"):
            floor.workers["first"].terminate()
            await asyncio.to_thread(floor.workers["first"].wait_for, "draining worker", 10.0)
        await new_calls_go_to_the_third(check, floor)
        await calls_of_the_drained_end_well(check, floor)
        with check("the callers of the killed worker are told that their agent is gone") as seen:
            lost = [served.page for served in floor.calls_of("second")]
            seen.seen = f"{await told_gone(lost) - killed_s:.1f} s after it was killed"
        assert trouble(floor.workers["third"].lines) == []


async def one_is_killed(check: StartCheck, worker: Process) -> float:
    """Kill a worker as the system does when memory runs out; return when."""
    with check("the second worker is killed: its jobs end, too"):
        below = processes(children(worker))
        await asyncio.to_thread(worker.kill)
        killed_s = time.monotonic()
        assert all(await asyncio.gather(*(ended(each, within_s=20.0) for each in below)))
    return killed_s


async def new_calls_go_to_the_third(check: StartCheck, floor: Floor) -> None:
    with check("two callers of the third worker leave, and two new ones get their places"):
        await leave(floor.workers["third"], floor.calls_of("third"))
        new = await asyncio.gather(*(floor.call(name) for name in ("new-1", "new-2")))
        assert [served.worker for served in new] == ["third", "third"]
        await asyncio.gather(*(asks(served, "Are you open?") for served in new))


async def leave(worker: Process, calls: Sequence[Served]) -> None:
    """Let callers leave, and wait until their worker has told the server of its free places."""
    jobs = [await job_process(worker, served.room) for served in calls]
    before = len(worker.lines)
    await asyncio.gather(*(served.page.leave() for served in calls))
    assert all(await asyncio.gather(*map(ended, jobs)))
    await asyncio.to_thread(worker.wait_for, "worker is below capacity", 15.0, before)


async def calls_of_the_drained_end_well(check: StartCheck, floor: Floor) -> None:
    worker, calls = floor.workers["first"], floor.calls_of("first")
    with check("the calls of the drained worker go on, until their callers leave"):
        assert worker.running
        await asyncio.gather(*(asks(served, "Are you still there?") for served in calls))
        assert not any(served.page.left for served in calls)
    with check("then it has ended by itself, without an error") as seen:
        left_s = time.monotonic()
        await asyncio.gather(*(served.page.leave() for served in calls))
        assert await asyncio.to_thread(worker.stop, 20.0) == 0
        seen.seen = f"{time.monotonic() - left_s:.1f} s after they left"
        assert trouble(worker.lines) == []


async def told_gone(pages: Sequence[Page]) -> float:
    """Wait until each page was told that its agent left; return when the last was."""
    for page in pages:
        await page.until("the agent's leave", page.left.copy, 40.0)
    return max(page.left[page.agent] for page in pages)
