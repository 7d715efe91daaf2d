"""One WebSocket: connecting, refusals, closes, and errors without the key."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest

from livekit_plugins_speko import SpekoApiError, SpekoAuthError, SpekoRateLimitError
from livekit_plugins_speko.api.websocket import SocketLost, Sockets, WebSocket
from tests.helpers.stt_server import KEY, PATH, Heard, Refusal, SttServer, closes, keep_silent, says


@pytest.fixture
async def server(no_task_left: None) -> AsyncIterator[SttServer]:
    async with SttServer(default=keep_silent) as server:
        yield server


@pytest.fixture
async def sockets(server: SttServer) -> AsyncIterator[Sockets]:
    sockets = Sockets(api_key=KEY, base_url=server.base_url)
    yield sockets
    await sockets.aclose()


def everything_in(error: BaseException) -> str:
    """Everything that a log or an error tracker could show of an error."""
    shown = "".join(traceback.format_exception(error)) + repr(error)
    return shown + repr(error.__context__) + repr(error.__cause__) + repr(vars(error))


async def test_frames_are_sent_and_received(server: SttServer, sockets: Sockets) -> None:
    server.script(says("first", b"second"))
    ws = await sockets.connect(PATH, timeout_s=5)
    await ws.send_text("{}")
    assert await ws.receive() == "first"
    assert await ws.receive() == b"second"
    await ws.close()
    await ws.close()
    heard = await server.connected()
    await heard.gone.wait()
    assert heard.close_code == 1000


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(401), SpekoAuthError),
        (Refusal(429, {"Retry-After": "7"}), SpekoRateLimitError),
        (Refusal(503), SpekoApiError),
        (Refusal(200), SocketLost),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
async def test_refused_handshake_has_its_status_but_not_the_key(
    server: SttServer, sockets: Sockets, refusal: Refusal, error: type[Exception]
) -> None:
    server.script(refusal)
    with pytest.raises(error) as raised:
        await sockets.connect(PATH, timeout_s=5)
    assert KEY not in everything_in(raised.value)
    if isinstance(raised.value, SpekoApiError):
        assert raised.value.status == refusal.status
    if isinstance(raised.value, SpekoRateLimitError):
        assert raised.value.retry_after == 7.0


async def test_refused_connection_is_lost() -> None:
    async with SttServer() as server:
        pass
    sockets = Sockets(api_key=KEY, base_url=server.base_url)
    with pytest.raises(SocketLost) as raised:
        await sockets.connect(PATH, timeout_s=5)
    assert KEY not in everything_in(raised.value)
    await sockets.aclose()


async def test_slow_handshake_times_out() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    sockets = Sockets(api_key=KEY, base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(TimeoutError, match="0.05 s"):
        await sockets.connect(PATH, timeout_s=0.05)
    await sockets.aclose()
    listener.close()
    await listener.wait_closed()


async def test_close_has_its_code_and_its_reason_without_the_key(
    server: SttServer, sockets: Sockets
) -> None:
    server.script(closes(4400, f"bad {KEY}"))
    ws = await sockets.connect(PATH, timeout_s=5)
    await ws.send_text("{}")
    with pytest.raises(SocketLost) as raised:
        async for _ in ws:
            pass
    assert (raised.value.code, raised.value.reason) == (4400, "bad [redacted]")
    assert (ws.close_code, ws.close_reason) == (4400, "bad [redacted]")


async def test_reset_is_code_1006(server: SttServer, sockets: Sockets) -> None:
    async def reset(heard: Heard) -> None:
        heard.reset()

    server.script(reset)
    ws = await sockets.connect(PATH, timeout_s=5)
    await ws.send_text("{}")
    with pytest.raises(SocketLost) as raised:
        await ws.receive()
    assert raised.value.code == 1006
    await ws.close()


async def test_oversized_frame_ends_the_connection(server: SttServer, sockets: Sockets) -> None:
    server.script(says("x" * 2_000))
    ws = await sockets.connect(PATH, timeout_s=5, max_frame_bytes=1_000)
    await ws.send_text("{}")
    with pytest.raises(SocketLost) as raised:
        await ws.receive()
    assert raised.value.code == 1009
    await ws.close()


async def test_ping_without_a_response_is_a_lost_connection(
    server: SttServer, sockets: Sockets
) -> None:
    async def hang(heard: Heard) -> None:
        assert heard.request.transport is not None
        heard.request.transport.pause_reading()
        await heard.over.wait()

    server.script(hang)
    ws = await sockets.connect(PATH, timeout_s=5, ping_after_s=0.1)
    await ws.send_text("{}")
    with pytest.raises(SocketLost):
        await asyncio.wait_for(ws.receive(), 2)
    await ws.close()


async def test_closed_client_opens_no_connection(server: SttServer, sockets: Sockets) -> None:
    await sockets.aclose()
    with pytest.raises(SpekoApiError, match="closed"):
        await sockets.connect(PATH, timeout_s=5)
    assert server.attempts == 0


async def test_connection_that_ends_without_a_close_frame_is_code_1006(
    server: SttServer, sockets: Sockets
) -> None:
    async def end_the_file(heard: Heard) -> None:
        assert heard.request.transport is not None
        heard.request.transport.close()

    server.script(end_the_file)
    ws = await sockets.connect(PATH, timeout_s=5)
    await ws.send_text("{}")
    with pytest.raises(SocketLost) as raised:
        await ws.receive()
    assert (raised.value.code, ws.close_code) == (1006, 1006)
    await ws.close()


async def test_address_with_tls_is_tried_with_the_shared_context() -> None:
    async with SttServer() as server:
        pass
    sockets = Sockets(api_key=KEY, base_url=server.base_url.replace("http:", "https:"))
    with pytest.raises(SocketLost) as raised:
        await sockets.connect(PATH, timeout_s=5)
    assert KEY not in everything_in(raised.value)
    await sockets.aclose()


async def test_frames_sent_together_are_received_one_by_one(
    server: SttServer, sockets: Sockets
) -> None:
    received: list[str | bytes] = []

    async def note(heard: Heard) -> None:
        async for message in heard.ws:
            received.append(message.data)

    server.script(note)
    ws = await sockets.connect(PATH, timeout_s=5)
    await ws.send_text("{}")
    await asyncio.gather(ws.send_all(["zero", b"one", b"two"]), ws.send_all([b"three"]))
    await ws.send_bytes(b"four")
    await ws.close()
    heard = await server.connected()
    await heard.gone.wait()
    assert received == ["zero", b"one", b"two", b"three", b"four"]


async def read_nothing_more(heard: Heard) -> None:
    """Read no frame after the first, not even a close frame, until the server closes."""
    transport: Any = heard.request.transport
    transport.pause_reading()
    await heard.over.wait()


async def is_closed(ws: WebSocket) -> bool:
    """Whether the client's end is closed, soon."""
    for _ in range(100):
        if ws._socket is not None and ws._socket.fileno() == -1:
            return True
        await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize("is_full", [False, True], ids=["it_is_read", "it_can_send_no_more"])
