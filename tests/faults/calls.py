"""A call under the fault of a row, and the check of its outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from livekit.agents import APIError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Answer, LocalGateway
from tests.faults.answers import Door, Raw
from tests.faults.rows import ALL, HALF, IN_TIME_S, NOTHING, SOON_S, Row, shown
from tests.faults.stages import Heard
from tests.faults.table import Seen
from tests.helpers.support import errors_of


def amount(heard: str | bytes) -> int:
    """Amount of output: complete words, or bytes of samples."""
    return len(heard.split() if isinstance(heard, str) else heard)


class Listener:
    """Collects one call's output, and lets the service continue after half of it."""

    def __init__(self, row: Row, served: Answer | None) -> None:
        self._row = row
        self._said: Heard = row.stage.said if row.said is None else row.said
        self._served = served
        # None until output arrives; a transcript of silence is an empty text.
        self._heard: Heard | None = None

    def hear(self, piece: Heard) -> None:
        self._heard = piece if self._heard is None else self._heard + piece
        # LiveKit keeps back the last few milliseconds of what came.
        if isinstance(self._served, Raw) and amount(self._heard) >= 0.4 * amount(self._said):
            self._served.heard.open()

    @property
    def told(self) -> str:
        """The output so far, in words."""
        if self._heard is None:
            return NOTHING
        if self._row.alike(self._heard, self._said):
            return ALL
        part = amount(self._heard) / max(1, amount(self._said))
        if self._said[: len(self._heard)] == self._heard and 0.4 <= part <= 0.6:
            return HALF
        return f"something else ({part:.0%} as long): {self._heard[:60]!r}"


async def see(row: Row, *, passes: bool) -> Seen:
    """Make the call, check what every row has in common, and return its outcome.

    Args:
        row: What the service does.
        passes: Whether only the first answer has the fault.
    """
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(LocalGateway())
        served = row.answer.fresh() if isinstance(row.answer, Raw) else row.answer
        _serve(row, gateway, served, passes=passes)
        door = await stack.enter_async_context(Door(gateway.base_url, hangs=row.hangs))
        base_url = (gateway if served else door).base_url
        speko = await stack.enter_async_context(Speko(base_url=base_url, api_key=gateway.api_key))
        adapter = row.stage.make(speko, row.options)
        errors = errors_of(adapter)
        if passes and served is None:
            adapter.on("error", lambda _: door.open())
        listener = Listener(row, served)
        started = time.perf_counter()
        raised = await _call(row, adapter, listener)
        seconds = time.perf_counter() - started
        # One connection remains, which can be used again.
        await gateway.idle(connections=1, within_s=SOON_S)
    return Seen(
        stage=row.stage.name,
        fault=row.fault,
        passes=passes,
        error=_check_errors(raised, errors),
        retries=len(errors) - (raised is not None),
        requests=len(gateway.requests),
        seconds=seconds,
        heard=listener.told,
    )


async def _call(row: Row, adapter: Any, listener: Listener) -> APIError | None:
    conn_options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=row.patience_s)
    call = row.stage.call(adapter, conn_options, listener.hear)
    try:
        await asyncio.wait_for(call, 30)
    except APIError as error:
        return error
    return None


def _serve(row: Row, gateway: LocalGateway, served: Answer | None, *, passes: bool) -> None:
    route = getattr(gateway, row.stage.route)
    route.latency = row.latency
    healthy = row.mended or Raw(row.stage.pieces, row.stage.content_type)
    if served is None:
        route.always(healthy)
    elif passes:
        route.script(served, healthy)
    else:
        route.always(served)


def _check_errors(raised: APIError | None, events: Sequence[Any]) -> str:
    """Each failed attempt is reported once, all alike, and the last is raised; return it."""
    ends = [] if raised is None else [False]
    assert [event.recoverable for event in events] == [True] * (len(events) - len(ends)) + ends
    if raised is not None:
        # LiveKit wraps the last of several errors.
        assert events[-1].error in (raised, raised.__cause__)
    errors = {shown(event.error) for event in events}
    assert len(errors) <= 1
    return "".join(errors)


async def check(row: Row) -> list[Seen]:
    """Check a row with a fault in every answer and, if it is retried, in the first one only."""
    calls = [check_stays(row), check_passes(row)] if row.retried else [check_stays(row)]
    # Run concurrently, as they mostly wait.
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.wait(tasks)
    return [task.result() for task in tasks]


async def check_stays(row: Row) -> Seen:
    """Check a row with a fault in every answer."""
    seen = await see(row, passes=False)
    tries = 2 if row.retried else 1
    assert (seen.error, seen.retries) == (row.error, tries - 1)
    assert seen.requests == (tries if row.answer else 0)
    assert seen.heard == row.heard
    _check_time(row, seen)
    return seen


async def check_passes(row: Row) -> Seen:
    """Check a row with a fault in the first answer only: the second one succeeds."""
    seen = await see(row, passes=True)
    assert (seen.error, seen.retries) == (row.error, 1)
    assert seen.requests == (2 if row.answer else 1)
    assert seen.heard == ALL
    _check_time(row, seen)
    return seen


def _check_time(row: Row, seen: Seen) -> None:
    assert seen.seconds >= row.at_least_s
    # Every fault ends soon, unless it takes the patience of the row.
    assert seen.seconds < SOON_S or row.patience_s == IN_TIME_S
