"""The WebSockets of speech to speech: the proxy's own, and stand-ins for xAI's and Gemini's."""

from __future__ import annotations

from aiohttp import web

from ..endpoint import Endpoint
from ..fields import check_upgrade
from ..minting import GOOGLE_PATH, XAI_PATH
from ..request import GatewayRequest
from ..session_store import GatewaySession, SessionForm, SessionStore
from ..shapes import InvalidRequest

NAME = "realtime"
XAI_SUBPROTOCOL = "xai-client-secret."
_PROTOCOL = "Sec-WebSocket-Protocol"


class RealtimeEndpoints:
    """The endpoints, which let the tokens of a store's sessions in."""

    def __init__(self, store: SessionStore) -> None:
        """Make them.

        Args:
            store: The gateway's sessions.
        """
        self._store = store
        proxy = "/v1/sessions/{session_id}/realtime"
        self.all = (
            Endpoint(NAME, "GET", proxy, _check_proxy, 0, self._authorize_proxy, {_PROTOCOL}),
            Endpoint(NAME, "GET", XAI_PATH, _check_xai, 0, self._authorize_xai, {_PROTOCOL}),
            Endpoint(
                NAME, "GET", GOOGLE_PATH, _check_google, 0, self._authorize_google, {"access_token"}
            ),
        )

    def _authorize_proxy(self, http: web.BaseRequest, api_key: str) -> GatewaySession:
        session = self._find(http, http.headers.get(_PROTOCOL, ""), "proxy")
        if f"/{session.id}/" not in http.path:
            raise _unauthorized("found a token of another session")
        return session

    def _authorize_xai(self, http: web.BaseRequest, api_key: str) -> GatewaySession:
        offered = http.headers.get(_PROTOCOL, "")
        if not offered.startswith(XAI_SUBPROTOCOL):
            raise _unauthorized(f"found no subprotocol {XAI_SUBPROTOCOL}<token>")
        return self._find(http, offered.removeprefix(XAI_SUBPROTOCOL), "xai")

    def _authorize_google(self, http: web.BaseRequest, api_key: str) -> GatewaySession:
        return self._find(http, http.query.get("access_token", ""), "google")

    def _find(self, http: web.BaseRequest, token: str, form: SessionForm) -> GatewaySession:
        """Find the session of a token; the API key must not come along."""
        if "Authorization" in http.headers:
            raise _unauthorized("found a header Authorization, expected the session's token alone")
        session = self._store.find_token(token, form)
        if session is None:
            raise _unauthorized("found no token of a live session, or one that has expired")
        return session


def _unauthorized(found: str) -> InvalidRequest:
    return InvalidRequest(f"credential: {found}", status=401, code="UNAUTHORIZED")


def _check_proxy(request: GatewayRequest) -> None:
    check_upgrade(request.headers)
    _check_query(request)


def _check_xai(request: GatewayRequest) -> None:
    check_upgrade(request.headers)
    _check_query(request, "model")
    session = request.authorized
    if request.query["model"] != session.model:
        raise InvalidRequest(f"query.model: found another one, expected {session.model}")


def _check_google(request: GatewayRequest) -> None:
    check_upgrade(request.headers)
    _check_query(request)


def _check_query(request: GatewayRequest, *expected: str) -> None:
    """Check the names of the query, of which the credential was taken out."""
    if list(request.query) != list(expected):
        found = ", ".join(request.query) or "nothing"
        raise InvalidRequest(f"query: found {found}, expected {', '.join(expected) or 'nothing'}")
