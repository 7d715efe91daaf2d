"""A row of the matrix about speech to speech, and how it is checked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import pytest
from livekit.agents import APIError, APIStatusError, CloseReason

from livekit_plugins_speko.testing import Answer, Latency, LocalGateway
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.faults.realtime.call import Call, Lateness, calling
from tests.faults.realtime.service import CUT, REST, Service, Step
from tests.faults.table import Seen

FORMS = ("proxy", "xai", "google")
MAY_SOUND_S = 0.1
"""Longest time, in seconds, that an interrupted reply is heard after the interruption."""

LEAVES_WITHIN_S = 5.0  # far above what it takes, far below any other bound

Scenario: TypeAlias = Callable[[Call], Awaitable[None]]
"""Leads a call to a moment, and has the fault happen."""


async def wait(call: Call) -> None:
    """The fault comes by itself."""


@dataclass(frozen=True, kw_only=True)
class RealtimeRow:
    """One fault of a call with a voice model, and the result expected.

    Attributes:
        fault: Its name in the table.
        scenario: The call up to the fault, and the fault.
        stage: The part of the table that it belongs to.
        form: The form of the wire.
        minted: The first responses to the requests for a session.
        sockets: What the first connections do. The next ones are healthy.
        latency: How slow the responses to the requests are.
        lasts: True if all responses, or connections, are like the last of these.
        passes: True if the fault passes after one response.
        options: Options of the model.
        closes: The error that closes the session; empty when it goes on.
        error: The last error that is reported; that of `closes` where it is empty.
        reports: How many recoverable errors are reported.
        sessions: How many sessions of the service are requested; below 0 for any number.
        connections: How many connections become ready, likewise.
        knows: What the last session's prompt must hold.
        lacks: What it must not.
        hears: What is heard of the call up to then; None for anything but the late rest of a
            reply that was cut.
        leaves: True if the caller leaves at the end of the scenario.
        synchronized: False for audio so long that LiveKit would be busy with its words for seconds.
        forms: The forms to try it in, by `each_form`.
    """

    fault: str
    scenario: Scenario
    stage: str = ""
    form: str = "proxy"
    minted: Sequence[Answer] = ()
    sockets: Sequence[Answer] = ()
    latency: Latency = field(default_factory=Latency)
    lasts: bool = False
    passes: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    closes: str = ""
    error: str = ""
    reports: int = 0
    sessions: int = 1
    connections: int = 1
    knows: Sequence[str] = ()
    lacks: Sequence[str] = ()
    hears: Sequence[tuple[int, float]] | None = None
    leaves: bool = False
    synchronized: bool = True
    forms: Sequence[str] = ("proxy",)


def each_form(stage: str, rows: Sequence[RealtimeRow]) -> list[RealtimeRow]:
    """Each row of a part of the table once for each of its forms."""
    return [replace(row, stage=stage, form=form) for row in rows for form in row.forms]


def each(rows: Sequence[RealtimeRow]) -> pytest.MarkDecorator:
    """One test for each fault: its forms run concurrently, as they mostly wait."""
    faults: dict[str, list[RealtimeRow]] = {}
    for row in rows:
        faults.setdefault(row.fault, []).append(row)
    return pytest.mark.parametrize("rows", faults.values(), ids=faults)


async def check_each(rows: Sequence[RealtimeRow], caplog: pytest.LogCaptureFixture) -> list[Seen]:
    """Check the rows of a fault, and return their outcomes."""
    tasks = [asyncio.create_task(check(row, caplog)) for row in rows]
    await asyncio.wait(tasks)
    return [task.result() for task in tasks]


async def check(row: RealtimeRow, caplog: pytest.LogCaptureFixture) -> Seen:
    """Check a row, and return its outcome."""
    caplog.set_level("DEBUG")
    async with LocalGateway() as gateway:
        service = Service(gateway)
        _serve(row, gateway)
        async with calling(
            gateway,
            service,
            form=row.form,
            options=row.options,
            synchronized=row.synchronized,
        ) as call:
            began_at = time.perf_counter()
            await row.scenario(call)
            outcome = await (_leave(call) if row.leaves else _settle(row, call))
            seconds = time.perf_counter() - (service.fault_at or began_at)
            if not (call.closed or row.leaves):
                await call.prove()
        _check_outcome(row, call)
        _check_tool_calls(call, all_answered=not (call.closed or row.leaves))
        _check_secrets(call, caplog)
    return Seen(
        stage=row.stage,
        fault=row.fault,
        passes=row.passes,
        error="" if call.failure is None else shown(call.failure),
        retries=sum(event.error.recoverable for event in call.errors),
        requests=len(gateway.requests_to("sessions")),
        seconds=seconds,
        heard=outcome,
        note="" if row.stage == "connecting" else row.form,
    )


async def _leave(call: Call) -> str:
    """Have the caller leave: nothing is left of the call, soon."""
    call.service.fault_at = time.perf_counter()
    closing = asyncio.create_task(call.session.aclose())
    await asyncio.sleep(0)
    call.tool.may_end.set()  # LiveKit waits for a tool that runs
    await within(closing, LEAVES_WITHIN_S, "the end of the session")
    await call.gateway.idle(connections=100, within_s=LEAVES_WITHIN_S)
    closed = [each for each in call.gateway.realtime.connections if each.closed_by == "client"]
    assert {each.close_code for each in closed} <= {1000}
    return "nothing is left"


async def _settle(row: RealtimeRow, call: Call) -> str:
    """Wait until the agent listens, or the session is closed."""
    await call.settle(row.connections, closes=bool(row.closes))
    assert row.hears is None or call.heard() == list(row.hears), call.heard()
    if call.closed:
        return "closes"
    if call.silent_after_s is not None:
        return f"silent in {1000 * call.silent_after_s:.0f} ms"
    if row.stage == "connecting":
        return "connects"
    return "new session" if len(call.prompts) > 1 else "goes on"


def _serve(row: RealtimeRow, gateway: LocalGateway) -> None:
    gateway.sessions.latency = row.latency
    for route, answers in ((gateway.sessions, row.minted), (gateway.realtime, row.sockets)):
        if answers and row.lasts:
            route.always(answers[-1])
        else:
            route.script(*answers)


def shown(error: APIError) -> str:
    """An error in the table: LiveKit's class, the status, and the service's code.

    One that is reported has no cause yet.
    """
    told = type(error).__name__
    if isinstance(error, APIStatusError):
        told += f" {error.status_code}"
    code = error.body.get("code") if isinstance(error.body, dict) else None
    return f"{told}, {code}" if code else told


def _check_outcome(row: RealtimeRow, call: Call) -> None:
    told = [shown(event.error.error) for event in call.errors if event.error.recoverable]
    assert len(told) == row.reports, told
    assert ("" if call.failure is None else shown(call.failure)) == (row.error or row.closes)
    assert len(call.gateway.requests_to("sessions")) == row.sessions or row.sessions < 0
    assert len(call.service.connections) == row.connections or row.connections < 0
    assert not [text for text in row.knows if text not in call.prompts[-1]], call.prompts[-1]
    assert not [text for text in row.lacks if text in call.prompts[-1]], call.prompts[-1]
    assert not call.seconds_of(REST)
    if not row.leaves:
        ends = [event.error.error for event in call.closed if event.reason is CloseReason.ERROR]
        assert "".join(map(shown, ends)) == row.closes
        assert all(map(str, ends))


def _check_tool_calls(call: Call, *, all_answered: bool) -> None:
    """Each call is answered exactly once; on a connection that was lost at most once."""
    for connection in call.service.connections:
        assert connection.invalid is None
        results = [str(frame.call_id) for frame in connection.received("tool_result")]
        assert len(results) == len(set(results))
        if all_answered and connection is call.service.connections[-1]:
            assert sorted(results) == sorted(connection._form.calls)


def _check_secrets(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    """No credential is in a log line or an error."""
    told = [caplog.text, *(repr(vars(record)) for record in caplog.records)]
    for event in call.errors:
        error: BaseException | None = event.error.error
        while error is not None:
            told += [str(error), repr(error), repr(vars(error))]
            error = error.__cause__ or error.__context__
    secrets = [call.gateway.api_key]
    for session in call.gateway._store:
        secrets += [session.token, session.telemetry_token]
    text = "\n".join(told)
    assert not [secret for secret in secrets if secret in text]


async def interrupt(call: Call, *steps: Step) -> None:
    """Interrupt a reply that is heard: it is silent soon. What follows comes with it."""
    before_s = call.seconds_of(CUT)
    async with Lateness() as lateness:
        await call.service.play(*steps)
        await call.until_silent()
    call.silent_after_s = call.seconds_of(CUT) - before_s
    assert call.silent_after_s <= MAY_SOUND_S + lateness.total_s
