"""`generate_reply`: where a reply can be requested, and what it raises where not."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import llm

from tests.helpers.realtime_calls import (
    USAGE,
    agent,
    calling,
    google_audio,
    google_words,
    speech,
    user,
    xai_audio,
)


async def test_commit_is_sent_behind_the_audio_and_its_reply_is_played() -> None:
    async with calling() as call:
        call.microphone.push(speech(0.1))
        await call.line.until(lambda: len(call.line.audio) > 0)
        call.realtime.commit_audio()
        handle = call.session.generate_reply()
        await call.line.until_message("control")
        await call.line.say(user("Hi."), speech(), agent("Hello."), USAGE)
        await handle
        assert call.history == [("user", "Hi."), ("assistant", "Hello.")]
        sent_s = len(call.line.audio) / 2 / 16_000
        assert sent_s == pytest.approx(0.1, abs=0.01)


async def test_commit_without_audio_is_not_sent() -> None:
    async with calling() as call:
        call.realtime.commit_audio()
        await call.reply("Hello.")
        assert not call.line.messages


@pytest.mark.parametrize("options", [{"instructions": "Greet."}, {"user_input": "Hi."}, {}])
async def test_proxy_takes_no_request_and_says_so_at_once(options: dict[str, str]) -> None:
    async with calling() as call:
        handle = call.session.generate_reply(**options)  # type: ignore[arg-type]
        await asyncio.wait_for(asyncio.shield(handle.wait_for_playout()), 1.0)
        with pytest.raises(llm.RealtimeError) as raised:
            call.realtime.generate_reply(instructions="Greet.").result()
        assert raised.value.code == "not_supported"
        await call.reply("Hello.", question="Hi.")


async def test_instructions_do_not_replace_the_sessions() -> None:
    async with calling(form="xai") as call:
        handle = call.session.generate_reply(instructions="Greet.")
        request = await call.line.until_message("response.create")
        assert request["response"]["instructions"].endswith("Greet.")
        await call.line.say(xai_audio(speech()), {"type": "response.done", "response": {}})
        await handle
        assert call.speaker.played == speech()


async def test_typed_text_is_sent() -> None:
    async with calling(form="google") as call:
        handle = call.session.generate_reply(user_input="What time?")
        await call.until(lambda: bool(call.line.messages))
        [turn] = call.line.messages[-1]["clientContent"]["turns"]
        assert turn["parts"] == [{"text": "What time?"}]
        await call.line.say(google_audio(speech()), google_words("Noon."))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await handle
        assert call.history == [("user", "What time?"), ("assistant", "Noon.")]


async def test_instructions_are_sent_beside_typed_text() -> None:
    async with calling(form="xai") as call:
        call.session.generate_reply(user_input="What time?", instructions="In French.")
        request = await call.line.until_message("response.create")
        assert request["response"]["instructions"].endswith("In French.")
        item = await call.line.until_message("conversation.item.create")
        assert item["item"]["content"][0]["text"] == "What time?"
        assert call.line.messages.index(item) < call.line.messages.index(request)


async def test_request_before_the_connection_waits_for_it() -> None:
    async with calling(form="xai", connected=False) as call:
        handle = call.session.generate_reply(instructions="Greet.")
        await call.line.until_message("response.create")
        await call.line.say(xai_audio(speech()), {"type": "response.done", "response": {}})
        await handle
        assert call.speaker.played == speech()


async def test_error_of_the_service_fails_the_request() -> None:
    async with calling(form="xai") as call:
        future = call.realtime.generate_reply(instructions="Greet.")
        await call.line.until_message("response.create")
        await call.line.say({"type": "error", "error": {"code": "busy", "message": "no"}})
        with pytest.raises(llm.RealtimeError) as raised:
            await future
        assert raised.value.code == "busy"
        assert not call.errors


async def test_second_request_replaces_the_first() -> None:
    async with calling(form="xai") as call:
        first = call.realtime.generate_reply(instructions="One.")
        second = call.realtime.generate_reply(instructions="Two.")
        with pytest.raises(llm.RealtimeError):
            await first
        second.cancel()
        await call.line.until_message("response.cancel")


async def test_late_reply_of_a_cancelled_request_is_not_heard() -> None:
    async with calling(form="xai") as call:
        handle = call.session.generate_reply(instructions="Greet.")
        await call.line.until_message("response.create")
        handle.interrupt()
        await call.line.until_message("response.cancel")
        await call.line.say(xai_audio(speech()), {"type": "response.done", "response": {}})
        await call.line.say(xai_audio(speech(0.1, 300), "r2"))
        await call.until(lambda: call.speaker.played == speech(0.1, 300))


async def test_request_during_a_reply_fails_at_once() -> None:
    async with calling(form="xai") as call:
        await call.line.say(xai_audio(speech(1.0)))
        await call.until_state("speaking")
        with pytest.raises(llm.RealtimeError) as raised:
            await call.realtime.generate_reply(instructions="Greet.")
        assert raised.value.code == "active_response"


async def test_request_without_a_reply_ends() -> None:
    async with calling(form="xai") as call:
        with pytest.raises(llm.RealtimeError) as raised:
            await call.realtime.generate_reply(instructions="Greet.")
        assert raised.value.code == "reply_timeout"
        await call.line.until_message("response.cancel")
        assert not call.closed


async def test_say_without_a_tts_is_livekits_error() -> None:
    async with calling() as call:
        with pytest.raises(RuntimeError, match="TTS"):
            call.session.say("Hello.")


async def test_closed_session_refuses_requests() -> None:
    async with calling() as call:
        realtime = call.realtime
        await call.session.aclose()
        with pytest.raises(llm.RealtimeError):
            await realtime.generate_reply()
