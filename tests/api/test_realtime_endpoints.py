"""The addresses that credentials may be sent to, and the times of their end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import SpekoApiError
from livekit_plugins_speko.api.realtime_credentials import parse_time
from livekit_plugins_speko.api.realtime_endpoints import (
    GOOGLE,
    PROVIDER_ENDPOINTS,
    XAI,
    is_safe_for_reports,
    safe_provider_endpoint,
    safe_proxy_url,
)
from tests.helpers.realtime_server import CREDENTIAL, WS_TOKEN, RealtimeServer

API = "https://api.speko.dev"
LOCAL = "http://127.0.0.1:8000"
XAI_URL = PROVIDER_ENDPOINTS[XAI]
GOOGLE_URL = PROVIDER_ENDPOINTS[GOOGLE]


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("wss://proxy.speko.dev/v1/s2s?region=eu", API),
        ("wss://localhost/x", API),
        ("wss://proxy.speko.dev/", LOCAL),
        ("ws://127.0.0.1:9000/x", LOCAL),
        ("ws://localhost:9000/x", LOCAL),
        ("ws://[::1]:9000/x", LOCAL),
    ],
)
def test_proxy_address_is_unchanged(url: str, base_url: str) -> None:
    assert safe_proxy_url(url, base_url=base_url) == url


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("ws://proxy.speko.dev/", API),
        ("ws://127.0.0.1:9000/", API),
        ("ws://proxy.speko.dev/", LOCAL),
        ("http://127.0.0.1:9000/", LOCAL),
        ("https://proxy.speko.dev/", API),
        ("wss://user@proxy.speko.dev/", API),
        ("wss://user:pass@proxy.speko.dev/", API),
        ("wss://@proxy.speko.dev/", API),
        ("wss://proxy.speko.dev/#x", API),
        ("wss:///x", API),
        ("wss://proxy.speko.dev:0/", API),
        ("wss://proxy.speko.dev:99999/", API),
        ("wss://proxy.speko.dev\\@evil.example/", API),
        ("wss://proxy .speko.dev/", API),
        ("wss://proxy.speko.dev/\n", API),
        ("wss://[::1/", API),
        ("ws://127.0.0.1.evil.example/", LOCAL),
        ("//proxy.speko.dev/", API),
        ("", API),
    ],
)
def test_proxy_on_another_host_is_refused(url: str, base_url: str) -> None:
    assert safe_proxy_url(url, base_url=base_url) is None


@pytest.mark.parametrize("base_url", [API, LOCAL])
@pytest.mark.parametrize("adapter", [XAI, GOOGLE])
def test_provider_is_reached_at_its_own_address(adapter: str, base_url: str) -> None:
    own = PROVIDER_ENDPOINTS[adapter]
    host = own.removeprefix("wss://").partition("/")[0]
    for spelling in (own, own.replace(host, f"{host}:443"), own.replace(host, host.upper())):
        assert safe_provider_endpoint(adapter, spelling, base_url=base_url) == own


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9/any", "wss://localhost:9/any", "ws://[::1]:9/"])
def test_local_provider_is_only_for_a_local_api(url: str) -> None:
    assert safe_provider_endpoint(XAI, url, base_url=LOCAL) == url
    assert safe_provider_endpoint(XAI, url, base_url=API) is None


@pytest.mark.parametrize("base_url", [API, LOCAL])
@pytest.mark.parametrize(
    "url",
    [
        GOOGLE_URL,
        "ws://api.x.ai/v1/realtime",
        "https://api.x.ai/v1/realtime",
        "wss://api.x.ai:8443/v1/realtime",
        "wss://api.x.ai/v1/realtime/",
        "wss://api.x.ai/v1/../v1/realtime",
        "wss://api.x.ai/v1/%72ealtime",
        "wss://api.x.ai/",
        "wss://api.x.ai/v1/realtime?model=other",
        "wss://api.x.ai/v1/realtime?",
        "wss://api.x.ai/v1/realtime#x",
        "wss://user@api.x.ai/v1/realtime",
        "wss://api.x.ai@evil.example/v1/realtime",
        "wss://api.x.ai.evil.example/v1/realtime",
        "wss://api.x.ai./v1/realtime",
        "wss://evil.example\\.api.x.ai/v1/realtime",
        "wss://api.x.aı/v1/realtime",
        "wss://10.0.0.1/v1/realtime",
    ],
)
def test_provider_on_another_host_is_refused(url: str, base_url: str) -> None:
    assert safe_provider_endpoint(XAI, url, base_url=base_url) is None


@given(url=st.text(max_size=80) | st.from_regex(r"wss?://[a-z.@:/?#\\\[\]%0-9]{0,40}"))
def test_any_other_provider_address_is_refused(url: str) -> None:
    assert safe_provider_endpoint(XAI, url, base_url=API) in (None, XAI_URL)


@pytest.mark.parametrize(
    ("url", "base_url", "safe"),
    [
        ("https://telemetry.speko.dev/v1", API, True),
        ("http://telemetry.speko.dev/v1", API, False),
        ("http://127.0.0.1:9/v1", API, False),
        ("http://127.0.0.1:9/v1", LOCAL, True),
        ("http://10.0.0.1:8000/v1", "http://10.0.0.1:8000", True),
        ("http://10.0.0.2:8000/v1", "http://10.0.0.1:8000", False),
        ("https://user@telemetry.speko.dev/", API, False),
        ("ftp://telemetry.speko.dev/", API, False),
    ],
)
def test_report_addresses_must_be_as_safe_as_the_api(url: str, base_url: str, safe: bool) -> None:
    assert is_safe_for_reports(url, base_url=base_url) is safe


@pytest.mark.parametrize(
    ("form", "changes"),
    [
        ("proxy", {"wsUrl": "ws://10.0.0.1/"}),
        ("xai", {"endpoint": "wss://10.0.0.1/v1/realtime"}),
        ("google", {"endpoint": XAI_URL}),
    ],
)
async def test_address_on_another_host_is_refused_before_anything_is_sent(
    form: str, changes: dict[str, Any]
) -> None:
    async with RealtimeServer(form, **changes) as server, server.client() as speko:
        with pytest.raises(SpekoApiError, match="Nothing was sent") as refused:
            await speko.realtime.connect()
        assert server.peers == [] and server.reports == []
        assert refused.value.code == "UNSAFE_ENDPOINT"
    assert not {WS_TOKEN, CREDENTIAL} & set(str(refused.value).split())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01T00:01:00.5Z", 60.5),
        ("1970-01-01T00:01:00.1234567+00:00", 60.123456),
        ("1970-01-01T01:01:00+01:00", 60),
        ("1970-01-01T00:01:00", 60),
        ("1900000000", 1_900_000_000),
        ("1900000000500", 1_900_000_000.5),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("9999-12-31T23:59:59-23:59", 253402387139.0),
    ],
)
def test_time_is_parsed_in_each_spelling(text: str, seconds: float | None) -> None:
    assert parse_time(text) == pytest.approx(seconds)
