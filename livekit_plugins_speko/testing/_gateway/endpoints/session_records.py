"""Endpoints at which a client reports a session, reads it and ends it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from aiohttp import web

from ...answers import Answer, Refusal
from ...sessions import JsonAnswer
from ..endpoint import Endpoint
from ..fields import check_json_body
from ..limits import MAX_JSON_BYTES
from ..minting import TELEMETRY_PATH
from ..request import GatewayRequest
from ..route import Engine, Route
from ..session_store import GatewaySession, SessionStore, iso_time
from ..shapes import (
    Check,
    InvalidRequest,
    json_object,
    list_of,
    one_of,
    record,
    text,
    text_up_to,
    whole,
    wrong,
)

_MAX_TURNS = 200
_MAX_TURN_CHARS = 16_384
_MAX_EVENTS = 1000


def _check_time(value: Any, where: str) -> None:
    """Accept ISO 8601 with a time zone."""
    text(value, where)
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise wrong(where, value, "a time in ISO 8601 with its zone")


_TURN = record(
    {
        "index": whole(0),
        "source": one_of("user", "agent", "system"),
        "text": text_up_to(_MAX_TURN_CHARS),
        "startedAt": _check_time,
        "endedAt": _check_time,
        "provider": text,
        "model": text,
    },
    required=("index", "source", "text", "startedAt"),
)
_TURNS = record({"turns": list_of(_TURN, least=1, most=_MAX_TURNS)}, required=("turns",))
_EVENT = record(
    {
        "session_id": text,
        "attempt_id": text,
        "created_at_ms": whole(0),
        "type": one_of("usage.reported", "session.closed"),
        "event_id": text,
        "data": json_object,
    },
    required=("session_id", "attempt_id", "created_at_ms", "type", "event_id"),
)
_TELEMETRY = record({"events": list_of(_EVENT, least=1, most=_MAX_EVENTS)}, required=("events",))
_RENEWAL = record({"previous_expires_at": text}, required=("previous_expires_at",))


class SessionRecords:
    """The endpoints and engines about the sessions of a store."""

    def __init__(self, store: SessionStore) -> None:
        """Make them.

        Args:
            store: The gateway's sessions.
        """
        self._store = store

    def turns(self) -> tuple[Route, Endpoint]:
        """`POST /v1/sessions/{session_id}/turns`: stores turns; the same index replaces."""
        return self._post("turns", "/v1/sessions/{session_id}/turns", self._store_turns, _TURNS)

    def transcript(self) -> tuple[Route, Endpoint]:
        """`GET /v1/sessions/{session_id}/transcript`: the stored turns."""
        path = "/v1/sessions/{session_id}/transcript"
        endpoint = Endpoint("transcript", "GET", path, check=self._require_session)
        return _route(endpoint, self._render_transcript), endpoint

    def calls(self) -> tuple[Route, Endpoint]:
        """`POST /v1/calls/{session_id}/end`: ends a session."""
        path = "/v1/calls/{session_id}/end"
        endpoint = Endpoint(
            "calls", "POST", path, check=self._require_session, max_body_bytes=MAX_JSON_BYTES
        )
        return _route(endpoint, self._end), endpoint

    def telemetry(self) -> tuple[Route, Endpoint]:
        """`POST` of the usage of a session whose audio goes to its provider directly."""
        return self._post("telemetry", TELEMETRY_PATH, self._store_events, _TELEMETRY, own=True)

    def renewals(self) -> tuple[Route, Endpoint]:
        """`POST` that renews the lease of such a session."""
        path = "/v1/sessions/{session_id}/lease/renew"
        return self._post("renewals", path, self._renew, _RENEWAL, own=True)

    def _post(
        self,
        name: str,
        path: str,
        engine: Engine,
        shape: Check,
        *,
        own: bool = False,
    ) -> tuple[Route, Endpoint]:
        """Make a POST; with `own` it takes the token of a session's telemetry as its key."""

        def check(request: GatewayRequest) -> None:
            if not own:
                self._require_session(request)
            check_json_body(request.headers, request.body, shape)

        if own:
            endpoint = Endpoint(name, "POST", path, check, MAX_JSON_BYTES, self._authorize_own)
        else:
            endpoint = Endpoint(name, "POST", path, check, MAX_JSON_BYTES)
        return _route(endpoint, engine), endpoint

    def _authorize_own(self, http: web.BaseRequest, api_key: str) -> None:
        authorization = http.headers.get("Authorization", "")
        session = self._store.find_telemetry_token(authorization.removeprefix("Bearer "))
        if not authorization.startswith("Bearer ") or session is None:
            raise InvalidRequest(
                "header Authorization: expected Bearer and a session's telemetry token",
                status=401,
                code="UNAUTHORIZED",
            )

    def _require_session(self, request: GatewayRequest) -> None:
        session_id = request.path_parameters.get("session_id")
        if self._store.get(session_id) is None:
            raise InvalidRequest(
                f"session: found {session_id}, expected one of this gateway's. "
                "gateway.register_session(...) adds one.",
                status=404,
                code="SESSION_NOT_FOUND",
            )

    def _session(self, request: GatewayRequest) -> GatewaySession:
        session = self._store.get(request.path_parameters["session_id"])
        assert session is not None, "the check requires it"
        return session

    async def _store_turns(self, request: GatewayRequest, /) -> Answer:
        for turn in request.json["turns"]:
            self._session(request).turns[turn["index"]] = turn
        return JsonAnswer(status=202)

    async def _render_transcript(self, request: GatewayRequest, /) -> Answer:
        session = self._session(request)
        blank = {"endedAt": None, "provider": None, "model": None}
        entries = [
            {"id": f"{session.id}-{index}", **blank, **turn}
            for index, turn in sorted(session.turns.items())
        ]
        return JsonAnswer({"entries": entries})

    async def _end(self, request: GatewayRequest, /) -> Answer:
        session = self._session(request)
        status = "already_ended" if session.ended else "ending"
        session.ended = True
        return JsonAnswer({"ok": True, "status": status, "ended_at": iso_time(time.time())})

    async def _store_events(self, request: GatewayRequest, /) -> Answer:
        for event in request.json["events"]:
            session = self._store.get(event["session_id"])
            if session is not None:
                session.telemetry.append(event)
        return JsonAnswer(status=202)

    async def _renew(self, request: GatewayRequest, /) -> Answer:
        session = self._store.get(request.path_parameters["session_id"])
        if session is None or not session.renewable:
            return Refusal(409, "lease: found one that cannot be renewed", "LEASE_NOT_RENEWABLE")
        if request.json["previous_expires_at"] != iso_time(session.lease_expires_at):
            return Refusal(409, "previous_expires_at: found another one", "LEASE_CHANGED")
        session.renew()
        credential = {
            "kind": "bearer",
            "value": session.token,
            "expires_at": iso_time(session.expires_at),
        }
        lease = iso_time(session.lease_expires_at)
        return JsonAnswer({"lease_expires_at": lease, "credential": credential})


def _route(endpoint: Endpoint, engine: Engine) -> Route:
    route = Route(endpoint.name)
    route.use(engine)
    return route
