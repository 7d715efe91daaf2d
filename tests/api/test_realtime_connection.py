"""Connections to voice models on real sockets, in each form that is spoken here."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livekit_plugins_speko import SpekoApiError, SpekoAuthError
from livekit_plugins_speko.api.realtime_connection import ConnectionClosed
from livekit_plugins_speko.api.realtime_events import (
    Audio,
    Close,
    Error,
    Interruption,
    RealtimeEvent,
    ToolCall,
    Usage,
)
from livekit_plugins_speko.api.realtime_messages import NotSupported
from tests.helpers.realtime_frames import TOOL, agent, encoded, user
from tests.helpers.realtime_server import (
    CREDENTIAL,
    WS_TOKEN,
    Peer,
    RealtimeServer,
    only_ready,
)

FORMS = pytest.mark.parametrize("form", ["proxy", "xai", "google"])


async def events_of(server: RealtimeServer) -> list[RealtimeEvent]:
    """All the events of a connection that the server ends."""
    async with server.client() as speko, await speko.realtime.connect() as connection:
        return [event async for event in connection]


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


# --- Opening ---


async def test_proxy_is_given_the_token_as_its_only_subprotocol() -> None:
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


async def test_xai_is_given_the_credential_as_a_subprotocol_and_the_settings() -> None:
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


async def test_google_is_given_the_credential_in_the_query_and_the_settings() -> None:
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
async def test_other_side_that_is_never_ready_ends_the_attempt_and_its_socket(
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


async def test_close_of_a_token_that_is_refused_is_an_auth_error() -> None:
    async def script(peer: Peer) -> None:
        await peer.ws.close(code=4401, message=b"expired")

    async with RealtimeServer("proxy", script) as server:
        await fails(server, SpekoAuthError, "4401: expired")


async def test_end_before_ready_ends_the_attempt() -> None:
    async def script(peer: Peer) -> None:
        await peer.say({"t": "end", "reason": "no credit"})

    async with RealtimeServer("proxy", script) as server:
        await fails(server, ConnectionClosed, "no credit")


async def test_handshake_that_is_refused_has_its_status() -> None:
    async with RealtimeServer() as server:
        server.changes = {"wsUrl": f"{server.base_url}/v1/sessions".replace("http", "ws")}
        error = await fails(server, SpekoApiError)
    assert error.status == 405


async def test_port_that_is_closed_is_a_connection_error() -> None:
    async with RealtimeServer() as gone:
        pass
    async with RealtimeServer(wsUrl=f"ws://127.0.0.1:{gone.port}/proxy") as server:
        await fails(server, ConnectionClosed, "connection to Speko failed")


async def test_form_over_webrtc_says_what_to_hand_in() -> None:
    async with RealtimeServer("openai") as server:
        error = await fails(server, NotSupported, "AsyncSpeko")
    assert "WebRTC" in str(error)


async def test_hosted_form_says_where_the_model_runs() -> None:
    async with RealtimeServer("livekit") as server:
        await fails(server, NotSupported, "Speko's own worker")


async def test_adapter_that_is_unknown_is_named() -> None:
    async with RealtimeServer("xai", adapter="acme.v9") as server:
        await fails(server, NotSupported, "acme.v9")


# --- Talking ---


async def test_audio_and_commands_go_out_in_order() -> None:
    heard: list[Any] = []

    async def script(peer: Peer) -> None:
        await peer.ready()
        heard.extend([await peer.hear() for _ in range(5)])
        await peer.ws.close()

    async with RealtimeServer("proxy", script) as server:
        async with server.client() as speko, await speko.realtime.connect() as connection:
            await connection.send_audio(bytes(641))
            await connection.send_audio(b"\x01")
            await connection.commit()
            await connection.interrupt()
            await connection.send_tool_result("c1", "noon")
            await connection.reply()
            assert [event async for event in connection] == [Close(code=1000, reason="")]
    assert heard == [
        bytes(640),
        b"\x00\x01",
        {"t": "control", "action": "commit"},
        {"t": "interrupt"},
        {"t": "tool_result", "callId": "c1", "output": "noon"},
    ]


async def test_text_and_instructions_go_out_where_the_wire_has_them() -> None:
    heard: list[Any] = []

    async def script(peer: Peer) -> None:
        await peer.ready()
        heard.extend([await peer.hear() for _ in range(3)])
        await peer.ws.close()

    async with RealtimeServer("xai", script) as server:
        async with server.client() as speko, await speko.realtime.connect() as connection:
            await connection.send_text("hi")
            await connection.reply("Say hello.")
            await anext(connection)
    kinds = ["conversation.item.create", "response.create", "response.create"]
    assert [each["type"] for each in heard] == kinds


async def test_text_is_refused_where_the_wire_has_none() -> None:
    async with RealtimeServer() as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            with pytest.raises(NotSupported):
                await connection.send_text("hi")
            with pytest.raises(NotSupported):
                await connection.reply("Say hello.")


async def test_events_come_in_order_to_the_close() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.say(
            {"t": "transcript", "role": "user", "text": "Time?", "final": True},
            {"t": "tool_call", "callId": "c1", "name": "get_time", "arguments": "{}"},
            b"\x01\x02\x03",
            b"\x04",
            {"t": "transcript", "role": "assistant", "text": "Noon.", "final": True},
            {"t": "what", "is": "this"},
            {"t": "interruption", "at": "user"},
            {"t": "error", "code": "SLOW", "message": "slow"},
            {"t": "usage", "inputAudioTokens": 1, "outputAudioTokens": 2},
        )
        await peer.ws.send_str("no JSON")
        await peer.ws.close(code=1011, message=b"restart")

    async with RealtimeServer("proxy", script) as server:
        events = await events_of(server)
    assert events == [
        user("Time?", final=True),
        ToolCall(call_id="c1", name="get_time", arguments="{}"),
        Audio(pcm=b"\x01\x02", sample_rate=24_000),
        Audio(pcm=b"\x03\x04", sample_rate=24_000),
        agent("Noon.", final=True),
        Interruption(at="user"),
        Error(code="SLOW", message="slow"),
        Usage(input_audio_tokens=1, output_audio_tokens=2),
        Close(code=1011, reason="restart"),
    ]


async def test_frame_of_a_megabyte_is_one_event() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.say({"type": "response.output_audio.delta", "delta": encoded(bytes(1_000_000))})
        await peer.ws.close()

    async with RealtimeServer("xai", script) as server:
        events = await events_of(server)
    assert isinstance(events[0], Audio) and len(events[0].pcm) == 1_000_000


async def test_rate_that_changes_is_that_of_the_audio_after_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.say(b"\x01\x02", {"t": "ready", "outputSampleRate": 16_000}, b"\x01\x02")
        await peer.ws.close()

    async with RealtimeServer("proxy", script) as server:
        events = await events_of(server)
    assert [event.sample_rate for event in events if isinstance(event, Audio)] == [24_000, 16_000]


# --- The end ---


@pytest.mark.parametrize(
    ("code", "reported"), [(1000, 1000), (1001, 1001), (1008, 1008), (4401, 4401), (0, 1005)]
)
async def test_close_of_the_server_is_the_last_event(code: int, reported: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        if code:
            await peer.ws.close(code=code, message=b"bye")
        else:
            await peer.ws._writer.send_frame(b"", 0x8)  # type: ignore[union-attr]

    async with RealtimeServer("proxy", script) as server:
        assert await events_of(server) == [Close(code=reported, reason="bye" if code else "")]


async def test_connection_that_is_cut_closes_with_1006() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        transport = peer.ws.get_extra_info("socket")
        assert transport is not None
        transport.shutdown(2)

    async with RealtimeServer("proxy", script) as server:
        assert await events_of(server) == [Close(code=1006, reason="")]


async def test_end_of_the_session_closes_the_socket() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.say({"t": "end", "reason": "time is up"})

    async with RealtimeServer("proxy", script) as server:
        assert await events_of(server) == [Close(code=None, reason="time is up")]
        await server.peers[0].gone.wait()
        assert server.peers[0].close_code == 1000


@FORMS
async def test_leaving_closes_with_1000_and_iterating_then_ends(form: str) -> None:
    async with RealtimeServer(form) as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            pass
        await server.peers[0].gone.wait()
        assert server.peers[0].close_code == 1000
        assert [event async for event in connection] == [Close(code=1000, reason="client_closed")]
        await connection.close()
        for send in (connection.commit(), connection.send_audio(b"\x01\x02")):
            with pytest.raises(ConnectionClosed, match="1000: client_closed"):
                await send


async def test_close_takes_a_code_and_a_long_reason() -> None:
    async with RealtimeServer() as server, server.client() as speko:
        connection = await speko.realtime.connect()
        await connection.close(4000, "é" * 100)
        await server.peers[0].gone.wait()
        assert server.peers[0].close_code == 4000


async def test_close_ends_a_task_that_iterates() -> None:
    async with RealtimeServer() as server, server.client() as speko:
        connection = await speko.realtime.connect()
        task = asyncio.create_task(anext(connection))
        await asyncio.sleep(0)
        await connection.close()
        assert await task == Close(code=1000, reason="client_closed")


async def test_sending_on_a_lost_connection_says_so() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.ws.close(code=1011)

    async with RealtimeServer("proxy", script) as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            assert [event async for event in connection] == [Close(code=1011, reason="")]
            with pytest.raises(ConnectionClosed, match="1011") as lost:
                await connection.commit()
    assert lost.value.close_code == 1011


async def test_client_closes_its_connections() -> None:
    async with RealtimeServer("xai") as server:
        async with server.client() as speko:
            connection = await speko.realtime.connect()
        assert [event async for event in connection] == [Close(code=1000, reason="client_closed")]


@pytest.mark.parametrize("stage", ["request", "ready"])
async def test_cancelled_attempt_leaves_nothing(stage: str) -> None:
    reached = asyncio.Event()
    over = asyncio.Event()

    async def hang() -> tuple[int, Any]:
        reached.set()
        await over.wait()
        return 503, {}

    async def script(peer: Peer) -> None:
        reached.set()
        await peer.until_gone()

    async with RealtimeServer("proxy", script) as server, server.client() as speko:
        if stage == "request":
            server.responses = [hang]
        task = asyncio.create_task(speko.realtime.connect())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        over.set()
        for peer in server.peers:
            await peer.gone.wait()
        assert len(server.peers) == (stage == "ready")


async def test_attempt_cancelled_after_any_number_of_steps_closes_its_socket() -> None:
    async with RealtimeServer("xai", only_ready) as server, server.client() as speko:
        done = False
        steps = 0
        while not done:
            task = asyncio.create_task(speko.realtime.connect())
            for _ in range(steps):
                await asyncio.sleep(0)
                if task.done():
                    break
            done = task.done()
            if done:
                await (await task).close()
            else:
                task.cancel()
                await asyncio.wait([task])
            steps += 3
        for peer in server.peers:
            await asyncio.wait_for(peer.gone.wait(), 5)


async def test_cancelled_wait_for_an_event_loses_none() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        assert await peer.hear() == {"t": "interrupt"}
        await peer.say(b"\x01\x02")

    async with RealtimeServer("proxy", script) as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            waiting = asyncio.create_task(anext(connection))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            await connection.interrupt()
            assert await anext(connection) == Audio(pcm=b"\x01\x02", sample_rate=24_000)


async def test_connections_of_one_client_stay_apart() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.say({"t": "error", "code": (await peer.hear())["callId"]})

    async def talk(connection: Any, name: str) -> None:
        async with connection:
            await connection.send_tool_result(name, "")
            event = await anext(connection)
            assert event.code == name

    async with RealtimeServer("proxy", script) as server, server.client() as speko:
        connections = [await speko.realtime.connect() for _ in range(5)]
        await asyncio.gather(*(talk(each, f"c{n}") for n, each in enumerate(connections)))
