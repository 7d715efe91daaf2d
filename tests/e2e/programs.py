"""Programs that a test starts while its event loop runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from examples.stack import Process

P = ParamSpec("P")
Started = TypeVar("Started", Process, tuple[Process, dict[str, str]])


async def begin(start: Callable[P, Started], *args: P.args, **kwargs: P.kwargs) -> Started:
    """Start a program in a thread; when nobody waits for it any more, it is stopped."""
    starting = asyncio.ensure_future(asyncio.to_thread(start, *args, **kwargs))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        started = await starting
        process = started if isinstance(started, Process) else started[0]
        await asyncio.to_thread(process.stop)
        raise


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run several at once; when one fails, the others are cancelled, and end before it raises."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
