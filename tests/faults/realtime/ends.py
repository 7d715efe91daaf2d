"""Rows of a session whose life ends, and of a caller who leaves."""

from __future__ import annotations

from typing import Any

from livekit_plugins_speko.testing import DropConnection, MintedSession
from tests.faults.answers import Raw, silence
from tests.faults.realtime.call import Call
from tests.faults.realtime.connecting import NO_READY
from tests.faults.realtime.drops import GREETING, LOST, RESULT, Moment
from tests.faults.realtime.rows import FORMS, RealtimeRow, Scenario, each_form
from tests.faults.realtime.service import CUT, FIRST, user

# A session is renewed 1 s before its end at the latest.
SHORT_LIFE_S = 1.6
SILENT = Raw(status=None, then=silence)


def renewed(moment: Moment) -> Scenario:
    """The session's life ends at a moment that lasts longer."""

    async def scenario(call: Call) -> None:
        await moment(call)
        await call.service.connected(2)

    return scenario


async def begins_a_line(call: Call) -> None:
    await call.greet()
    await call.service.play(user("I would like", final=False))


async def hears_long(call: Call) -> None:
    await call.hear_a_part(0.8)


async def ends_in_a_tool_call(call: Call) -> None:
    """The tool ends in the second session, and the third one is told its result."""
    await call.run_a_tool()
    await call.service.connected(2)
    call.tool.may_end.set()
    await call.service.connected(3)
    await call.until_asked()
    await call.reply_to_the_result()


async def ends_after_a_result(call: Call) -> None:
    await call.have_a_result()
    await call.service.connected(2)
    await call.until_asked()
    await call.reply_to_the_result()


def life(place: str, scenario: Scenario, *knows: str, **more: Any) -> RealtimeRow:
    """The end of a session's life: no error, and a new session that knows."""
    fields: dict[str, Any] = {
        "minted": [MintedSession(ttl_s=SHORT_LIFE_S)],
        "sessions": 2,
        "connections": 2,
        "forms": FORMS,
        **more,
    }
    knows = (*GREETING, *knows)
    return RealtimeRow(fault=f"life ends {place}", scenario=scenario, knows=knows, **fields)


def lives() -> list[RealtimeRow]:
    heard = [(FIRST, 0.1), (CUT, 0.8)]
    lease = [MintedSession(lease_s=SHORT_LIFE_S)]
    return [
        life("in silence", renewed(Call.greet)),
        life("in silence, of the lease", renewed(Call.greet), minted=lease, forms=FORMS[1:]),
        life("in the caller's line", renewed(begins_a_line), "Caller: I would like"),
        life("in a reply", renewed(hears_long), "You: Once upon", hears=heard),
        life("in a tool call", ends_in_a_tool_call, RESULT, sessions=3, connections=3),
        life("after a tool's result", ends_after_a_result, RESULT),
    ]


async def asks_for_a_session(call: Call) -> None:
    await call.gateway.arrived("sessions")


async def opens_a_socket(call: Call) -> None:
    await call.gateway.arrived("realtime")


async def waits_for_ready(call: Call) -> None:
    await call.gateway.realtime.connected()


async def reconnects(call: Call) -> None:
    """The connection drops, and the request for a new session has no response yet."""
    await call.greet()
    call.gateway.sessions.script(SILENT)
    await call.service.play(DropConnection())
    await call.gateway.arrived("sessions", count=2)


async def reconnects_the_socket(call: Call) -> None:
    await call.greet()
    call.gateway.realtime.script(NO_READY)
    await call.service.play(DropConnection())
    await call.gateway.realtime.connected(count=2)


def leaves(place: str, scenario: Scenario, **more: Any) -> RealtimeRow:
    fields: dict[str, Any] = {"forms": FORMS, **more}
    return RealtimeRow(fault=f"caller leaves {place}", scenario=scenario, leaves=True, **fields)


def leaving() -> list[RealtimeRow]:
    not_ready = {"sockets": [NO_READY], "connections": 0}
    lost: dict[str, Any] = {"error": LOST, "reports": 1, "sessions": 2}
    return [
        leaves("in the request", asks_for_a_session, minted=[SILENT], connections=0),
        leaves("in the handshake", opens_a_socket, sockets=[SILENT], connections=0),
        leaves("before ready", waits_for_ready, **not_ready),
        leaves("in silence", Call.greet),
        leaves("before the reply", Call.ask),
        leaves("in a reply", Call.hear_a_part),
        leaves("after a reply", Call.hear_the_last_part),
        leaves("in a tool call", Call.run_a_tool),
        leaves("after a tool's result", Call.have_a_result),
        leaves("in the request, reconnecting", reconnects, **lost),
        leaves("before ready, reconnecting", reconnects_the_socket, **lost),
    ]


ROWS = each_form("ends", [*lives(), *leaving()])
