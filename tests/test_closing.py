"""Iterators closed where they are used."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from livekit_plugins_speko._closing import closing


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


async def test_a_generator_left_early_is_closed_with_the_block() -> None:
    ended: list[str] = []
    async with closing(count(ended)) as numbers:
        async for number in numbers:
            assert (number, ended) == (1, [])
            break
    assert ended == ["closed"]


async def test_a_generator_is_closed_when_the_block_fails() -> None:
    ended: list[str] = []
    with pytest.raises(KeyError):
        async with closing(count(ended)) as numbers:
            await anext(numbers)
            raise KeyError("a bug")
    assert ended == ["closed"]


async def test_a_generator_may_be_read_to_its_end() -> None:
    ended: list[str] = []
    async with closing(count(ended)) as numbers:
        assert [number async for number in numbers] == [1, 2, 3]
    assert ended == ["closed"]


async def test_the_iterator_of_an_iterable_is_the_one_that_is_closed() -> None:
    iterator = ClosableIterator()
    async with closing(Numbers(iterator)) as numbers:
        assert await anext(numbers) == 1
        assert iterator.closed == 0
    assert iterator.closed == 1


async def test_an_iterator_that_cannot_be_closed_is_only_left() -> None:
    async with closing(Numbers(Iterator())) as numbers:
        assert [number async for number in numbers] == [1, 2, 3]
