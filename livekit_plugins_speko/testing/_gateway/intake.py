"""From an HTTP request to a `GatewayRequest`, and the checks that every request must pass."""

from __future__ import annotations

import time

from aiohttp import web
from multidict import CIMultiDict

from .endpoint import Endpoint, require_bearer
from .fields import check_session_id
from .limits import MAX_HEADER_LINE_BYTES, MAX_JSON_BYTES
from .request import GatewayRequest
from .route_table import RouteTable
from .shapes import InvalidRequest


async def read_request(
    http: web.BaseRequest, routes: RouteTable
) -> tuple[GatewayRequest, Endpoint | None]:
    """Read a complete request.

    Args:
        http: The request as aiohttp has it.
        routes: The routes that it may be for.

    Returns:
        The request for the log, and its endpoint, None for an unknown path. A body over the limit
        is kept up to one byte more than the limit, so that the check notices; the rest is read
        and dropped, because a client that is still sending would not see the response.
    """
    path = http.raw_path.partition("?")[0]
    endpoint, parameters = routes.find(http.method, path)
    keep_bytes = (MAX_JSON_BYTES if endpoint is None else endpoint.max_body_bytes) + 1
    body = bytearray()
    async for chunk in http.content.iter_any():
        body += chunk[: keep_bytes - len(body)]
    headers = CIMultiDict(http.headers)
    secrets = () if endpoint is None else endpoint.secrets
    for name in ("Authorization", *secrets):
        headers.popall(name, None)
    request = GatewayRequest(
        route="unknown" if endpoint is None else endpoint.name,
        method=http.method,
        path=path,
        query={name: value for name, value in http.query.items() if name not in secrets},
        headers=headers,
        body=bytes(body),
        received_at=time.perf_counter(),
        path_parameters=parameters,
    )
    return request, endpoint


def check_request(
    http: web.BaseRequest,
    request: GatewayRequest,
    endpoint: Endpoint | None,
    *,
    api_key: str,
    routes: RouteTable,
) -> None:
    """Check a request in the service's order: headers' size, key, path, body's size, fields.

    Args:
        http: The request as aiohttp has it.
        request: The same request as the log has it.
        endpoint: Its endpoint; None for an unknown path.
        api_key: The only key that is accepted.
        routes: All routes, for the message about an unknown path.

    Raises:
        InvalidRequest: The request is to be refused with this status and code.
    """
    _check_header_lines(http)
    if endpoint is None:
        require_bearer(http, api_key)
        raise InvalidRequest(
            f"found {request}, expected one of: {routes}", status=404, code="NOT_FOUND"
        )
    request.authorized = endpoint.authorize(http, api_key)
    if len(request.body) > endpoint.max_body_bytes:
        raise InvalidRequest(
            f"body: found more than {endpoint.max_body_bytes} bytes, expected at most that",
            status=413,
            code="PAYLOAD_TOO_LARGE",
        )
    check_session_id(request.headers)
    endpoint.check(request)


def _check_header_lines(http: web.BaseRequest) -> None:
    """Refuse a header line, `name: value`, that servers and proxies refuse by default."""
    for name, value in http.raw_headers:
        size = len(name) + len(b": ") + len(value)
        if size > MAX_HEADER_LINE_BYTES:
            raise InvalidRequest(
                f"header {name.decode('latin-1')}: found a line of {size} bytes, "
                f"expected {MAX_HEADER_LINE_BYTES} at most",
                code="HEADER_TOO_LARGE",
            )
