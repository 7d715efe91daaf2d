"""`realtime`: the WebSockets of speech to speech in the proxy's, xAI's and Gemini's form."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from livekit_plugins_speko.testing import (
    After,
    AfterAudio,
    CloseSocket,
    DropConnection,
    EndOfReply,
    EndSession,
    ErrorEvent,
    Gate,
    Interruption,
    LocalGateway,
    MintedSession,
    RawFrame,
    RealtimeConnection,
    RealtimeReady,
    RealtimeReply,
    RealtimeScript,
    RealtimeStep,
    RealtimeTranscript,
    ResumptionHandle,
    ServerToolCall,
    ToolCall,
)
from tests.helpers.gateway_realtime import (
    COMMIT,
    FORMS,
    GOOGLE_SETUP,
    INTERRUPT,
    OPENING,
    READY,
    XAI_SESSION,
    address,
    audio_frame,
    base64_of,
    connect_realtime,
    mint,
    tool_result,
)
from tests.helpers.gateway_sockets import connect_socket

SOUND = b"\x01\x02" * 480
"""20 ms at 24000 Hz."""
CALL = ToolCall("get_weather", {"city": "Oslo"}, id="c1")
USAGE = EndOfReply(input_audio_tokens=3, output_audio_tokens=4)

every_form = pytest.mark.parametrize("form", FORMS)


@every_form
async def test_frames_of_the_client_have_the_same_meaning_on_each_wire(
    gateway: LocalGateway, form: str
) -> None:
    gateway.realtime.script(RealtimeScript([AfterAudio(0.02), CALL, After("tool_result")]))
    async with connect_realtime(gateway, form) as client:
        assert await client.message() == READY[form]
        await client.send(audio_frame(form, SOUND), COMMIT[form], INTERRUPT[form])
        await client.message()
        await client.send(*tool_result(form, "c1", CALL.name, '{"sky": "clear"}'))
        connection = await gateway.realtime.connected()
        result = await connection.arrived("tool_result")
        assert result.call_id == "c1" and "clear" in result.text
    kinds = [frame.kind for frame in connection.frames]
    assert kinds == ["audio", "commit", "interrupt", "tool_result"]
    assert connection.audio == SOUND
    assert await connection.closed() == 1000
    assert connection.session is gateway.session()
    assert connection.opening == OPENING.get(form, {}).get(
        {"xai": "session", "google": "setup"}.get(form, ""), {}
    )


PIECES: list[RealtimeStep] = [
    SOUND,
    RealtimeTranscript("user", "Hel"),
    RealtimeTranscript("user", "Hello", final=True),
    RealtimeTranscript("assistant", "Good"),
    RealtimeTranscript("assistant", "Good day"),
    RealtimeTranscript("assistant", "Good day.", final=True),
    CALL,
    Interruption(),
    ErrorEvent("slow", "PROVIDER_ERROR"),
    USAGE,
]
WIRE: dict[str, list[Any]] = {
    "proxy": [
        SOUND,
        {"t": "transcript", "role": "user", "text": "Hel", "final": False},
        {"t": "transcript", "role": "user", "text": "Hello", "final": True},
        {"t": "transcript", "role": "assistant", "text": "Good", "final": False},
        {"t": "transcript", "role": "assistant", "text": "Good day", "final": False},
        {"t": "transcript", "role": "assistant", "text": "Good day.", "final": True},
        {
            "t": "tool_call",
            "callId": "c1",
            "name": "get_weather",
            "arguments": '{"city": "Oslo"}',
        },
        {"t": "interruption", "at": "user"},
        {"t": "error", "code": "PROVIDER_ERROR", "message": "slow"},
        {"t": "usage", "inputAudioTokens": 3, "outputAudioTokens": 4},
    ],
    "xai": [
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        {"type": "response.output_audio.delta", "delta": base64_of(SOUND)},
        {"type": "conversation.item.input_audio_transcription.updated", "transcript": "Hel"},
        {"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hello"},
        {"type": "response.output_audio_transcript.delta", "delta": "Good"},
        {"type": "response.output_audio_transcript.delta", "delta": " day"},
        {"type": "response.output_audio_transcript.done", "transcript": "Good day."},
        {
            "type": "response.function_call_arguments.done",
            "call_id": "c1",
            "name": "get_weather",
            "arguments": '{"city": "Oslo"}',
        },
        {"type": "input_audio_buffer.speech_started"},
        {"type": "error", "error": {"code": "PROVIDER_ERROR", "message": "slow"}},
        {
            "type": "response.done",
            "response": {
                "status": "completed",
                "usage": {
                    "input_token_details": {"audio_tokens": 3},
                    "output_token_details": {"audio_tokens": 4},
                },
            },
        },
    ],
    "google": [
        {
            "serverContent": {
                "modelTurn": {
                    "parts": [
                        {
                            "inlineData": {
                                "mimeType": "audio/pcm;rate=24000",
                                "data": base64_of(SOUND),
                            }
                        }
                    ]
                }
            }
        },
        {"serverContent": {"inputTranscription": {"text": "Hel"}}},
        {"serverContent": {"inputTranscription": {"text": "lo"}}},
        {"serverContent": {"outputTranscription": {"text": "Good"}}},
        {"serverContent": {"outputTranscription": {"text": " day"}}},
        {"serverContent": {"outputTranscription": {"text": "."}}},
        {
            "toolCall": {
                "functionCalls": [{"id": "c1", "name": "get_weather", "args": {"city": "Oslo"}}]
            }
        },
        {"serverContent": {"interrupted": True}},
        {"error": {"status": "PROVIDER_ERROR", "code": 500, "message": "slow"}},
        {"serverContent": {"turnComplete": True}},
        {"usageMetadata": {"promptTokenCount": 3, "responseTokenCount": 4}},
    ],
}


@every_form
async def test_pieces_are_sent_in_the_wire_s_form(gateway: LocalGateway, form: str) -> None:
    gateway.realtime.script(RealtimeScript(PIECES))
    async with connect_realtime(gateway, form) as client:
        assert await client.messages(1 + len(WIRE[form])) == [READY[form], *WIRE[form]]


async def test_pieces_of_one_wire_alone(gateway: LocalGateway) -> None:
    rates = RealtimeReady(input_rate_hz=16000, output_rate_hz=16000)
    gateway.realtime.script(
        RealtimeScript([ServerToolCall("search", id="s"), EndOfReply(usage=False), rates]),
        RealtimeScript([EndOfReply(usage=False)]),
        RealtimeScript([ResumptionHandle("h"), EndOfReply(usage=False)]),
    )
    async with connect_realtime(gateway, "proxy") as client:
        call = {"t": "server_tool_call", "id": "s", "name": "search"}
        assert (await client.messages(4))[1:] == [
            {**call, "status": "started"},
            {**call, "status": "completed"},
            {"t": "ready", "inputSampleRate": 16000, "outputSampleRate": 16000},
        ]
        connection = await gateway.realtime.connected()
        assert (connection.bytes_per_second, connection.output_rate_hz) == (32000, 16000)
    async with connect_realtime(gateway, "xai") as client:
        done = {"type": "response.done", "response": {"status": "completed"}}
        assert (await client.messages(2))[1] == done
    async with connect_realtime(gateway, "google") as client:
        assert (await client.messages(3))[1:] == [
            {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}},
            {"serverContent": {"turnComplete": True}},
        ]


async def test_each_reply_is_announced_on_xais_wire_and_a_late_rest_is_not(
    gateway: LocalGateway,
) -> None:
    stop = RealtimeTranscript("user", "Stop", final=True)
    gateway.realtime.script(
        RealtimeScript([SOUND, Interruption(), SOUND, stop, SOUND, USAGE, CALL])
    )
    async with connect_realtime(gateway, "xai") as client:
        kinds = [event["type"].rpartition(".")[2] for event in await client.messages(10)]
    assert kinds[1:] == [
        *("created", "delta", "speech_started", "delta", "completed"),
        *("created", "delta", "done", "created"),
    ]


@pytest.mark.parametrize(
    ("form", "piece"),
    [
        ("proxy", ResumptionHandle("h")),
        ("xai", ServerToolCall("search")),
        ("google", ServerToolCall("search")),
    ],
)
async def test_piece_that_the_wire_cannot_send_fails_the_run(form: str, piece: Any) -> None:
    with pytest.raises(AssertionError, match=f"the form {form} has no frame for"):
        async with LocalGateway() as gateway:
            gateway.realtime.script(RealtimeScript([piece]))
            async with connect_realtime(gateway, form) as client:
                await client.all_messages()
                assert client.code == 1006


async def test_reply_has_words_audio_calls_and_an_end(gateway: LocalGateway) -> None:
    reply = RealtimeReply(
        "Good day.", user="Hi.", audio=SOUND, chunk_bytes=641, tool_calls=[CALL], end=USAGE
    )
    gateway.realtime.script(RealtimeScript([reply]))
    async with connect_realtime(gateway, "proxy") as client:
        received = (await client.messages(10))[1:]
    shown = [m.get("text") or m["t"] if isinstance(m, dict) else len(m) for m in received]
    assert shown == ["Hi.", "Hi.", "Good", 641, "Good day.", 319, "Good day.", "tool_call", "usage"]


async def test_reply_may_have_no_audio_and_never_end(gateway: LocalGateway) -> None:
    gateway.realtime.script(RealtimeScript([RealtimeReply("Good day.", end=None), CALL]))
    async with connect_realtime(gateway, "proxy") as client:
        received = (await client.messages(5))[1:]
    shown = [message.get("text") or message["t"] for message in received]
    assert shown == ["Good", "Good day.", "Good day.", "tool_call"]


def test_reply_in_chunks_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk_bytes is 0, expected 1 or more"):
        RealtimeReply(chunk_bytes=0)


@every_form
async def test_interrupt_of_the_client_cuts_a_reply(gateway: LocalGateway, form: str) -> None:
    gate = Gate()
    reply = RealtimeReply("One two three.", audio=[SOUND, gate, SOUND, SOUND])
    gateway.realtime.script(RealtimeScript([reply, reply]))
    async with connect_realtime(gateway, form) as client:
        await client.messages(4 if form == "xai" else 3)
        await gate.reached()
        await client.send(INTERRUPT[form])
        connection = await gateway.realtime.connected()
        await connection.arrived("interrupt")
        gate.open()
        rest = [str(message) for message in await client.messages(3 if form == "google" else 2)]
    assert [text for text in rest if "three" in text] == []
    # The word before the gate, the end of the reply, and maybe the first word of the next.
    assert any("usage" in text for text in rest)


@every_form
async def test_engine_answers_audio_as_it_comes(gateway: LocalGateway, form: str) -> None:
    async def echo(connection: RealtimeConnection) -> None:
        async for frame in connection.incoming():
            if frame.kind == "audio":
                await connection.send(frame.pcm)
            elif frame.kind == "commit":
                await connection.send(USAGE)

    gateway.realtime.always(RealtimeScript(echo))
    async with connect_realtime(gateway, form) as client:
        await client.message()
        await client.send(audio_frame(form, SOUND))
        assert await client.message() == WIRE[form][0]
        await client.send(COMMIT[form])
        assert await client.message() in WIRE[form]


@every_form
@pytest.mark.parametrize(
    ("step", "code"),
    [(CloseSocket(1011, "x"), 1011), (DropConnection(), 1006), (EndSession("bye"), 1000)],
)
async def test_scripted_end_closes_the_connection(
    gateway: LocalGateway, form: str, step: Any, code: int
) -> None:
    gateway.realtime.script(RealtimeScript([step, SOUND]))
    async with connect_realtime(gateway, form) as client:
        received = await client.all_messages()
        ended = [{"t": "end", "reason": "bye"}] if form == "proxy" and code == 1000 else []
        assert received == [READY[form], *ended]
        assert client.code == code


@every_form
async def test_ready_may_never_come_and_garbage_may(gateway: LocalGateway, form: str) -> None:
    gateway.realtime.script(RealtimeScript([RawFrame("{"), RawFrame("1" * 1_000_000)], ready=False))
    async with connect_realtime(gateway, form) as client:
        received = [(await client.socket.receive(timeout=5)).data for _ in range(2)]
        assert [len(each) for each in received] == [1, 1_000_000]


@every_form
async def test_session_s_life_ends_the_connection(gateway: LocalGateway, form: str) -> None:
    gateway.sessions.script(MintedSession(ttl_s=0.3))
    gateway.realtime.script(RealtimeScript())
    async with connect_realtime(gateway, form) as client:
        received = await client.all_messages()
        ended = [{"t": "end", "reason": "session_expired"}] if form == "proxy" else []
        assert received == [READY[form], *ended]
        assert client.code == 1000


async def refused_status(gateway: LocalGateway, url: str, **options: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect_socket(gateway, url, **{"key": None, **options}):
            pass
    return refused.value.status


@every_form
async def test_only_the_session_s_own_token_is_let_in(gateway: LocalGateway, form: str) -> None:
    minted = await mint(gateway, form)
    url, options = address(minted)
    token = gateway.session().token
    bare = url.partition("?")[0] if form == "google" else url
    wrong = [text.replace(token, "wrong") for text in options.get("protocols", [])]
    wrong_url = url.replace(token, "wrong")
    assert await refused_status(gateway, wrong_url, protocols=wrong) == 401
    assert await refused_status(gateway, bare) == 401
    assert await refused_status(gateway, url, **{**options, "key": ""}) == 401
    gateway.session().expires_at = 0
    assert await refused_status(gateway, url, **options) == 401
    assert token not in repr(gateway.requests)


async def test_token_fits_its_own_socket_alone(gateway: LocalGateway) -> None:
    url, options = address(await mint(gateway, "proxy"))
    await mint(gateway, "proxy")
    other = url.replace(url.split("/")[-2], gateway.session().id)
    assert await refused_status(gateway, other, **options) == 401
    assert await refused_status(gateway, f"{url}?token=1", **options) == 400
    xai, options = address(await mint(gateway, "xai"))
    assert await refused_status(gateway, xai.replace("grok", "gpt"), **options) == 400
    assert await refused_status(gateway, xai.partition("?")[0], **options) == 400


@every_form
async def test_browser_s_subprotocol_is_agreed_to(gateway: LocalGateway, form: str) -> None:
    gateway.realtime.script(RealtimeScript())
    url, options = address(await mint(gateway, form))
    async with connect_socket(gateway, url, key=None, **options) as client:
        assert client.socket.protocol == options.get("protocols", [None])[0]


PROXY_CALL = {"t": "tool_result", "callId": "x", "output": ""}
ITEM = {"type": "conversation.item.create"}
TWO_INPUTS = {"audioStreamEnd": True, "activityEnd": {}}
NO_TYPE = {**XAI_SESSION, "turn_detection": {"type": "none"}}


@pytest.mark.parametrize(
    ("form", "frame", "message"),
    [
        ("proxy", b"odd", "audio: found 3 bytes"),
        ("proxy", "hello", "frame: found 'hello'"),
        ("proxy", {"t": "text"}, 'frame.t: found "text"'),
        ("proxy", {"t": "control", "action": "clear"}, "frame.action"),
        ("proxy", PROXY_CALL, 'frame.callId: found "x", expected one of the calls sent'),
        ("xai", b"{}", "frame: found a binary frame"),
        ("xai", {"type": "response.stop"}, "event.type"),
        ("xai", {"type": "session.update", "session": NO_TYPE}, "turn_detection.type"),
        ("xai", {"type": "input_audio_buffer.append", "audio": "a"}, "event.audio"),
        ("xai", {**ITEM, "item": {"type": "file"}}, "event.item.type"),
        ("xai", {"type": "response.create", "response": {"voice": "a"}}, "event.response.voice"),
        ("google", {"a": 1, "b": 2}, "message: found keys a, b"),
        ("google", OPENING["google"], "expected setup once"),
        ("google", {"realtimeInput": {"text": "a"}}, "realtimeInput.text"),
        ("google", {"toolResponse": {"functionResponses": []}}, "functionResponses: found 0"),
        ("google", {"realtimeInput": TWO_INPUTS}, "found keys audioStreamEnd, activityEnd"),
    ],
)
async def test_malformed_frame_closes_with_1008(
    gateway: LocalGateway, form: str, frame: Any, message: str
) -> None:
    gateway.realtime.script(RealtimeScript())
    async with connect_realtime(gateway, form) as client:
        await client.send(frame)
        await client.all_messages()
        assert client.code == 1008
    connection = await gateway.realtime.connected()
    assert connection.invalid is not None and message in connection.invalid


@pytest.mark.parametrize("form", ["xai", "google"])
async def test_audio_before_the_opening_is_refused(gateway: LocalGateway, form: str) -> None:
    gateway.realtime.script(RealtimeScript())
    async with connect_realtime(gateway, form, opening=False) as client:
        await client.send(audio_frame(form, SOUND))
        assert await client.all_messages() == []
        assert client.code == 1008


@pytest.mark.parametrize(
    ("form", "opening", "message"),
    [
        ("xai", {**XAI_SESSION, "model": "other"}, "event.session.model"),
        ("xai", {**XAI_SESSION, "output_modalities": ["text"]}, "output_modalities"),
        ("google", {**GOOGLE_SETUP, "model": "models/other"}, "setup.model"),
    ],
)
async def test_opening_that_does_not_fit_the_session_closes_with_1008(
    gateway: LocalGateway, form: str, opening: dict[str, Any], message: str
) -> None:
    gateway.realtime.script(RealtimeScript())
    is_xai = form == "xai"
    first = {"type": "session.update", "session": opening} if is_xai else {"setup": opening}
    async with connect_realtime(gateway, form, opening=False) as client:
        await client.send(first)
        assert await client.all_messages() == []
        assert client.code == 1008
    connection = await gateway.realtime.connected()
    assert connection.invalid is not None and message in connection.invalid


async def test_result_under_another_tool_s_name_is_refused(gateway: LocalGateway) -> None:
    gateway.realtime.script(RealtimeScript([CALL]))
    async with connect_realtime(gateway, "google") as client:
        await client.messages(2)
        await client.send(*tool_result("google", "c1", "other", "{}"))
        await client.all_messages()
        assert client.code == 1008
    connection = await gateway.realtime.connected()
    assert connection.invalid is not None and "functionResponses.name" in connection.invalid


@every_form
async def test_second_result_of_a_call_is_refused(gateway: LocalGateway, form: str) -> None:
    gateway.realtime.script(RealtimeScript([CALL]))
    async with connect_realtime(gateway, form) as client:
        await client.messages(2)
        result = tool_result(form, "c1", CALL.name, "{}")
        await client.send(*result, *result)
        await client.all_messages()
        assert client.code == 1008
    connection = await gateway.realtime.connected()
    assert connection.invalid is not None and "a second result of c1" in connection.invalid


async def test_text_and_instructions_where_the_wire_has_them(gateway: LocalGateway) -> None:
    gateway.realtime.always(RealtimeScript())
    turn = {"role": "user", "parts": [{"text": "Hi."}]}
    async with connect_realtime(gateway, "google") as client:
        await client.send({"clientContent": {"turns": [turn], "turnComplete": True}})
        connection = await gateway.realtime.connected()
        assert (await connection.arrived("text")).text == "Hi."
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]}
    response = {"type": "response.create"}
    async with connect_realtime(gateway, "xai") as client:
        await client.send({**ITEM, "item": item}, response, response)
        await client.send({**response, "response": {"instructions": "Greet."}})
        connection = await gateway.realtime.connected(count=2)
        await connection.arrived("instructions", count=2)
    frames = [(frame.kind, frame.text) for frame in connection.frames]
    assert frames == [("text", "Hi."), ("instructions", ""), ("instructions", "Greet.")]


async def test_gateway_closes_with_connections_open() -> None:
    gateway = LocalGateway()
    await gateway.start()
    gateway.realtime.always(RealtimeScript())
    async with connect_realtime(gateway, "proxy") as client:
        await client.message()
        await asyncio.wait_for(gateway.aclose(), 3)
        await client.all_messages()
    assert (gateway.in_flight, gateway.open_connections) == (0, 0)
