"""`transcribe_stream`: what the gateway accepts on the WebSocket, sends, and records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from livekit_plugins_speko.testing import (
    After,
    AfterAudio,
    CloseSocket,
    DropConnection,
    ErrorEvent,
    Final,
    Gate,
    Hang,
    Interim,
    LocalGateway,
    Pause,
    RawFrame,
    RecognitionConnection,
    RecognitionStep,
    Refusal,
    ServerEnd,
    StreamedTranscript,
    TimedWord,
)
from tests.helpers.gateway_requests import connect
from tests.helpers.gateway_sockets import (
    CONFIG,
    END,
    FLUSH,
    SOUND,
    SocketClient,
    connect_socket,
    wav_header,
)

READY = {"type": "ready", "provider": "local", "model": "scripted"}


def transcript(text: str, *, is_final: bool = True, **fields: Any) -> dict[str, Any]:
    return {
        "type": "transcript",
        "text": text,
        "isFinal": is_final,
        "confidence": 0.9,
        **fields,
    }


@pytest.fixture
async def socket(gateway: LocalGateway) -> AsyncIterator[SocketClient]:
    """A connection that is to be opened with a config, for an answer set in the test."""
    gateway.transcribe_stream.always(StreamedTranscript())
    async with connect_socket(gateway) as socket:
        yield socket


async def test_text_is_the_final_of_the_next_flush(gateway: LocalGateway) -> None:
    gateway.transcribe_stream.script(StreamedTranscript(["Hello.", "Bye."]))
    async with connect_socket(gateway, headers={"x-session-id": "s1"}) as socket:
        await socket.send(CONFIG, wav_header(), SOUND, FLUSH, SOUND, SOUND, END)
        assert await socket.messages(4) == [READY, transcript("Hello."), transcript("Bye."), END]
    connection = await gateway.transcribe_stream.connected()
    assert await connection.closed() == 1000
    assert (connection.config, connection.header) == (CONFIG, wav_header())
    assert (connection.audio, connection.flushes) == (SOUND * 3, [len(SOUND)])
    kinds = [frame.kind for frame in connection.frames]
    assert kinds == ["audio", "flush", "audio", "audio", "end"]
    times = [frame.at for frame in connection.frames]
    assert connection.opened_at <= times[0] and times == sorted(times)
    assert connection.last_audio_at == times[3]
    assert (connection.closed_by, connection.invalid) == ("client", None)
    (request,) = gateway.requests_to("transcribe_stream")
    await request.finished()
    assert connection.request is request
    assert (request.status, request.close_code, request.cancelled) == (101, 1000, False)
    assert request.session_id == "s1"


async def test_interim_comes_once_its_audio_has_arrived(gateway: LocalGateway) -> None:
    word = TimedWord("Hello", 0.05, 0.1)
    steps: list[RecognitionStep] = [
        AfterAudio(0.2),
        Interim("Hel", words=[]),
        After("flush"),
        Final("Hello", words=[word, TimedWord("there", 0.1, 0.2, 0.5)], confidence=1.0),
        Final(""),
        ErrorEvent("no model", "PROVIDER_ERROR"),
    ]
    gateway.transcribe_stream.script(StreamedTranscript(steps))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG, wav_header(), SOUND)
        assert await socket.message() == READY
        connection = await gateway.transcribe_stream.connected()
        await connection.audio_arrived(len(SOUND))
        with pytest.raises(asyncio.TimeoutError):
            await socket.socket.receive(timeout=0.05)
        await socket.send(SOUND, FLUSH)
        words = [
            {"text": "Hello", "start": 0.05, "end": 0.1},
            {"text": "there", "start": 0.1, "end": 0.2, "confidence": 0.5},
        ]
        assert await socket.messages(4) == [
            transcript("Hel", is_final=False, words=[]),
            transcript("Hello", words=words, confidence=1.0),
            transcript(""),
            {"type": "error", "code": "PROVIDER_ERROR", "message": "no model"},
        ]


async def test_engine_reads_frames_and_sends_pieces_as_they_come(gateway: LocalGateway) -> None:
    async def count(connection: RecognitionConnection) -> None:
        size = 0
        async for frame in connection.incoming():
            size += len(frame.pcm)
            if frame.kind == "audio":
                await connection.send(Interim(f"{size} bytes"))
            else:
                await connection.send(Final(f"{size} bytes at a {frame.kind}"))

    gateway.transcribe_stream.always(StreamedTranscript(count))
    for _ in range(2):
        async with connect_socket(gateway) as socket:
            await socket.send(CONFIG, wav_header(), SOUND, FLUSH)
            assert [m.get("text") for m in await socket.messages(3)] == [
                None,
                "3200 bytes",
                "3200 bytes at a flush",
            ]
    await gateway.idle()


async def test_engine_that_fails_cuts_the_connection_and_fails_the_run() -> None:
    async def fail(connection: RecognitionConnection) -> None:
        raise KeyError("bug")

    with pytest.raises(AssertionError, match="GET /v1/transcribe/stream failed: KeyError"):
        async with LocalGateway() as gateway, connect_socket_of(gateway, fail) as socket:
            await socket.send(CONFIG)
            await socket.all_messages()
            assert socket.code == 1006


def connect_socket_of(gateway: LocalGateway, engine: Any) -> Any:
    gateway.transcribe_stream.script(StreamedTranscript(engine))
    return connect_socket(gateway)


async def test_unexpected_connection_fails_the_run() -> None:
    with pytest.raises(AssertionError, match="unexpected request: GET /v1/transcribe/stream"):
        async with LocalGateway() as gateway:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with connect_socket(gateway):
                    pass
            assert refused.value.status == 500


@pytest.mark.parametrize("status", [401, 503])
async def test_refusal_is_an_http_response_at_the_handshake(
    gateway: LocalGateway, status: int
) -> None:
    gateway.transcribe_stream.script(Refusal(status, "down", headers={"Retry-After": "3"}))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect_socket(gateway):
            pass
    assert refused.value.status == status
    assert refused.value.headers is not None and refused.value.headers["Retry-After"] == "3"
    assert gateway.transcribe_stream.connections == []


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("", {"key": "wrong"}, 401),
        ("", {"key": None}, 401),
        ("?key=1", {}, 400),
        ("", {"protocols": ["speko"]}, 400),
    ],
)
async def test_malformed_handshake_is_refused(
    gateway: LocalGateway, path: str, options: dict[str, Any], status: int
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect_socket(gateway, f"/v1/transcribe/stream{path}", **options):
            pass
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([b"RIFF"], "first frame: found a binary frame, expected the config"),
        (["hello"], "config: found 'hello', expected a JSON object"),
        (["[1]"], "config: found '[1]', expected a JSON object"),
        ([{**CONFIG, "type": "start"}], 'config.type: found "start"'),
        ([{"type": "config"}], "config.language: found nothing"),
        ([{**CONFIG, "language": "en_US"}], 'config.language: found "en_US"'),
        ([{**CONFIG, "language": "multi"}], 'config.language: found "multi"'),
        ([{**CONFIG, "sttOptions": {"language": "both"}}], "config.sttOptions.language: found"),
        ([{**CONFIG, "keywords": ["a"] * 201}], "config.keywords: found 201 items"),
        ([{**CONFIG, "prompt": "a" * 2001}], "config.prompt: found 2001 characters"),
        ([{**CONFIG, "model": "nova"}], "config.model: unknown field"),
        ([CONFIG, SOUND], "header: found 3200 bytes, expected a WAV header of 44 alone"),
        ([CONFIG, wav_header() + SOUND], "header: found 3244 bytes"),
        ([CONFIG, bytes(44)], "expected RIFF, WAVE, fmt"),
        ([CONFIG, wav_header(channels=2)], "header: found format 1, 2 channels"),
        ([CONFIG, wav_header(rate=8000)], "header: found 8000 Hz"),
        ([CONFIG, wav_header(size=36)], "header: found sizes 36 and 36"),
        ([CONFIG, wav_header(), b"odd"], "frame: found 3 bytes of audio"),
        ([CONFIG, wav_header(), b""], "frame: found 0 bytes of audio"),
        ([CONFIG, CONFIG], 'frame.type: found "config", expected one of: flush, end'),
        ([CONFIG, END, FLUSH], "frame: found flush after end"),
        ([CONFIG, wav_header(), END, SOUND], "frame: found audio after end"),
    ],
)
async def test_malformed_frame_closes_with_4400(
    gateway: LocalGateway, socket: SocketClient, frames: list[Any], message: str
) -> None:
    await socket.send(*frames)
    await socket.all_messages()
    assert socket.code == 4400
    connection = await gateway.transcribe_stream.connected()
    assert connection.invalid is not None and message in connection.invalid
    assert (connection.close_code, connection.closed_by) == (4400, "gateway")


@pytest.mark.parametrize(
    "config",
    [
        {"type": "config", "language": "en"},
        {**CONFIG, "sttOptions": {"language": "auto"}, "keywords": ["a"] * 200},
        {**CONFIG, "region": "eu", "optimizeFor": "cost", "prompt": "a" * 2000},
        {**CONFIG, "constraints": {"allowedProviders": {"stt": ["deepgram:nova-3"]}}},
    ],
)
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
async def test_every_form_of_opening_is_accepted(
    socket: SocketClient, config: dict[str, Any], size: int
) -> None:
    await socket.send(config, wav_header(size=size), SOUND, END)
    assert await socket.messages(2) == [READY, END]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([CloseSocket(1011, "busy")], 1011),
        ([CloseSocket(4401)], 4401),
        ([CloseSocket()], 1000),
        ([DropConnection()], 1006),
        ([After("flush"), DropConnection()], 1006),
    ],
)
async def test_scripted_end_closes_the_connection(
    gateway: LocalGateway, steps: list[RecognitionStep], code: int
) -> None:
    gateway.transcribe_stream.script(StreamedTranscript([Interim("a"), *steps, Final("never")]))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG, wav_header(), SOUND, FLUSH)
        received = await socket.all_messages()
        assert received == [READY, transcript("a", is_final=False)]
        assert socket.code == code
    connection = await gateway.transcribe_stream.connected()
    assert (await connection.closed(), connection.closed_by) == (code, "gateway")
    await connection.request.finished()
    assert not connection.request.cancelled


async def test_close_frame_reaches_a_client_that_is_still_sending(gateway: LocalGateway) -> None:
    gateway.transcribe_stream.always(StreamedTranscript([AfterAudio(0.3), CloseSocket(1008, "x")]))
    for _ in range(20):
        async with connect_socket(gateway, autoclose=False) as socket:
            await socket.send(CONFIG, wav_header(), *[SOUND] * 100)
            assert await socket.message() == READY
            close = await socket.socket.receive(timeout=5)
            assert (close.type, close.data, close.extra) == (aiohttp.WSMsgType.CLOSE, 1008, "x")
            await socket.socket.close()


async def test_ready_may_never_come_and_garbage_may(gateway: LocalGateway) -> None:
    steps: list[RecognitionStep] = [RawFrame("{"), RawFrame(b"\x00"), ServerEnd(), Pause(0.01)]
    gateway.transcribe_stream.script(StreamedTranscript(steps, route=None, ends=False))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG, END)
        received = [(await socket.socket.receive(timeout=5)).data for _ in range(3)]
        assert received == ["{", b"\x00", '{"type":"end"}']
        with pytest.raises(asyncio.TimeoutError):
            await socket.socket.receive(timeout=0.05)


async def test_gate_holds_the_script(gateway: LocalGateway) -> None:
    gate = Gate()
    gateway.transcribe_stream.script(StreamedTranscript([gate, "Hello."]))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG, wav_header(), SOUND, END)
        await gate.reached()
        assert await socket.message() == READY
        gate.open()
        assert await socket.messages(2) == [transcript("Hello."), END]


async def test_connection_that_hangs_responds_to_no_ping(gateway: LocalGateway) -> None:
    gateway.transcribe_stream.script(StreamedTranscript([Hang()], idle_s=0.01))
    async with connect_socket(gateway, heartbeat=0.1) as socket:
        await socket.send(CONFIG)
        assert await socket.message() == READY
        await socket.all_messages()
        assert socket.code == 1006
    connection = await gateway.transcribe_stream.connected()
    assert (await connection.closed(), connection.closed_by) == (1006, "client")


async def test_ping_is_responded_to(gateway: LocalGateway) -> None:
    gateway.transcribe_stream.script(StreamedTranscript())
    async with connect_socket(gateway, autoping=False) as socket:
        await socket.socket.ping(b"here?")
        pong = await socket.socket.receive(timeout=5)
        assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"here?")


async def test_time_without_audio_closes_with_1011(gateway: LocalGateway) -> None:
    gateway.transcribe_stream.script(StreamedTranscript("Hello.", idle_s=0.05))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG, wav_header(), SOUND)
        assert await socket.all_messages() == [READY]
        assert socket.code == 1011


async def test_client_that_cuts_the_connection_is_noted(gateway: LocalGateway) -> None:
    gateway.transcribe_stream.script(StreamedTranscript(["Hello."]))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG)
        await socket.message()
        transport = socket.socket._writer.transport
        assert transport is not None
        transport.abort()
        connection = await gateway.transcribe_stream.connected()
        assert (await connection.closed(), connection.closed_by) == (1006, "client")
    await connection.request.finished()
    assert connection.request.cancelled


async def test_gateway_closes_with_connections_open() -> None:
    gateway = LocalGateway()
    await gateway.start()
    gateway.transcribe_stream.always(StreamedTranscript("Hello."))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG)
        await socket.message()
        await gateway.aclose()
        await socket.all_messages()
    assert (gateway.in_flight, gateway.open_connections) == (0, 0)
    assert not gateway.requests[0].cancelled


async def test_rate_before_the_header_is_the_config_s(gateway: LocalGateway) -> None:
    gateway.transcribe_stream.script(StreamedTranscript())
    async with connect_socket(gateway) as socket:
        await socket.send({**CONFIG, "sampleRate": 8000})
        assert await socket.message() == READY
        connection = await gateway.transcribe_stream.connected()
        assert connection.sample_rate == 8000


async def test_piece_of_another_route_fails_the_run() -> None:
    with pytest.raises(AssertionError, match="found a piece of type"):
        async with LocalGateway() as gateway:
            steps: list[Any] = [object()]
            gateway.transcribe_stream.script(StreamedTranscript(steps))
            async with connect_socket(gateway) as socket:
                await socket.send(CONFIG)
                await socket.all_messages()


async def test_plain_request_is_asked_to_upgrade(gateway: LocalGateway) -> None:
    async with connect(gateway) as client:
        response = await client.get("/v1/transcribe/stream")
    assert (response.status_code, response.json()["code"]) == (426, "UPGRADE_REQUIRED")


async def test_frame_that_breaks_the_protocol_ends_the_connection(gateway: LocalGateway) -> None:
    gateway.transcribe_stream.script(StreamedTranscript([Gate()]))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG)
        assert await socket.message() == READY
        await socket.socket._writer.send_frame(b"\xff", aiohttp.WSMsgType.TEXT)
        await socket.all_messages()
        assert socket.code == 1007
    connection = await gateway.transcribe_stream.connected()
    assert (await connection.closed(), connection.closed_by) == (1007, "gateway")


async def test_cut_connection_has_its_end_if_the_gateway_closes_before_its_engine() -> None:
    ending = asyncio.Event()

    async def slowly(connection: RecognitionConnection) -> None:
        try:
            await connection.hang()
        finally:
            ending.set()
            await asyncio.sleep(0.2)

    gateway = LocalGateway()
    await gateway.start()
    gateway.transcribe_stream.script(StreamedTranscript(slowly))
    async with connect_socket(gateway) as socket:
        await socket.send(CONFIG)
        connection = await gateway.transcribe_stream.connected()
        transport = socket.socket._writer.transport
        assert transport is not None
        transport.abort()
        await asyncio.wait_for(ending.wait(), 5)
        await gateway.aclose()
        assert await connection.closed(within_s=1) == 1006
        assert connection.closed_by == "client"
