"""Sessions with voice models: the request, and the credentials in the response."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from livekit_plugins_speko import Intent, Speko, SpekoApiError, SpekoAuthError
from livekit_plugins_speko.api.realtime_credentials import (
    DirectCredentials,
    HostedCredentials,
    ProxyCredentials,
)
from livekit_plugins_speko.api.tools import parse_chat_tool
from tests.helpers.raw_server import RawServer, answer
from tests.helpers.realtime_frames import TOOL
from tests.helpers.realtime_server import (
    CREDENTIAL,
    HOSTED_TOKEN,
    KEY,
    TELEMETRY_TOKEN,
    WS_TOKEN,
    RealtimeServer,
)


async def minted(server: RealtimeServer, **options: Any) -> Any:
    async with server.client() as speko:
        return await speko.realtime.mint(**options)


async def test_every_option_is_sent_in_the_wires_spelling() -> None:
    async with RealtimeServer() as server:
        await minted(
            server,
            provider="openai",
            model="gpt-realtime",
            voice="eve",
            system_prompt="Be brief.",
            temperature=0.0,
            input_sample_rate=16_000,
            output_sample_rate=24_000,
            tools=[parse_chat_tool(TOOL), TOOL],
            agent_id="agent-1",
            intent=Intent("en", optimize_for="latency"),
            metadata={"plan": "gold"},
            ttl_seconds=600,
        )
        ((body, headers),) = server.requests
    assert body == {
        "mode": "s2s",
        "agentId": "agent-1",
        "intent": {"language": "en", "optimizeFor": "latency"},
        "s2s": {
            "provider": "openai",
            "model": "gpt-realtime",
            "voice": "eve",
            "systemPrompt": "Be brief.",
            "temperature": 0.0,
            "inputSampleRate": 16_000,
            "outputSampleRate": 24_000,
            "tools": [TOOL, TOOL],
        },
        "metadata": {"plan": "gold"},
        "ttlSeconds": 600,
    }
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Idempotency-Key"]


async def test_unset_and_blank_options_are_left_out_of_the_request() -> None:
    async with RealtimeServer() as server:
        await minted(server, agent_id="agent-1", voice=" ", system_prompt="")
        assert server.requests[0][0] == {"mode": "s2s", "agentId": "agent-1", "s2s": {}}


async def test_every_session_has_a_key_of_its_own() -> None:
    async with RealtimeServer() as server:
        await minted(server)
        await minted(server)
        first, second = (headers["Idempotency-Key"] for _, headers in server.requests)
    assert first != second


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"provider": "openai"}, "Pass model too"),
        ({"model": "gpt-realtime"}, "Pass provider too"),
        ({"temperature": 2.1}, "temperature must be a number from 0 to 2"),
        ({"input_sample_rate": 8_000}, "input_sample_rate must be one of 16000, 24000"),
        ({"output_sample_rate": 48_000}, "output_sample_rate must be one of"),
        ({"ttl_seconds": 0}, "ttl_seconds must be a whole number"),
        ({"agent_id": "."}, "agent_id must be the id of an agent"),
        ({"intent": {"language": ""}}, "intent.language is required"),
        ({"tools": [{"name": ""}]}, "a tool must have a name"),
        ({"metadata": {"a": object()}}, "metadata must be a JSON object"),
        ({"voice": 7}, "voice must be a string"),
    ],
)
async def test_invalid_option_is_refused_before_the_request(
    options: dict[str, Any], said: str
) -> None:
    async with RealtimeServer() as server:
        with pytest.raises(ValueError, match=said):
            await minted(server, **options)
        assert server.requests == []


async def test_proxy_credentials_have_the_wires_fields_in_snake_case() -> None:
    async with RealtimeServer() as server:
        credentials = await minted(server)
        wire = server.session()
    assert isinstance(credentials, ProxyCredentials)
    assert (credentials.session_id, credentials.ws_token) == ("s1", WS_TOKEN)
    assert (credentials.ws_url, credentials.expires_at) == (wire["wsUrl"], wire["expiresAt"])
    assert (credentials.input_sample_rate, credentials.output_sample_rate) == (24_000, 24_000)
    page = credentials.for_browser()
    assert page == wire
    page["wsToken"] = "changed"
    assert credentials.for_browser() == wire


async def test_direct_credentials_have_the_wires_fields_in_snake_case() -> None:
    async with RealtimeServer("xai") as server:
        credentials = await minted(server)
        assert credentials.for_browser() == server.session()
    assert isinstance(credentials, DirectCredentials)
    assert (credentials.adapter, credentials.credential.value) == ("xai.realtime.v1", CREDENTIAL)
    assert (credentials.plan_id, credentials.attempt_id) == ("p1", "a1")
    assert credentials.telemetry is not None
    assert credentials.telemetry.token == TELEMETRY_TOKEN
    assert credentials.reservation.authorized_duration_seconds == 600
    assert credentials.reservation.lease_expires_at == "2029-01-01T00:00:00Z"


async def test_hosted_credentials_have_the_wires_fields_in_snake_case() -> None:
    async with RealtimeServer("livekit") as server:
        credentials = await minted(server)
    assert isinstance(credentials, HostedCredentials)
    assert credentials.transport_token == HOSTED_TOKEN
    assert credentials.transport_url == "wss://rooms.example"


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, SpekoApiError), (401, SpekoAuthError), (402, SpekoApiError), (503, SpekoApiError)],
)
async def test_refusal_is_raised_with_its_status_and_not_repeated(
    status: int, error: type[SpekoApiError]
) -> None:
    async with RealtimeServer() as server:
        server.responses = [(status, {"error": "no", "code": "NO"})]
        with pytest.raises(error) as refused:
            await minted(server)
        assert (refused.value.status, refused.value.code) == (status, "NO")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"sessionId": None},
        {"wsToken": ""},
        {"wsToken": "two tokens"},
        {"wsToken": "a\nb"},
        {"wsUrl": 7},
        {"transport": "provider_direct"},
        {"transport": "livekit"},
    ],
)
async def test_response_without_a_required_part_is_malformed(changes: dict[str, Any]) -> None:
    async with RealtimeServer(**changes) as server:
        with pytest.raises(SpekoApiError, match="can't be read") as unread:
            await minted(server)
    assert unread.value.code == "MALFORMED_RESPONSE"
    assert WS_TOKEN not in str(unread.value)


DEEP = '{"sessionId":"s1","wsUrl":"ws://x","wsToken":"t","x":' + "[" * 600 + "]" * 600 + "}"


@pytest.mark.parametrize(
    "body",
    ["[]", "nothing", "{}", '{"sessionId":"s1","transport":"new"}', pytest.param(DEEP, id="deep")],
)
async def test_response_without_a_session_is_malformed(body: str) -> None:
    async with RealtimeServer() as server:
        server.responses = [(200, body)]
        with pytest.raises(SpekoApiError) as unread:
            await minted(server)
    assert unread.value.code == "MALFORMED_RESPONSE"


async def test_request_with_a_late_response_is_repeated_once_with_the_same_key() -> None:
    late = asyncio.Event()

    async def hang() -> tuple[int, Any]:
        await late.wait()
        return 200, {}

    async with RealtimeServer() as server, server.client(timeout=0.2) as speko:
        server.responses = [hang]
        credentials = await speko.realtime.mint(agent_id="agent-1")
        late.set()
    assert credentials.session_id == "s1"
    (first, before), (second, after) = server.requests
    assert first == second
    assert before["Idempotency-Key"] == after["Idempotency-Key"]


async def test_second_late_response_is_an_error() -> None:
    late = asyncio.Event()

    async def hang() -> tuple[int, Any]:
        await late.wait()
        return 200, {}

    async with RealtimeServer() as server, server.client(timeout=0.2) as speko:
        server.responses = [hang, hang]
        with pytest.raises(httpx.ReadTimeout):
            await speko.realtime.mint()
        late.set()
        assert len(server.requests) == 2


async def test_cut_response_is_requested_again() -> None:
    cut = answer(b'{"mode":"s2s"', headers={"Content-Type": "application/json"}, whole=False)
    whole = (
        '{"sessionId":"s2","wsUrl":"ws://127.0.0.1/","wsToken":"a-token","expiresAt":1900000000}'
    )
    async with RawServer(cut, answer(whole)) as server:
        async with Speko(base_url=server.base_url, api_key=KEY) as speko:
            credentials = await speko.realtime.mint()
    assert (credentials.session_id, credentials.expires_at) == ("s2", "1900000000")
    first, second = server.heads
    assert first == second


async def test_request_that_was_never_sent_is_not_repeated() -> None:
    async with RealtimeServer() as server:
        pass
    async with server.client() as speko:
        with pytest.raises(httpx.ConnectError):
            await speko.realtime.mint()
