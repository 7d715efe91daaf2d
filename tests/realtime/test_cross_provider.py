"""LiveKit's checks for every realtime model, on a bare session, in each form of the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import llm

from livekit_plugins_speko.testing import (
    After,
    AfterAudio,
    EndOfReply,
    Gate,
    Interruption,
    LocalGateway,
    RealtimeReply,
    RealtimeTranscript,
    ToolCall,
)
from livekit_plugins_speko.testing._gateway.frames import FrameKind
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.helpers.bare_session import bare, read
from tests.helpers.gateway_realtime import FORMS
from tests.helpers.realtime_calls import INSTRUCTIONS, RATE, WITHIN_S, speech
from tests.helpers.support import frame

EACH = pytest.mark.parametrize("form", FORMS)
CALL = ToolCall(id="c1", name="weather", args={"city": "Oslo"})


def _hear(session: llm.RealtimeSession[Any], seconds: float = 0.3) -> None:
    """Push audio as a room does: frames of 50 ms."""
    for _ in range(round(seconds / 0.05)):
        session.push_audio(frame(speech(0.05), rate=RATE))


@EACH
async def test_audio_makes_a_reply_of_audio_and_text(gateway: LocalGateway, form: str) -> None:
    reply = RealtimeReply("It is noon.", audio=speech(0.35), user="Time?", chunk_bytes=1_001)
    async with bare(gateway, form, AfterAudio(0.2), reply) as call:
        _hear(call.session)
        event = await call.begun()
        heard = await read(event)
        assert heard.text == "It is noon."
        assert heard.pcm == speech(0.35)
        assert {(each.sample_rate, each.num_channels) for each in heard.frames} == {(RATE, 1)}
        assert max(each.duration for each in heard.frames) <= 0.1
        assert not event.user_initiated and event.response_id
        assert not heard.calls and not call.of("error")


@EACH
async def test_speech_is_reported_before_its_words_and_both_before_the_reply(
    gateway: LocalGateway, form: str
) -> None:
    steps = (AfterAudio(0.2), Interruption(), RealtimeReply("Noon.", audio=speech(), user="Time?"))
    async with bare(gateway, form, *steps) as call:
        _hear(call.session)
        await call.reply()
        order = [each for each in call.names if each != "input_audio_transcription_completed"]
        assert order == ["input_speech_started", "input_speech_stopped", "generation_created"]
        assert call.names[:2] == ["input_speech_started", "input_audio_transcription_completed"]
        assert call.of("input_speech_stopped")[0].user_transcription_enabled


@EACH
async def test_words_grow_under_one_id_to_one_final(gateway: LocalGateway, form: str) -> None:
    words = [RealtimeTranscript("user", text) for text in ("What", "What time", "What time?")]
    async with bare(gateway, form, *words, RealtimeReply("Noon.", audio=speech())) as call:
        await call.reply()
        lines = call.of("input_audio_transcription_completed")
        assert [each.transcript for each in lines if not each.is_final][:3] == [
            *("What", "What time", "What time?"),
        ]
        assert [each.transcript for each in lines if each.is_final] == ["What time?"]
        assert len({each.item_id for each in lines}) == 1
        items = call.session.chat_ctx.items
        assert [each.id for each in items][0] == lines[0].item_id
        assert [each.text_content for each in items if each.type == "message"] == [
            *("What time?", "Noon."),
        ]


@EACH
async def test_interrupt_ends_the_reply_and_is_sent_once(gateway: LocalGateway, form: str) -> None:
    gate = Gate()
    audio: list[bytes | Gate] = [speech(0.2), gate, speech(0.2, 300)]
    cut = RealtimeReply("One. Two. Three.", audio=audio, user="Count.")
    following = RealtimeReply("Fine.", audio=speech(0.1, 600), user="Stop.")
    async with bare(gateway, form, cut, following) as call:
        event = await call.begun()
        connection = await call.connection()
        call.session.interrupt()
        call.session.interrupt()
        cut_off = await within(read(event), WITHIN_S, "the end of the interrupted reply")
        assert cut_off.pcm == speech(0.2)[: len(cut_off.pcm)]
        await connection.arrived("interrupt")
        gate.open()
        heard = await call.reply()
        assert (heard.text, heard.pcm) == ("Fine.", speech(0.1, 600))
        assert len(connection.received("interrupt")) == 1


@EACH
async def test_barge_in_ends_the_reply_and_is_not_answered(
    gateway: LocalGateway, form: str
) -> None:
    story = [
        RealtimeTranscript("user", "Tell me."),
        speech(0.2),
        RealtimeTranscript("assistant", "Once"),
    ]
    following = RealtimeReply("Fine.", audio=speech(0.1, 600), user="Stop.")
    async with bare(gateway, form, *story, Interruption(), EndOfReply(), following) as call:
        # As LiveKit does, at each barge-in.
        call.session.on("input_speech_started", lambda _: call.session.interrupt())
        event = await call.begun()
        await within(read(event), WITHIN_S, "the end of the interrupted reply")
        heard = await call.reply()
        assert (heard.text, heard.pcm) == ("Fine.", speech(0.1, 600))
        assert not (await call.connection()).received("interrupt")


@EACH
async def test_tool_is_called_and_its_one_result_has_a_reply(
    gateway: LocalGateway, form: str
) -> None:
    asks = RealtimeReply(user="Weather?", tool_calls=[CALL])
    replies = RealtimeReply("Rain.", audio=speech())
    async with bare(gateway, form, asks, After("tool_result"), replies) as call:
        [tool_call] = (await call.reply()).calls
        assert (tool_call.call_id, tool_call.name) == ("c1", "weather")
        assert tool_call.arguments.replace(" ", "") == '{"city":"Oslo"}'
        output = llm.FunctionCallOutput(
            call_id="c1", name="weather", output='"rain"', is_error=False
        )
        for _ in range(2):  # LiveKit hands over all of the context each time
            context = call.session.chat_ctx.copy()
            if context.get_by_id(output.id) is None:
                context.items.append(output)
            await call.session.update_chat_ctx(context)
        heard = await call.reply()
        assert (heard.text, heard.pcm) == ("Rain.", speech())
        connection = await call.connection()
        [result] = connection.received("tool_result")
        assert result.call_id == "c1" and "rain" in result.text
        assert not connection.received("instructions"), "the model replies by itself"


@EACH
async def test_model_is_given_instructions_tools_and_history(
    gateway: LocalGateway, form: str
) -> None:
    context = llm.ChatContext()
    context.add_message(role="user", content="My name is Ada.")
    context.add_message(role="assistant", content="Hello Ada.")
    async with bare(gateway, form, chat_ctx=context) as call:
        await call.connection()
        prompt = call.settings["systemPrompt"]
        assert prompt.startswith(INSTRUCTIONS)
        assert "Caller: My name is Ada.\nYou: Hello Ada." in prompt
        assert [each["name"] for each in call.settings["tools"]] == ["weather"]
        assert [each.id for each in call.session.chat_ctx.items] == [
            each.id for each in context.items
        ]


@pytest.mark.parametrize("form", ["xai", "google"])
async def test_requested_reply_is_one_event_and_keeps_the_sessions_instructions(
    gateway: LocalGateway, form: str
) -> None:
    kind: FrameKind = "instructions" if form == "xai" else "text"
    steps = (After(kind), RealtimeReply("Hello.", audio=speech()))
    async with bare(gateway, form, *steps) as call:
        event = await within(
            call.session.generate_reply(instructions="Greet."), WITHIN_S, "the reply"
        )
        assert event is await call.begun()
        assert event.user_initiated
        assert (await read(event)).text == "Hello."
        connection = await call.connection()
        [request] = connection.received(kind)
        assert request.text.endswith("Greet.")
        if form == "xai":  # whose own would replace them
            assert request.text.startswith(INSTRUCTIONS)
        assert len(call.of("generation_created")) == 1


@EACH
async def test_commit_makes_a_reply_that_was_requested(gateway: LocalGateway, form: str) -> None:
    reply = RealtimeReply("Noon.", audio=speech(), user="Time?")
    async with bare(gateway, form, After("commit"), reply) as call:
        connection = await call.connection()
        _hear(call.session)
        await connection.audio_arrived(1)
        call.session.commit_audio()
        event = await within(call.session.generate_reply(), WITHIN_S, "the reply")
        assert event.user_initiated
        assert (await read(event)).text == "Noon."
        assert not connection.received("instructions")
        lines = call.of("input_audio_transcription_completed")
        assert [each.transcript for each in lines if each.is_final] == ["Time?"]


@EACH
async def test_close_ends_every_stream_and_future(gateway: LocalGateway, form: str) -> None:
    steps = (speech(0.2), RealtimeTranscript("assistant", "Once"))
    async with bare(gateway, form, *steps) as call:
        event = await call.begun()
        reading = asyncio.create_task(read(event))
        await call.session.aclose()
        assert (await within(reading, WITHIN_S, "the reply's end")).pcm == speech(0.2)
        events = len(call.events)
        with pytest.raises(llm.RealtimeError):
            await call.session.generate_reply()
        await gateway.idle(connections=1)
        assert len(call.events) == events
        assert (await call.connection()).close_code == 1000
