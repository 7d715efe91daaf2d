"""The loop of connections by itself: faults of a connector and of a connection, and renewal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from livekit.agents import APIConnectOptions, APIError

from livekit_plugins_speko.api.realtime_events import Close, RealtimeEvent
from livekit_plugins_speko.errors import INSUFFICIENT_CREDITS, SpekoApiError
from livekit_plugins_speko.realtime.link import Link
from livekit_plugins_speko.realtime.outbox import Command, Outbox
from livekit_plugins_speko.realtime.sender import send
from tests.helpers.support import frame, tone


class _Handler:
    """The session above: keeps the failures, and is quiet at the third look."""

    left_s = 0.0

    def __init__(self) -> None:
        self.failures: list[tuple[Exception, bool]] = []
        self.dropped: list[bool] = []
        self.looks = 0
        self.connected = asyncio.Event()

    @property
    def is_quiet(self) -> bool:
        self.looks += 1
        return self.looks > 2

    def connect_options(self) -> Mapping[str, Any]:
        return {}

    def on_connected(self, connection: Any, seconds: float, *, again: bool) -> None:
        self.connected.set()

    def on_event(self, event: RealtimeEvent) -> bool:
        return True

    def on_dropped(self, *, lost: bool) -> None:
        self.dropped.append(lost)

    def on_failure(self, error: Exception, timing: Any, *, recoverable: bool) -> None:
        self.failures.append((error, recoverable))


class _Connection:
    """A connection that ends when a test says so; a write fails if `fault` is given."""

    session_id, expires_at, lease_expires_at = "s1", None, None
    input_sample_rate = output_sample_rate = 16_000
    can_take_text = reports_barge_in = True

    def __init__(self, *events: RealtimeEvent, fault: OSError | None = None) -> None:
        self.ended = asyncio.Event()
        self.is_closed = False
        self.interrupted = asyncio.Event()
        self.calls: list[tuple[Any, ...]] = []
        self._events = events
        self._fault = fault

    async def send_audio(self, pcm: bytes, /) -> None:
        self._note("audio", len(pcm))

    async def commit(self) -> None:
        self._note("commit")

    async def interrupt(self) -> None:
        self.interrupted.set()
        self._note("interrupt")

    async def send_tool_result(self, call_id: str, output: str) -> None:
        self._note("tool_result", call_id, output)

    async def reply(self, instructions: str | None = None, /) -> None:
        self._note("reply", instructions)

    async def send_text(self, text: str, instructions: str | None = None, /) -> None:
        self._note("text", text, instructions)

    async def close(self, code: int = 1000, reason: str = "client_closed") -> None:
        self.is_closed = True
        self.ended.set()

    async def __aiter__(self) -> AsyncIterator[RealtimeEvent]:
        await self.ended.wait()
        for event in self._events:
            yield event

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self._fault is not None:
            # The close frame is read a moment after the write failed.
            asyncio.get_running_loop().call_later(0.02, self.ended.set)
            raise self._fault


class _Connector:
    """Gives the connections of a list, or raises its exceptions."""

    def __init__(self, *results: _Connection | Exception) -> None:
        self._results = list(results)

    async def connect(self, options: Mapping[str, Any]) -> _Connection:
        result = self._results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


REFUSED = APIError("refused", retryable=False)


def _link(handler: _Handler, *results: _Connection | Exception, max_retry: int = 0) -> Link:
    options = APIConnectOptions(max_retry=max_retry, retry_interval=0.01, timeout=1.0)
    return Link(handler, _Connector(*results), Outbox(), options)


async def test_programming_error_of_a_connector_is_raised() -> None:
    handler = _Handler()
    with pytest.raises(KeyError):
        await _link(handler, KeyError("bug"), max_retry=3).run()
    assert not handler.failures


async def test_livekit_error_of_a_connector_is_reported_itself() -> None:
    handler = _Handler()
    await _link(handler, REFUSED, max_retry=3).run()
    assert handler.failures == [(REFUSED, True), (REFUSED, False)]


async def test_session_without_credits_is_requested_once() -> None:
    handler = _Handler()
    await _link(handler, SpekoApiError("busy", 503, INSUFFICIENT_CREDITS), max_retry=3).run()
    assert [recoverable for _, recoverable in handler.failures] == [True, False]


async def test_reason_that_follows_a_failed_write_is_reported() -> None:
    handler = _Handler()
    closing = _Connection(Close(code=1000, reason="all done"), fault=ConnectionError("gone"))
    link = _link(handler, closing)
    link._outbox.push(Command(kind="interrupt"))
    await link.run()
    [(error, recoverable)] = handler.failures
    assert "all done" in str(error)
    assert not recoverable


async def test_events_that_stop_without_a_close_are_a_lost_connection() -> None:
    handler = _Handler()
    connection = _Connection()
    connection.ended.set()
    await _link(handler, connection).run()
    [(error, _)] = handler.failures
    assert "1006" in str(error)
    assert handler.dropped == [True]


@pytest.mark.parametrize("steps", range(12))
async def test_connection_is_closed_whenever_the_caller_leaves_after_its_end(steps: int) -> None:
    handler, connection = _Handler(), _Connection(Close(code=1006, reason="lost"))
    link = _link(handler, connection)
    running = asyncio.create_task(link.run())
    await handler.connected.wait()
    connection.ended.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    await link.aclose()
    assert connection.is_closed


async def test_renewal_waits_for_a_quiet_moment() -> None:
    handler = _Handler()
    link = _link(handler, _Connection(), REFUSED)
    running = asyncio.create_task(link.run())
    await handler.connected.wait()
    link.renew()
    assert link.is_renewal_due
    await running
    assert handler.looks == 3
    assert handler.dropped == [False]


async def test_each_command_is_sent_in_order_and_cleared_audio_is_not() -> None:
    outbox, connection = Outbox(), _Connection()
    outbox.push(frame(tone(0.01, rate=16_000)))
    for command in (
        Command(kind="clear"),
        Command(kind="commit"),
        Command(kind="tool_result", call_id="c1", text="noon"),
        Command(kind="reply", text="Greet."),
        Command(kind="text", text="Hi.", instructions="Greet."),
    ):
        outbox.push(command)
    sending = asyncio.create_task(send(outbox, connection))
    outbox.push(Command(kind="interrupt"))
    await connection.interrupted.wait()
    sending.cancel()
    await asyncio.wait({sending})
    assert connection.calls == [
        *(("commit",), ("tool_result", "c1", "noon"), ("reply", "Greet.")),
        *(("text", "Hi.", "Greet."), ("interrupt",)),
    ]


async def test_failed_write_has_the_close_code_of_the_connection() -> None:
    outbox = Outbox()
    outbox.push(Command(kind="interrupt"))
    end = await send(outbox, _Connection(fault=ConnectionError("gone")))
    assert end == Close(code=1006, reason="gone")
