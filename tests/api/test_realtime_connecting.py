"""Connecting to voice models on real sockets: what opens a session, and what ends the attempt."""

from __future__ import annotations

from typing import Any

import pytest

from livekit_plugins_speko import SpekoApiError, SpekoAuthError
from livekit_plugins_speko.api.realtime_connection import ConnectionClosed
from livekit_plugins_speko.api.realtime_messages import NotSupported
from tests.helpers.realtime_frames import TOOL
from tests.helpers.realtime_server import (
    CREDENTIAL,
    WS_TOKEN,
    Peer,
    RealtimeServer,
)

FORMS = pytest.mark.parametrize("form", ["proxy", "xai", "google"])


async def fails(
    server: RealtimeServer,
    error: type[Exception],
    said: str | None = None,
    *,
    ready_s: float | None = None,
) -> Any:
    async with server.client() as speko:
        assert speko.realtime.ready_s == 10
        speko.realtime.ready_s = ready_s or speko.realtime.ready_s
        with pytest.raises(error, match=said) as failed:
            await speko.realtime.connect()
    return failed.value


async def hangs(peer: Peer) -> None:
    await peer.until_gone()


async def test_proxy_gets_the_token_as_its_only_subprotocol() -> None:
    async with RealtimeServer() as server:
        async with server.client() as speko, await speko.realtime.connect() as connection:
            assert connection.session_id == "s1"
            assert connection.expires_at == "2030-01-01T00:00:00Z"
            assert connection.lease_expires_at is None
            assert (connection.input_sample_rate, connection.output_sample_rate) == (16_000, 24_000)
            assert not connection.can_take_text
        headers = server.peers[0].headers
    assert headers.getall("Sec-WebSocket-Protocol") == [WS_TOKEN]
    assert "Authorization" not in headers


async def test_address_of_the_proxy_is_used_as_it_is_spelled() -> None:
    spelled = "/proxy?signature=a%2Fb%2Bc%3D&time=12%3A00&sign=%7E"
    async with RealtimeServer() as server:
        server.changes = {"wsUrl": f"ws://127.0.0.1:{server.port}{spelled}"}
        async with server.client() as speko, await speko.realtime.connect():
            pass
        assert server.peers[0].target == spelled


async def test_xai_gets_the_credential_as_a_subprotocol_and_the_settings() -> None:
    opening: list[Any] = []

    async def script(peer: Peer) -> None:
        opening.append(await peer.hear())
        await peer.say({"type": "session.updated"})

    async with RealtimeServer("xai", script) as server:
        async with server.client() as speko, await speko.realtime.connect() as connection:
            assert (connection.input_sample_rate, connection.output_sample_rate) == (24_000, 24_000)
            assert connection.lease_expires_at == "2029-01-01T00:00:00Z"
            assert connection.can_take_text
        (peer,) = server.peers
    assert peer.headers["Sec-WebSocket-Protocol"] == f"xai-client-secret.{CREDENTIAL}"
    assert peer.query == {"model": "voice-1"}
    assert "Authorization" not in peer.headers
    assert opening[0]["session"]["instructions"] == "Be brief."
    assert opening[0]["session"]["tools"] == [{"type": "function", **TOOL}]


async def test_google_gets_the_credential_in_the_query_and_the_settings() -> None:
    opening: list[Any] = []

    async def script(peer: Peer) -> None:
        opening.append(await peer.hear())
        await peer.ws.send_bytes(b'{"setupComplete": {}}')

    async with RealtimeServer("google", script) as server:
        async with server.client() as speko, await speko.realtime.connect() as connection:
            assert (connection.input_sample_rate, connection.output_sample_rate) == (16_000, 24_000)
        (peer,) = server.peers
    assert peer.query == {"access_token": CREDENTIAL}
    assert "Authorization" not in peer.headers
    assert opening[0]["setup"]["generationConfig"]["temperature"] == 0


@FORMS
async def test_missing_ready_ends_the_attempt_and_its_socket(
    form: str,
) -> None:
    async with RealtimeServer(form, hangs) as server:
        await fails(server, TimeoutError, "was not ready within 0.2 s", ready_s=0.2)
        await server.peers[0].gone.wait()


@pytest.mark.parametrize(
    ("form", "frame", "code"),
    [
        ("proxy", {"t": "error", "code": "NO_CAPACITY", "message": "full"}, "NO_CAPACITY"),
        ("xai", {"type": "error", "error": {"code": "bad_voice", "message": "full"}}, "bad_voice"),
        ("google", {"error": {"status": "INVALID", "message": "full"}}, "INVALID"),
    ],
)
async def test_error_before_ready_is_raised_with_its_code(
    form: str, frame: dict[str, Any], code: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(frame)

    async with RealtimeServer(form, script) as server:
        error = await fails(server, SpekoApiError, "full")
        await server.peers[0].gone.wait()
    assert (error.code, error.status) == (code, 200)


@FORMS
@pytest.mark.parametrize("code", [1000, 1008, 1011])
async def test_close_before_ready_names_code_and_reason(form: str, code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.ws.close(code=code, message=b"overloaded")

    async with RealtimeServer(form, script) as server:
        error = await fails(server, ConnectionClosed, f"{code}: overloaded")
    assert (error.close_code, error.reason, error.code) == (code, "overloaded", "CONNECTION_CLOSED")
    assert isinstance(error, SpekoApiError) and isinstance(error, ConnectionError)


async def test_close_for_a_refused_token_is_an_auth_error() -> None:
    async def script(peer: Peer) -> None:
        await peer.ws.close(code=4401, message=b"expired")

    async with RealtimeServer("proxy", script) as server:
        await fails(server, SpekoAuthError, "4401: expired")


async def test_end_before_ready_ends_the_attempt() -> None:
    async def script(peer: Peer) -> None:
        await peer.say({"t": "end", "reason": "no credit"})

    async with RealtimeServer("proxy", script) as server:
        await fails(server, ConnectionClosed, "no credit")


async def test_refused_handshake_has_its_status() -> None:
    async with RealtimeServer() as server:
        server.changes = {"wsUrl": f"{server.base_url}/v1/sessions".replace("http", "ws")}
        error = await fails(server, SpekoApiError)
    assert error.status == 405


async def test_closed_port_is_a_connection_error() -> None:
    async with RealtimeServer() as gone:
        pass
    async with RealtimeServer(wsUrl=f"ws://127.0.0.1:{gone.port}/proxy") as server:
        await fails(server, ConnectionClosed, "connection to Speko failed")


async def test_webrtc_form_names_the_option_to_pass() -> None:
    async with RealtimeServer("openai") as server:
        error = await fails(server, NotSupported, "AsyncSpeko")
    assert "WebRTC" in str(error)


async def test_hosted_form_says_where_the_model_runs() -> None:
    async with RealtimeServer("livekit") as server:
        await fails(server, NotSupported, "Speko's own worker")


async def test_unknown_adapter_is_named() -> None:
    async with RealtimeServer("xai", adapter="acme.v9") as server:
        await fails(server, NotSupported, "acme.v9")
