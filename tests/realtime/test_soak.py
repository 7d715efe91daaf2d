"""Many turns of one call, with faults: nothing grows while it lasts. `tests.soak` has more."""

from __future__ import annotations

import asyncio

from tests.helpers.realtime_calls import (
    INTERRUPTION,
    USAGE,
    RealtimeCall,
    agent,
    calling,
    clock,
    speech,
    tool_call,
    user,
)

ROUNDS = 16


async def _round(call: RealtimeCall, number: int) -> None:
    """A plain turn, one that is interrupted, one with a tool; every fourth time a drop."""
    await call.reply(f"Reply {number}.", 0.02, question=f"Question {number}?")
    await call.line.say(user("Tell me."), speech(2.0), agent("Once upon a time", False))
    await call.until_state("speaking")
    await call.line.say(INTERRUPTION, speech(0.2), USAGE)
    await call.until_state("listening")
    await call.line.say(user("Time?"), tool_call(f"call{number}"))
    results = len(call.line.messages)
    await call.until(lambda: len(call.line.messages) > results)
    await call.reply(f"Noon {number}.", 0.02)
    if number % 4 == 0:
        connections = len(call.line.peers)
        call.line.drop()
        await call.line.connected(connections + 1)


async def test_many_turns_with_faults_leave_nothing() -> None:
    async with calling(agent=clock()) as call:
        await _round(call, 0)
        tasks = len(asyncio.all_tasks())
        for number in range(1, ROUNDS):
            await _round(call, number)
        assert len(asyncio.all_tasks()) <= tasks + 1
        open_sockets = [peer for peer in call.line.peers if not peer.gone.is_set()]
        assert len(open_sockets) == 1
        assert not call.closed
        assert len(call.routes) >= 3 * ROUNDS
