"""The kinds of request that the gateway serves: their paths, limits and checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from .request import GatewayRequest
from .shapes import InvalidRequest

Authorize = Callable[[web.BaseRequest, str], object]
"""Takes the HTTP request and the gateway's key; raises `InvalidRequest` for wrong credentials.

What it returns becomes `GatewayRequest.authorized`.
"""


def require_bearer(http: web.BaseRequest, api_key: str) -> None:
    """Check the API key of an `Authorization` header.

    Args:
        http: The request.
        api_key: The only key that is accepted.

    Raises:
        InvalidRequest: Status 401, code `UNAUTHORIZED`. The text never holds a key.
    """
    authorization = http.headers.get("Authorization")
    if authorization != f"Bearer {api_key}":
        found = "nothing" if authorization is None else "something else"
        raise InvalidRequest(
            f"header Authorization: found {found}, expected Bearer and the gateway's api_key",
            status=401,
            code="UNAUTHORIZED",
        )


@dataclass(frozen=True)
class Endpoint:
    """One kind of request. Each has a file of its own in `endpoints/`.

    An endpoint whose checks need state (tokens that the gateway issued, for example) is made
    once per gateway, with bound methods as its `check` and `authorize`.

    Attributes:
        name: The name of its route, as in `GatewayRequest.route`.
        method: The HTTP method.
        path: The path. A segment in braces takes any value: `/v1/agents/{agent_id}/tools`.
        check: Takes a request that was let in; raises `InvalidRequest` when it is malformed.
        max_body_bytes: The largest body, in bytes; more is status 413. Default: no body.
        authorize: Checks the credentials. Default: the API key as a bearer token.
        secrets: Headers and parameters of the query that hold a credential; the log leaves them
            out.
    """

    name: str
    method: str
    path: str
    check: Callable[[GatewayRequest], None]
    max_body_bytes: int = 0
    authorize: Authorize = require_bearer
    secrets: Collection[str] = ()

    def __str__(self) -> str:
        """Return the method and the path, for messages."""
        return f"{self.method} {self.path}"

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Match a request line.

        Args:
            method: The HTTP method.
            path: The path as it was sent, percent-encoded, without the query.

        Returns:
            The values of the segments in braces, decoded; None for another endpoint's request.
        """
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path) if method == self.method else None
        if found is None:
            return None
        return {name: unquote(value) for name, value in found.groupdict().items()}
