"""Connections to voice models on real sockets: audio, events, and the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

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
from tests.helpers.realtime_frames import agent, encoded, user
from tests.helpers.realtime_server import (
    Peer,
    RealtimeServer,
    only_ready,
)

FORMS = pytest.mark.parametrize("form", ["proxy", "xai", "google"])


async def events_of(server: RealtimeServer) -> list[RealtimeEvent]:
    """All the events of a connection that the server ends."""
    async with server.client() as speko, await speko.realtime.connect() as connection:
        return [event async for event in connection]


async def test_audio_and_commands_are_sent_in_order() -> None:
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


async def test_text_and_instructions_are_sent_where_the_wire_has_them() -> None:
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


async def test_changed_rate_applies_to_the_audio_after_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.say(b"\x01\x02", {"t": "ready", "outputSampleRate": 16_000}, b"\x01\x02")
        await peer.ws.close()

    async with RealtimeServer("proxy", script) as server:
        events = await events_of(server)
    assert [event.sample_rate for event in events if isinstance(event, Audio)] == [24_000, 16_000]


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


async def test_cut_connection_closes_with_1006() -> None:
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


async def test_sending_on_a_connection_whose_loss_was_not_read_yet_says_so() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        socket = peer.ws.get_extra_info("socket")
        assert socket is not None
        socket.shutdown(2)

    async with RealtimeServer("google", script) as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            with pytest.raises(ConnectionClosed, match="lost") as lost:
                while True:
                    await connection.send_audio(bytes(640))
                    await asyncio.sleep(0)
            assert lost.value.close_code == 1006
            assert [event async for event in connection] == [Close(code=1006, reason="")]


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


async def test_connections_of_one_client_are_independent() -> None:
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
