"""From what comes in over HTTP to a `GatewayRequest`, and the check of it."""

from __future__ import annotations

import re
import time
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict

from . import checks
from .limits import MAX_AUDIO_BYTES, MAX_JSON_BYTES
from .request import GatewayRequest
from .shapes import InvalidRequest

_POSTS = {
    "/v1/transcribe": "transcribe",
    "/v1/complete": "complete",
    "/v1/synthesize": "synthesize",
}
_TOOLS_PATH = re.compile(r"/v1/agents/([^/]+)/tools")
_MAX_BODY_BYTES = {
    "transcribe": MAX_AUDIO_BYTES,
    "complete": MAX_JSON_BYTES,
    "synthesize": MAX_JSON_BYTES,
    "tools": 0,
    "unknown": MAX_JSON_BYTES,
}


async def read_request(http: web.BaseRequest) -> GatewayRequest:
    """Reads a whole request.

    Args:
        http: The request as aiohttp knows it.

    Returns:
        The request for the log. Of a body over the route's limit one byte more than the limit is
        kept, so that the check can tell; the rest is read, because a client that is still
        sending would not see the answer.
    """
    path = http.raw_path.partition("?")[0]
    route, agent_id = _find_route(http.method, path)
    keep_bytes = _MAX_BODY_BYTES[route] + 1
    body = bytearray()
    async for chunk in http.content.iter_any():
        body += chunk[: keep_bytes - len(body)]
    headers = CIMultiDict(http.headers)
    headers.popall("Authorization", None)
    return GatewayRequest(
        route=route,
        method=http.method,
        path=path,
        query=dict(http.query),
        headers=headers,
        body=bytes(body),
        received_at=time.perf_counter(),
        agent_id=agent_id,
    )


def check_request(request: GatewayRequest, authorization: str | None, api_key: str) -> None:
    """Checks what the service checks, in its order: key, path, size, fields.

    Args:
        request: The request.
        authorization: Its `Authorization` header; None when it has none.
        api_key: The only key that is let in.

    Raises:
        InvalidRequest: The request is to be refused, with this status and code.
    """
    if authorization != f"Bearer {api_key}":
        found = "nothing" if authorization is None else "something else"
        raise InvalidRequest(
            f"header Authorization: found {found}, expected Bearer and the gateway's api_key",
            status=401,
            code="UNAUTHORIZED",
        )
    if request.route == "unknown":
        raise InvalidRequest(
            f"found {request}, expected POST {', '.join(_POSTS)} or GET /v1/agents/{{id}}/tools",
            status=404,
            code="NOT_FOUND",
        )
    if len(request.body) > _MAX_BODY_BYTES[request.route]:
        raise InvalidRequest(
            f"body: found more than {_MAX_BODY_BYTES[request.route]} bytes, expected at most that",
            status=413,
            code="PAYLOAD_TOO_LARGE",
        )
    checks.check_session_id(request.headers)
    _check_fields(request)


def _check_fields(request: GatewayRequest) -> None:
    """Checks headers and body as the route demands."""
    if request.route == "transcribe":
        checks.check_transcribe(request.headers, request.body)
    elif request.route == "complete":
        checks.check_json(request.headers, request.body, checks.COMPLETE)
    elif request.route == "synthesize":
        checks.check_json(request.headers, request.body, checks.SYNTHESIZE)
    else:
        checks.check_tools_query(request.query)


def _find_route(method: str, path: str) -> tuple[str, str | None]:
    """Finds the name of the route and, for tools, the agent's id, decoded."""
    if method == "POST" and path in _POSTS:
        return _POSTS[path], None
    match = _TOOLS_PATH.fullmatch(path)
    if method == "GET" and match is not None:
        return "tools", unquote(match[1])
    return "unknown", None
