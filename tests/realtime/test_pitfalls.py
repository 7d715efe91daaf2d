"""Complaints about other realtime models that no other test here is about."""

from __future__ import annotations

import asyncio
import logging

import pytest
from livekit.agents import Agent, llm

from livekit_plugins_speko import Speko
from tests.helpers.realtime_calls import (
    INTERRUPTION,
    RATE,
    USAGE,
    RealtimeCall,
    agent,
    calling,
    clock,
    google_audio,
    google_words,
    speech,
    tool_call,
    user,
    xai_audio,
)
from tests.helpers.support import frame

XAI_DONE = {"type": "response.done", "response": {}}


async def test_requested_reply_is_one_speech_and_is_heard_once() -> None:
    async with calling(form="xai") as call:
        speeches: list[object] = []
        call.session.on("speech_created", speeches.append)
        handle = call.session.generate_reply(instructions="Greet.")
        await call.line.until_message("response.create")
        await call.line.say(xai_audio(speech()), XAI_DONE)
        await handle
        assert len(speeches) == 1
        assert call.speaker.played == speech()


async def test_lost_connection_fails_the_request_at_once() -> None:
    async with calling(form="xai") as call:
        future = call.realtime.generate_reply(instructions="Greet.")
        await call.line.until_message("response.create")
        call.line.drop()
        with pytest.raises(llm.RealtimeError) as raised:
            await future
        assert raised.value.code == "connection_lost"
        await call.line.connected(2)
        assert not call.line.messages, "the request is not repeated"


@pytest.mark.parametrize("again", ["drop", "renewal"])
async def test_caller_is_heard_on_the_next_connection(again: str) -> None:
    async with calling() as call:
        call.microphone.push(speech(0.1))
        await call.until(lambda: len(call.line.audio) > 0)
        if again == "drop":
            call.line.drop()
        else:
            call.realtime._upstream._link.renew()  # type: ignore[attr-defined]
        await call.line.connected(2)
        call.microphone.push(speech(0.2))
        await call.until(lambda: len(call.line.audio) >= 16_000 * 2 * 0.1)


async def test_models_history_is_livekits_and_is_not_sent_again() -> None:
    async with calling(agent=clock()) as call:
        await call.line.say(user("Time?"), tool_call())
        await call.line.until_message("tool_result")
        await call.reply("It is noon.")
        kinds = {"message", "function_call", "function_call_output"}
        mirror = [item.id for item in call.realtime.chat_ctx.items if item.type in kinds]
        assert mirror == [item.id for item in call.session.history.items if item.type in kinds]
        messages = len(call.line.messages)
        await call.session.current_agent.update_chat_ctx(call.session.history)
        await call.reply("One.", question="And in Rome?")
        assert len(call.line.messages) == messages
        assert len(call.server.requests) == 1


async def test_closing_a_model_leaves_a_client_that_was_given_to_it() -> None:
    async with calling() as call:
        client = call.model._client.speko
        assert isinstance(client, Speko)
        await call.session.aclose()
        await call.model.aclose()
        async with await client.realtime.connect() as connection:
            assert connection.session_id


async def test_choice_of_tools_is_ignored_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with calling() as call:
        for _ in range(2):
            call.realtime.update_options(tool_choice="none")
        assert len([each for each in caplog.messages if "tool_choice" in each]) == 1
        await call.reply("Hello.", question="Hi.")


async def test_request_right_after_an_interruption_has_its_reply() -> None:
    async with calling(form="google") as call:
        await call.line.say(google_audio(speech(2.0)), google_words("Once"))
        await call.until_state("speaking")
        await call.line.say({"serverContent": {"interrupted": True, "turnComplete": True}})
        await call.until_state("listening")
        handle = call.session.generate_reply(instructions="Apologise.")
        await call.line.until(lambda: "clientContent" in str(call.line.messages))
        await call.line.say(google_audio(speech(0.1, 300)), google_words("Sorry."))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await handle
        assert call.history[-1] == ("assistant", "Sorry.")
        assert call.speaker.played.endswith(speech(0.1, 300))


