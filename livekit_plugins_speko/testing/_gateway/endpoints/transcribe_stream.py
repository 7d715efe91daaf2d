"""`GET /v1/transcribe/stream`: the WebSocket of a recognition that streams."""

from __future__ import annotations

from ..endpoint import Endpoint
from ..fields import check_upgrade
from ..request import GatewayRequest
from ..shapes import InvalidRequest


def _check(request: GatewayRequest) -> None:
    check_upgrade(request.headers)
    if request.query:
        raise InvalidRequest(f"query: found {', '.join(request.query)}, expected none")
    if "Sec-WebSocket-Protocol" in request.headers:
        raise InvalidRequest("header Sec-WebSocket-Protocol: found one, expected none")


ENDPOINT = Endpoint("transcribe_stream", "GET", "/v1/transcribe/stream", check=_check)
