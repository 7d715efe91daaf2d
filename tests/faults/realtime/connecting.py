"""Rows of a session that cannot be made, and of a connection that cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko.testing import (
    CloseSocket,
    DropConnection,
    ErrorEvent,
    JsonAnswer,
    Latency,
    LostAnswer,
    MintedSession,
    RealtimeScript,
    Refusal,
    SocketStep,
)
from tests.faults.answers import Raw, silence
from tests.faults.realtime.rows import FORMS, RealtimeRow, each_form, wait

IMPATIENT = {"conn_options": APIConnectOptions(max_retry=2, retry_interval=0.05, timeout=1.0)}
ATTEMPTS = 3


def row(fault: str, **fields: Any) -> RealtimeRow:
    return RealtimeRow(fault=fault, scenario=wait, **fields)


def permanent(fault: str, error: str, **more: Any) -> RealtimeRow:
    """A fault that closes the session at once."""
    return row(fault, closes=error, reports=1, lasts=True, connections=0, **more)


def passing(fault: str, error: str, **more: Any) -> list[RealtimeRow]:
    """A fault that is tried again: while it lasts, and when it passes."""
    return [
        row(
            fault,
            closes=error,
            lasts=True,
            connections=0,
            reports=ATTEMPTS,
            sessions=ATTEMPTS,
            **more,
        ),
        row(fault, error=error, passes=True, reports=1, sessions=2, **more),
    ]


def refused(status: int, code: str) -> dict[str, Any]:
    error = f"APIStatusError {status}, {code}"
    return {
        "fault": f"mint: {status} {code}",
        "error": error,
        "minted": [Refusal(status, "no", code)],
    }


SILENT = Raw(status=None, then=silence)
# A port on which no one listens.
NOWHERE = {"wsUrl": "ws://127.0.0.1:9/"}
NO_READY = RealtimeScript(ready=False)


def before_ready(*steps: SocketStep | ErrorEvent) -> RealtimeScript:
    """A connection on which these come in place of the message that it is ready."""
    return RealtimeScript(steps, ready=False)


ROWS = each_form(
    "connecting",
    [
        permanent(**refused(400, "VALIDATION_ERROR")),
        permanent(**refused(401, "UNAUTHORIZED")),
        permanent(**refused(402, "INSUFFICIENT_CREDITS")),
        permanent(**refused(403, "FORBIDDEN")),
        permanent(**refused(404, "AGENT_NOT_FOUND")),
        *passing(**refused(429, "RATE_LIMITED")),
        *passing(**refused(500, "SESSION_CREATE_FAILED")),
        *passing(**refused(503, "UNAVAILABLE")),
        row(
            "mint: slow, below its timeout",
            latency=Latency(first_s=0.8),
        ),
        *passing("mint: silence", "APITimeoutError", minted=[SILENT], options=IMPATIENT),
        replace(
            passing("mint: cut, no response", "APIConnectionError", minted=[LostAnswer()])[0],
            sessions=2 * ATTEMPTS,  # each is repeated once, with its key
        ),
        row(
            "mint: cut, the session was made",
            minted=[MintedSession(lost=True)],
            sessions=2,
        ),
        *passing(
            "mint: a response that can't be read",
            "APIError, MALFORMED_RESPONSE",
            minted=[JsonAnswer({"mode": "s2s"}, status=201)],
        ),
        *passing("socket: refused", "APIConnectionError", minted=[MintedSession(changes=NOWHERE)]),
        permanent(
            "socket: 401",
            "APIStatusError 401, AUTH_ERROR",
            sockets=[Refusal(401, "no", "UNAUTHORIZED")],
            forms=FORMS,
        ),
        *passing(
            "socket: 503",
            "APIStatusError 503, UNKNOWN",
            sockets=[Refusal(503, "no", "UNAVAILABLE")],
            forms=FORMS,
        ),
        *passing(
            "socket: no ready",
            "APITimeoutError",
            sockets=[NO_READY],
            options=IMPATIENT,
            forms=FORMS,
        ),
        *passing(
            "socket: an error before ready",
            "APIError, BUSY",
            sockets=[before_ready(ErrorEvent("try later", "BUSY"))],
            forms=FORMS,
        ),
        *passing(
            "socket: dropped before ready",
            "APIConnectionError",
            sockets=[before_ready(DropConnection())],
            forms=FORMS,
        ),
        *passing(
            "socket: 1008 before ready",
            "APIConnectionError",
            sockets=[before_ready(CloseSocket(1008, "no"))],
            forms=FORMS,
        ),
        permanent(
            "socket: 4401 before ready",
            "APIStatusError 401, AUTH_ERROR",
            sockets=[before_ready(CloseSocket(4401, "no"))],
            forms=FORMS,
        ),
        permanent(
            "socket: error without credits before ready",
            "APIError, INSUFFICIENT_CREDITS",
            sockets=[before_ready(ErrorEvent("no money", "INSUFFICIENT_CREDITS"))],
            forms=FORMS,
        ),
    ],
)
