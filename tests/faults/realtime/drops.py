"""Rows of a connection that is lost or closed, at each moment of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from livekit_plugins_speko.testing import CloseSocket, DropConnection, EndSession, SocketStep
from tests.faults.realtime.call import Call
from tests.faults.realtime.rows import FORMS, RealtimeRow, Scenario, each_form
from tests.faults.realtime.service import CUT, FIRST, CloseWithoutCode

LOST = "APIConnectionError"
GREETING = ("Caller: What time is it?", "You: It is noon.")
RESULT = "The result of get_time (call-1): noon"

Moment: TypeAlias = Callable[[Call], Awaitable[None]]


def then(moment: Moment, fault: SocketStep) -> Scenario:
    """A fault at a moment."""

    async def scenario(call: Call) -> None:
        await moment(call)
        await call.service.play(fault)
        call.tool.may_end.set()  # LiveKit closes no session whose tool runs

    return scenario


def lost(place: str, moment: Moment, *knows: str, fault: SocketStep | None = None) -> RealtimeRow:
    """A connection that is lost: a new session knows what was said and heard."""
    return RealtimeRow(
        fault=f"dropped {place}",
        scenario=then(moment, fault or DropConnection()),
        error=LOST,
        reports=1,
        sessions=2,
        connections=2,
        knows=(*GREETING, *knows),
        forms=FORMS,
    )


def closed(code: int) -> list[RealtimeRow]:
    """A code with which a connection counts as lost."""
    row = lost("", Call.hear_a_part, "You: Once upon", fault=CloseSocket(code, "why"))
    return [
        replace(row, fault=f"closed with {code} in a reply"),
        replace(
            lost("", Call.greet, fault=CloseSocket(code, "why")),
            fault=f"closed with {code} in silence",
        ),
    ]


def hung_up(name: str, fault: SocketStep) -> list[RealtimeRow]:
    """A service that hangs up: what it said last is heard, and the session closes."""
    heard = [(FIRST, 0.1), (CUT, 0.5)]
    moments: list[tuple[str, Moment, list[tuple[int, float]]]] = [
        ("before the reply", Call.ask, heard[:1]),
        ("in a reply", Call.hear_a_part, heard),
        ("after a reply", Call.hear_the_last_part, heard),
        ("in a tool call", Call.run_a_tool, heard[:1]),
    ]
    return [
        RealtimeRow(
            fault=f"{name} {place}",
            scenario=then(moment, fault),
            closes="APIError",
            hears=hears,
            forms=FORMS if isinstance(fault, EndSession) else FORMS[:1],
        )
        for place, moment, hears in moments
    ]


def refused(place: str, moment: Moment) -> RealtimeRow:
    return RealtimeRow(
        fault=f"closed with 4401 {place}",
        scenario=then(moment, CloseSocket(4401, "expired")),
        closes="APIStatusError 401",
        forms=FORMS,
    )


async def in_a_tool_call(call: Call) -> None:
    """The connection drops; the tool ends on the next one, and the one after it knows."""
    await call.run_a_tool()
    await call.service.play(DropConnection())
    await call.service.connected(2)
    call.tool.may_end.set()
    await call.service.connected(3)
    await call.until_asked()
    await call.reply_to_the_result()


async def as_the_tool_ends(call: Call) -> None:
    """The connection drops at the moment at which the tool returns."""
    await call.run_a_tool()
    call.tool.may_end.set()
    await call.service.play(DropConnection())
    await call.service.connected(2)
    while RESULT not in call.prompts[-1]:
        await call.service.connected(len(call.service.connections) + 1)
    await call.until_asked()
    await call.reply_to_the_result()


async def with_the_result(call: Call) -> None:
    """The connection drops once the model has the result."""
    await call.have_a_result()
    await call.service.play(DropConnection())
    await call.service.connected(2)
    await call.until_asked()
    await call.reply_to_the_result()


def in_tools(place: str, scenario: Scenario, sessions: int) -> RealtimeRow:
    row = lost(place, Call.greet, "Caller: And in Rome?", RESULT)
    return replace(row, scenario=scenario, sessions=sessions, connections=sessions)


ROWS = each_form(
    "drops",
    [
        lost("in silence", Call.greet),
        lost("before the reply", Call.ask, "Caller: Tell me a story."),
        lost("in a reply", Call.hear_a_part, "You: Once upon"),
        lost("after a reply", Call.hear_the_last_part, "You: Once upon a time."),
        in_tools("in a tool call", in_a_tool_call, 3),
        in_tools("as the tool ends", as_the_tool_ends, -1),
        in_tools("after a tool's result", with_the_result, 2),
        *(row for code in (1001, 1008, 1011) for row in closed(code)),
        *hung_up("end", EndSession()),
        *hung_up("closed with 1000", CloseSocket(1000)),
        *hung_up("closed with 1005", CloseWithoutCode()),
        refused("in silence", Call.greet),
        refused("in a reply", Call.hear_a_part),
    ],
)
