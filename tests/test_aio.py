"""The bound on silence, and closings that nothing interrupts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from livekit_plugins_speko._aio import Deadline, close_all, closing, finish, timeout

SOON_S = 0.02
"""Expires while a test waits."""
LATE_S = 60.0
"""Never expires in a test."""

# Python 3.10 can't tell who cancelled a task.
KNOWS_WHO_CANCELLED = pytest.mark.skipif(sys.version_info < (3, 11), reason="no Task.uncancel()")


async def silence() -> None:
    await asyncio.Event().wait()


async def test_silence_ends_the_block_with_a_timeout() -> None:
    with pytest.raises(TimeoutError, match=r"^nothing came for 0\.02 s$") as raised:
        async with Deadline(SOON_S):
            await silence()
    # LiveKit shows the first cause of an error, and this call was not cancelled.
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


async def test_another_task_may_set_the_time_and_is_not_cancelled_itself() -> None:
    """The task that entered is cancelled, also on Python 3.10, which has no asyncio.timeout."""
    bound = timeout(None)

    async def wait() -> None:
        async with bound:
            await silence()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    bound.reschedule(asyncio.get_running_loop().time() + SOON_S)
    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        await waiting


async def test_task_continues_after_a_timeout() -> None:
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with Deadline(SOON_S):
                await silence()
    await asyncio.sleep(0)


async def test_each_restart_begins_a_new_wait() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with Deadline(0.2) as deadline:
        while loop.time() < began + 0.45:
            await asyncio.sleep(0.03)
            deadline.restart()


async def test_silence_after_a_restart_ends_the_block() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with Deadline(0.1) as deadline:
            await asyncio.sleep(0.06)
            deadline.restart()
            restarted = loop.time()
            await silence()
    assert loop.time() - restarted >= 0.1


async def test_error_raised_in_place_of_the_cancellation_is_kept() -> None:
    with pytest.raises(KeyError, match="made of it"):
        async with Deadline(SOON_S):
            try:
                await silence()
            except asyncio.CancelledError:
                raise KeyError("made of it") from None


async def test_timeout_raised_inside_the_block_is_unchanged() -> None:
    inner = TimeoutError("from within")
    with pytest.raises(TimeoutError) as raised:
        async with Deadline(LATE_S):
            raise inner
    assert raised.value is inner


async def test_cancellation_from_outside_is_unchanged() -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with Deadline(LATE_S):
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
async def test_cancellation_from_outside_wins_over_the_timeout(cancelled_first: bool) -> None:
    cleaning = asyncio.Event()

    async def work() -> None:
        async with Deadline(SOON_S if not cancelled_first else 2 * SOON_S):
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
async def test_earlier_cancellation_does_not_count() -> None:
    async def work() -> None:
        try:
            await silence()
        except asyncio.CancelledError:
            pass  # clean-up continues with another call
        async with Deadline(SOON_S):
            await silence()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(TimeoutError):
        await task


@pytest.mark.parametrize(
    ("outer_s", "inner_s", "told"), [(LATE_S, SOON_S, "0.02"), (SOON_S, LATE_S, "0.02")]
)
async def test_only_the_expired_one_of_two_deadlines_ends_its_block(
    outer_s: float, inner_s: float, told: str
) -> None:
    ended: list[str] = []
    with pytest.raises(TimeoutError, match=told):
        async with Deadline(outer_s):
            try:
                async with Deadline(inner_s):
                    await silence()
            except TimeoutError:
                ended.append("inner")
                raise
    assert ended == (["inner"] if inner_s == SOON_S else [])


async def test_outer_timeout_is_not_mistaken_for_the_deadlines() -> None:
    async def work() -> None:
        async with Deadline(LATE_S):
            await silence()

    with pytest.raises(asyncio.TimeoutError) as raised:
        await asyncio.wait_for(work(), SOON_S)
    assert "nothing came" not in str(raised.value)


class Numbers:
    """An async iterable whose iterators aren't generators."""

    def __init__(self, iterator: Iterator) -> None:
        self.iterator = iterator

    def __aiter__(self) -> Iterator:
        return self.iterator


class Iterator:
    """Counts up, and can't be closed."""

    def __init__(self) -> None:
        self.number = 0

    def __aiter__(self) -> Iterator:
        return self

    async def __anext__(self) -> int:
        if self.number == 3:
            raise StopAsyncIteration
        self.number += 1
        return self.number


class ClosableIterator(Iterator):
    closed = 0

    async def aclose(self) -> None:
        self.closed += 1


async def count(ended: list[str]) -> AsyncIterator[int]:
    try:
        for number in (1, 2, 3):
            yield number
    finally:
        ended.append("closed")


async def test_generator_left_early_is_closed_with_the_block() -> None:
    ended: list[str] = []
    async with closing(count(ended)) as numbers:
        async for number in numbers:
            assert (number, ended) == (1, [])
            break
    assert ended == ["closed"]


async def test_generator_is_closed_when_the_block_fails() -> None:
    ended: list[str] = []
    with pytest.raises(KeyError):
        async with closing(count(ended)) as numbers:
            await anext(numbers)
            raise KeyError("a bug")
    assert ended == ["closed"]


async def test_generator_can_be_read_to_its_end() -> None:
    ended: list[str] = []
    async with closing(count(ended)) as numbers:
        assert [number async for number in numbers] == [1, 2, 3]
    assert ended == ["closed"]


async def test_iterator_of_an_iterable_is_closed() -> None:
    iterator = ClosableIterator()
    async with closing(Numbers(iterator)) as numbers:
        assert await anext(numbers) == 1
        assert iterator.closed == 0
    assert iterator.closed == 1


async def test_iterator_without_aclose_is_not_closed() -> None:
    async with closing(Numbers(Iterator())) as numbers:
        assert [number async for number in numbers] == [1, 2, 3]


@pytest.mark.parametrize("turns", range(6))
async def test_what_is_finished_ends_before_the_cancellation_goes_on(turns: int) -> None:
    done = False

    async def work() -> None:
        nonlocal done
        for _ in range(3):
            await asyncio.sleep(0)
        done = True

    async def caller() -> None:
        await finish(work())
        await silence()

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    for _ in range(turns):
        task.cancel()
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() and done


async def test_what_is_finished_returns_its_result_or_raises_its_error() -> None:
    async def one() -> int:
        return 1

    async def fail() -> None:
        raise ValueError("a bug")

    assert await finish(one()) == 1
    with pytest.raises(ValueError, match="a bug"):
        await finish(fail())


@pytest.mark.parametrize("fails", [False, True], ids=["cancelled", "failed"])
async def test_all_are_closed_in_order_whatever_becomes_of_the_first(fails: bool) -> None:
    closed = []

    async def first() -> None:
        closed.append(1)
        if fails:
            raise ValueError("a bug")
        await silence()

    async def second() -> None:
        closed.append(2)

    task = asyncio.create_task(close_all(first, second, second))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ValueError if fails else asyncio.CancelledError):
        await task
    assert closed == [1, 2, 2]
