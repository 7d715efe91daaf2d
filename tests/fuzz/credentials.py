"""The responses about a session: credentials, their renewal, a session, a transcript, an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from livekit_plugins_speko import SpekoApiError
from livekit_plugins_speko.api.realtime_credentials import (
    DirectCredentials,
    parse_credentials,
    parse_renewal,
    parse_time,
    read_tools,
)
from livekit_plugins_speko.api.realtime_endpoints import (
    PROVIDER_ENDPOINTS,
    is_safe_for_reports,
    safe_provider_endpoint,
    safe_proxy_url,
)
from livekit_plugins_speko.api.responses import as_object, parse_json
from livekit_plugins_speko.api.session_messages import parse_end, parse_entries, parse_session

BASE_URL = "https://api.speko.dev"
DIRECT: dict[str, Any] = {
    "sessionId": "s1",
    "expiresAt": "2030-01-01T00:00:00Z",
    "transport": "provider_direct",
    "provider": "xai",
    "model": "m",
    "adapter": "xai.realtime.v1",
    "endpoint": "wss://api.x.ai/v1/realtime",
    "credential": {"kind": "bearer", "value": "t", "expiresAt": "2030-01-01T00:00:00Z"},
    "telemetry": {"endpoint": "https://api.speko.dev/t", "token": "t", "flushIntervalMs": 5000},
    "reservation": {"id": "r", "authorizedDurationSeconds": 60, "leaseExpiresAt": "2030-01-01"},
    "session": {"tools": [{"name": "f", "parameters": {}}]},
}
EXAMPLES = (
    json.dumps(DIRECT),
    '{"sessionId": "s1", "wsUrl": "wss://api.speko.dev/x", "wsToken": "t", "expiresAt": 1e12}',
    '{"sessionId": "s1", "transport": "livekit", "transportUrl": "wss://x", "transportToken": "t"}',
    '{"lease_expires_at": "2030-01-01T00:00:00.5Z", "authorized_duration_seconds": 1e400,'
    ' "credential": {"value": "t", "expires_at": "1893456000"}}',
    '{"entries": [{"text": "Hi."}], "status": "ended", "ended_at": "2030-01-01"}',
)
_KNOWN = parse_credentials(DIRECT)


def check(data: bytes) -> None:
    """Parse JSON as each of the responses; no text of an error quotes it."""
    try:
        wire = as_object(parse_json(data, "the response"), "the response")
    except SpekoApiError:
        return
    _parse(lambda: _check_credentials(parse_credentials(wire)))
    assert isinstance(_KNOWN, DirectCredentials)
    before = _KNOWN
    _parse(lambda: _check_credentials(parse_renewal(wire, before)))
    parsers: tuple[Callable[[dict[str, object]], object], ...] = (
        parse_session,
        parse_entries,
        parse_end,
    )
    for parse in parsers:
        _parse(partial(parse, wire))


def _parse(parse: Callable[[], object]) -> None:
    try:
        parse()
    except SpekoApiError as error:
        assert error.code == "MALFORMED_RESPONSE"


def _check_credentials(found: Any) -> None:
    told = found.session_id + found.expires_at
    shown = repr(found)
    for token in getattr(found, "tokens", ()):
        assert len(token) < 20 or token not in shown or token in told
    found.for_browser()
    parse_time(found.expires_at)
    for url in (getattr(found, "ws_url", ""), getattr(found, "endpoint", "")):
        safe_proxy_url(url, base_url=BASE_URL)
        is_safe_for_reports(url, base_url=BASE_URL)
        for adapter in PROVIDER_ENDPOINTS:
            safe = safe_provider_endpoint(adapter, url, base_url=BASE_URL)
            assert safe in (None, PROVIDER_ENDPOINTS[adapter])
    read_tools(getattr(found, "session", {}))