@pytest.mark.parametrize("turns", range(1, 6))
async def test_cancelled_close_leaves_no_connection_to_a_server_that_does_not_read(
    server: SttServer, sockets: Sockets, turns: int, is_full: bool
) -> None:
    server.script(read_nothing_more)
    ws = await sockets.connect(PATH, timeout_s=5)
    await ws.send_text("{}")
    await server.connected()
    audio = bytes(1_000_000)
    sending = [asyncio.create_task(ws.send_bytes(audio)) for _ in range(8 * is_full)]
    receiving = asyncio.create_task(ws.receive())
    await asyncio.wait([receiving, *sending], timeout=0.02)
    closing = asyncio.create_task(ws.close())
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing, receiving], timeout=2)
    for task in (receiving, *sending):
        task.cancel()
    await asyncio.wait([receiving, *sending])
    closed = await is_closed(ws)
    ws.abort()  # else a failure would hang the run
    assert closing.cancelled() and closed


async def test_closed_connection_leaves_no_timer(server: SttServer, sockets: Sockets) -> None:
    """The server's close frame comes after the end, and is no reason for another ping."""
    ws = await sockets.connect(PATH, timeout_s=5)
    await ws.send_text("{}")
    await ws.close()
    await (await server.connected()).gone.wait()
    await asyncio.sleep(0.01)
    timers: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    assert [each for each in timers if "heartbeat" in repr(each) and not each.cancelled()] == []