async def test_request_while_a_tool_runs_has_its_reply_and_the_call_its_answer() -> None:
    may_end = asyncio.Event()

    async def slow() -> str:
        await may_end.wait()
        return "noon"

    async with calling(form="google", agent=clock(slow)) as call:
        named = {"id": "c1", "name": "get_time", "args": {}}
        await call.line.say({"toolCall": {"functionCalls": [named]}})
        await call.until_state("thinking")
        handle = call.session.generate_reply(instructions="Say that it takes a moment.")
        await call.line.until(lambda: "clientContent" in str(call.line.messages))
        await call.line.say(google_audio(speech()), {"serverContent": {"turnComplete": True}})
        await handle
        may_end.set()
        await call.line.until(lambda: "toolResponse" in str(call.line.messages))
        await call.line.say(google_audio(speech()), google_words("Noon."))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await call.until(lambda: call.history[-1:] == [("assistant", "Noon.")])
        assert call.speaker.played == speech() * 2


async def test_result_requests_the_reply_once_where_the_wire_wants_a_request() -> None:
    async with calling(form="xai", agent=clock()) as call:
        named = {"call_id": "c1", "name": "get_time", "arguments": "{}"}
        await call.line.say({"type": "response.function_call_arguments.done", **named}, XAI_DONE)
        await call.line.until_message("response.create")
        await call.line.say(xai_audio(speech()), XAI_DONE)
        await call.until(lambda: call.speaker.played == speech())
        await call.until_state("listening")
        assert [each["type"] for each in call.line.messages] == [
            *("conversation.item.create", "response.create"),
        ]


async def test_pause_in_the_delivery_does_not_end_a_reply() -> None:
    async with calling() as call:
        await call.line.say(user("Count."), speech(0.1), agent("One", False))
        await call.until_state("speaking")
        await asyncio.sleep(1.2)
        await call.line.say(speech(0.1, 300), agent("One, two."), USAGE)
        await call.until(lambda: call.history[-1:] == [("assistant", "One, two.")])
        assert len(call.history) == 2
        assert call.speaker.played == speech(0.1) + speech(0.1, 300)


async def test_agent_that_takes_over_has_a_session_of_its_own_with_the_history() -> None:
    async with calling(agent=clock()) as call:
        await call.reply("It is noon.", question="Time?")
        history = call.session.current_agent.chat_ctx
        call.session.update_agent(Agent(instructions="You sell tickets.", chat_ctx=history))
        await call.line.connected(2)
        assert call.prompt.startswith("You sell tickets.")
        assert call.prompt.count("You: It is noon.") == 1
        assert "tools" not in call.server.requests[-1][0]["s2s"]
        await call.line.peers[0].gone.wait()
        assert call.line.peers[0].close_code == 1000
        await call.reply("Two left.", question="Tickets?")
        assert [text for _, text in call.history] == [
            *("Time?", "It is noon.", "Tickets?", "Two left."),
        ]


async def test_reply_that_was_cut_before_its_first_sound_is_not_in_the_history() -> None:
    async with calling(synchronized=True) as call:
        await call.line.say(user("Tell me."), agent("Once", False))
        await call.until(lambda: bool(call.finals))
        await call.line.say(INTERRUPTION, user("Stop."))
        await call.reply("Fine.")
        assert call.history == [("user", "Tell me."), ("user", "Stop."), ("assistant", "Fine.")]


def _frames(call: RealtimeCall, count: int) -> None:
    for _ in range(count):
        call.realtime.push_audio(frame(speech(0.05), rate=RATE))


async def test_frames_that_are_pushed_make_no_tasks() -> None:
    async with calling() as call:
        tasks = len(asyncio.all_tasks())
        _frames(call, 200)
        assert len(asyncio.all_tasks()) <= tasks
        await call.until(lambda: len(call.line.audio) > 0)
