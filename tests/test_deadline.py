"""The bound on silence: when it ends its block, and when it keeps quiet."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from livekit_plugins_speko._deadline import Deadline

SOON_S = 0.02
"""Waited for in vain."""
LATE_S = 60.0
"""Never waited for."""

# Python 3.10 can't tell who cancelled a task.
KNOWS_WHO_CANCELLED = pytest.mark.skipif(sys.version_info < (3, 11), reason="no Task.uncancel()")


async def silence() -> None:
    await asyncio.Event().wait()


async def test_silence_ends_the_block_with_a_timeout() -> None:
    with pytest.raises(TimeoutError, match=r"^nothing came for 0\.02 s$") as raised:
        with Deadline(SOON_S):
            await silence()
    # LiveKit shows the first cause of an error, and nobody cancelled this call.
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


async def test_a_task_goes_on_after_a_timeout() -> None:
    for _ in range(2):
        with pytest.raises(TimeoutError):
            with Deadline(SOON_S):
                await silence()
    await asyncio.sleep(0)


async def test_each_restart_begins_a_new_wait() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with Deadline(0.2) as deadline:
        while loop.time() < began + 0.45:
            await asyncio.sleep(0.03)
            deadline.restart()


async def test_silence_after_a_restart_ends_the_block() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        with Deadline(0.1) as deadline:
            await asyncio.sleep(0.06)
            deadline.restart()
            restarted = loop.time()
            await silence()
    assert loop.time() - restarted >= 0.1


class Timers:
    """The loop's clock and its timers, in the hands of a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.set: list[tuple[float, asyncio.TimerHandle]] = []
        loop = asyncio.get_running_loop()

        def call_later(delay: float, ring: Callable[[], None]) -> asyncio.TimerHandle:
            timer = asyncio.TimerHandle(self.now + delay, ring, (), loop)
            self.set.append((self.now + delay, timer))
            return timer

        monkeypatch.setattr(loop, "time", lambda: self.now)
        monkeypatch.setattr(loop, "call_later", call_later)


async def test_a_pause_is_as_long_as_it_may_be_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        timers = Timers(patched)
        with pytest.raises(TimeoutError), Deadline(10.0) as deadline:
            timers.now = 4.0
            deadline.restart()
            timers.now = 10.0
            timers.set[0][1]._run()  # 6 s after the restart
            await asyncio.sleep(0)
            timers.now = 14.0
            timers.set[1][1]._run()
            await silence()
    assert [when for when, _ in timers.set] == [10.0, 14.0]


@pytest.mark.parametrize("fails", [False, True])
async def test_no_timer_is_left_when_the_block_ends(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    with monkeypatch.context() as patched:
        timers = Timers(patched)
        with suppress(KeyError), Deadline(10.0) as deadline:
            deadline.restart()
            if fails:
                raise KeyError("a bug")
    ((_, timer),) = timers.set
    assert timer.cancelled()


async def test_what_a_block_makes_of_a_ring_comes_out_of_it() -> None:
    with pytest.raises(KeyError, match="made of it"):
        with Deadline(SOON_S):
            try:
                await silence()
            except asyncio.CancelledError:
                raise KeyError("made of it") from None


async def test_a_timeout_from_within_is_left_alone() -> None:
    inner = TimeoutError("from within")
    with pytest.raises(TimeoutError) as raised:
        with Deadline(LATE_S):
            raise inner
    assert raised.value is inner


async def test_a_cancellation_from_outside_stays_one() -> None:
    entered = asyncio.Event()

    async def work() -> None:
        with Deadline(LATE_S):
            entered.set()
            await silence()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@KNOWS_WHO_CANCELLED
@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_cancellation_from_outside_wins_over_a_ring(cancelled_first: bool) -> None:
    cleaning = asyncio.Event()

    async def work() -> None:
        with Deadline(SOON_S if not cancelled_first else 2 * SOON_S):
            try:
                await silence()
            finally:
                cleaning.set()
                try:
                    await asyncio.sleep(4 * SOON_S)
                except asyncio.CancelledError:
                    pass  # the second of the two, while this cleans up

    task = asyncio.create_task(work())
    if cancelled_first:
        await asyncio.sleep(0)
        task.cancel()
    else:
        await cleaning.wait()
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@KNOWS_WHO_CANCELLED
async def test_a_cancellation_that_was_over_before_the_block_does_not_count() -> None:
    async def work() -> None:
        try:
            await silence()
        except asyncio.CancelledError:
            pass  # cleaning up goes on with another call
        with Deadline(SOON_S):
            await silence()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(TimeoutError):
        await task


@pytest.mark.parametrize(
    ("outer_s", "inner_s", "told"), [(LATE_S, SOON_S, "0.02"), (SOON_S, LATE_S, "0.02")]
)
async def test_of_two_deadlines_the_one_that_rang_ends_its_block(
    outer_s: float, inner_s: float, told: str
) -> None:
    ended: list[str] = []
    with pytest.raises(TimeoutError, match=told):
        with Deadline(outer_s):
            try:
                with Deadline(inner_s):
                    await silence()
            except TimeoutError:
                ended.append("inner")
                raise
    assert ended == (["inner"] if inner_s == SOON_S else [])


async def test_a_timeout_around_it_is_not_taken_for_its_own() -> None:
    async def work() -> None:
        with Deadline(LATE_S):
            await silence()

    with pytest.raises(asyncio.TimeoutError) as raised:
        await asyncio.wait_for(work(), SOON_S)
    assert "nothing came" not in str(raised.value)
