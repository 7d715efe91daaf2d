"""Async iterators closed where they are used, not when the garbage collector finds them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def closing(items: AsyncIterable[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Iterate over `items` and close the iterator in the end, if it can be closed.

    Unlike `contextlib.aclosing` it takes iterators that are no generators, which is what a client
    other than `Speko` may hand out.
    """
    iterator = items.__aiter__()
    try:
        yield iterator
    finally:
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()
