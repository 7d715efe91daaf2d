"""Tools: each call is answered exactly once, and a loop of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import Agent, RunContext, StopResponse, ToolError, function_tool

from livekit_plugins_speko.realtime.session import SpekoRealtimeSession
from livekit_plugins_speko.realtime.tool_calls import (
    MOST_IN_A_ROW,
    STILL_RUNNING,
    TOO_MANY,
)
from tests.helpers.realtime_calls import (
    ENDS_WITHIN_S,
    INSTRUCTIONS,
    INTERRUPTION,
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

XAI_CALL = {
    "type": "response.function_call_arguments.done",
    "call_id": "c1",
    "name": "get_time",
    "arguments": "{}",
}
XAI_DONE = {"type": "response.done", "response": {}}


def _results(call: RealtimeCall) -> list[tuple[str, str]]:
    return [(each["callId"], each["output"]) for each in call.line.messages]


async def test_tool_is_run_and_its_result_sent() -> None:
    async with calling(agent=clock()) as call:
        tools = call.server.requests[0][0]["s2s"]["tools"]
        assert [each["name"] for each in tools] == ["get_time"]
        await call.line.say(user("Time?"), tool_call())
        await call.line.until_message("tool_result")
        await call.reply("It is noon.")
        assert _results(call) == [("c1", "noon")]
        assert len(call.tools_run) == 1


async def test_words_before_a_tool_call_come_once_where_they_have_no_final() -> None:
    async with calling(agent=clock(), form="google") as call:
        call_it = {"toolCall": {"functionCalls": [{"id": "c1", "name": "get_time", "args": {}}]}}
        await call.line.say(google_audio(speech(0.2)), google_words("One moment."), call_it)
        await call.until(lambda: len(call.line.messages) == 1)
        await call.line.say(call_it)
        await call.until(lambda: len(call.line.messages) == 2)
        await call.line.say(google_audio(speech(0.2)), google_words("It is noon."))
        await call.line.say({"serverContent": {"turnComplete": True}})
        await call.until(lambda: len(call.history) == 2)
        assert call.history == [("assistant", "One moment."), ("assistant", "It is noon.")]


async def test_words_around_a_tool_call_are_all_heard() -> None:
    async with calling(agent=clock()) as call:
        await call.line.say(user("Time?"), speech(0.2), agent("Let me see."), tool_call())
        await call.line.say(speech(0.1, 300))
        await call.line.until_message("tool_result")
        await call.line.say(speech(0.2), agent("It is noon."), USAGE)
        await call.until(lambda: call.history[-1] == ("assistant", "It is noon."))
        await call.until_state("listening")
        assert call.speaker.played == speech(0.2) + speech(0.1, 300) + speech(0.2)


async def test_two_calls_of_a_reply_are_each_answered_once() -> None:
    async with calling(agent=clock()) as call:
        await call.line.say(user("Time?"), tool_call("a"), tool_call("b"), tool_call("a"))
        await call.line.until_message("tool_result", 2)
        await call.reply("It is noon.")
        assert sorted(_results(call)) == [("a", "noon"), ("b", "noon")]


def _raise(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    ("error", "output"),
    [(ToolError("closed"), "closed"), (RuntimeError("bug"), "error"), (StopResponse(), "")],
)
async def test_tool_that_fails_is_answered(error: Exception, output: str) -> None:
    async with calling(agent=clock(lambda: _raise(error))) as call:
        await call.line.say(user("Time?"), tool_call())
        result = await call.line.until_message("tool_result")
        assert output in result["output"]
        await call.reply("Sorry.")


@pytest.mark.parametrize("changes", [{"name": "unknown"}, {"arguments": "{broken"}])
async def test_call_that_cannot_be_run_is_answered(changes: dict[str, str]) -> None:
    async with calling(agent=clock()) as call:
        await call.line.say(user("Time?"), tool_call(**changes))
        await call.line.until_message("tool_result")
        await call.reply("Sorry.")
        assert len(_results(call)) == 1


async def test_eleventh_call_in_a_row_is_refused() -> None:
    async with calling(agent=clock()) as call:
        await call.line.say(user("Time?"))
        for at in range(MOST_IN_A_ROW + 2):
            await call.line.say(tool_call(f"c{at}"))
            await call.line.until_message("tool_result", at + 1)
        outputs = [output for _, output in _results(call)]
        assert outputs == ["noon"] * MOST_IN_A_ROW + [TOO_MANY] * 2
        await call.line.say(user("Again?"), tool_call("next"))
        await call.line.until_message("tool_result", MOST_IN_A_ROW + 3)
        assert _results(call)[-1] == ("next", "noon")
        await call.reply("Noon.")


async def test_agent_listens_again_when_no_reply_follows_a_result() -> None:
    async with calling(agent=clock()) as call:
        await call.line.say(user("Time?"), tool_call())
        await call.line.until_message("tool_result")
        await call.until_state("thinking")
        await call.ends()
        await call.reply("It is noon.")


async def test_tool_in_the_background_is_answered_with_its_final_result() -> None:
    found = asyncio.Event()

    @function_tool
    async def get_time(context: RunContext[None]) -> str:
        """Say the time."""
        await context.update("looking")
        await context.update("still looking")
        await found.wait()
        return "noon"

    async with calling(agent=Agent(instructions=INSTRUCTIONS, tools=[get_time])) as call:
        await call.line.say(user("Time?"), tool_call())
        await call.until(lambda: bool(call.tools_run))
        found.set()
        await call.line.until_message("tool_result")
        await call.reply("It is noon.")
        [(call_id, output)] = _results(call)
        assert call_id == "c1"
        assert "noon" in output


def _be_impatient(call: RealtimeCall) -> None:
    realtime = call.realtime
    assert isinstance(realtime, SpekoRealtimeSession)
    assert realtime.tool_flow.patience_s < ENDS_WITHIN_S
    realtime.tool_flow.patience_s = 0.2


@asynccontextmanager
async def _hanging() -> AsyncIterator[tuple[RealtimeCall, asyncio.Event]]:
    """A call with a tool that hangs until an event is set, and a model that waits for 0.2 s."""
    may_end = asyncio.Event()

    async def hang() -> str:
        await may_end.wait()
        return "noon"

    async with calling(agent=clock(hang)) as call:
        _be_impatient(call)
        try:
            yield call, may_end
        finally:
            may_end.set()  # LiveKit closes no session whose tool runs


async def test_model_talks_on_while_a_tool_hangs_and_is_told_its_result_later() -> None:
    async with _hanging() as (call, may_end):
        await call.line.say(user("Time?"), tool_call())
        await call.line.until_message("tool_result")
        await call.line.say(speech(), agent("One moment."), USAGE)
        await call.until(lambda: call.history[-1] == ("assistant", "One moment."))
        await call.line.say(user("Hello?"), speech(2.0, 300), agent("I am", False))
        await call.until_state("speaking")
        await call.line.say(INTERRUPTION, user("Never mind."), speech(0.1), agent("Fine."), USAGE)
        await call.until(lambda: call.history[-1] == ("assistant", "Fine."))
        may_end.set()
        await call.line.until_message("tool_result")
        assert _results(call) == [("c1", STILL_RUNNING)]
        await call.line.connected(2)
        assert "noon" in call.prompt
        await call.line.until_message("control")
        await call.reply("It is noon.")
        assert [each["t"] for each in call.line.messages] == ["control"]


async def test_call_is_given_up_only_once_the_model_is_silent() -> None:
    async with _hanging() as (call, _):
        await call.line.say(user("Time?"), tool_call())
        await call.until_state("thinking")
        await call.line.say(speech(1.0), agent("Let me see", False))
        await call.until_state("speaking")
        await asyncio.sleep(0.5)
        assert not call.line.messages
        await call.line.say(agent("Let me see."), USAGE)
        await call.line.until_message("tool_result")


async def test_tool_in_the_background_tells_the_model_how_far_it_is() -> None:
    steps = [asyncio.Event() for _ in range(2)]

    @function_tool
    async def get_time(context: RunContext[None]) -> str:
        """Say the time."""
        await context.update("looking")
        await steps[0].wait()
        await context.update("still looking")
        await steps[1].wait()
        return "noon"

    background = Agent(instructions=INSTRUCTIONS, tools=[get_time])
    async with calling(form="xai", agent=background) as call:
        _be_impatient(call)
        await call.line.say(XAI_CALL)
        await call.line.until_message("conversation.item.create")
        [output] = [each["item"]["output"] for each in call.line.messages if "item" in each]
        assert "looking" in output
        for number, (step, news) in enumerate(zip(steps, ("still looking", "noon"), strict=True)):
            await call.line.say(xai_audio(speech(0.1), f"r{number}"), XAI_DONE)
            await call.until_state("listening")
            step.set()
            request = await call.line.until_message("response.create", number + 2)
            assert news in request["response"]["instructions"]
        await call.line.say(xai_audio(speech(0.1), "last"), XAI_DONE)
        await call.until(lambda: call.speaker.played == speech(0.1) * 3)
        assert len(call.line.peers) == 1


async def test_tool_in_the_background_without_a_result_takes_no_new_session() -> None:
    may_end = asyncio.Event()

    @function_tool
    async def get_time(context: RunContext[None]) -> None:
        """Say the time."""
        await context.update("looking")
        await may_end.wait()

    async with calling(agent=Agent(instructions=INSTRUCTIONS, tools=[get_time])) as call:
        _be_impatient(call)
        await call.line.say(user("Time?"), tool_call())
        await call.line.until_message("tool_result")
        await call.reply("One moment.")
        may_end.set()
        await call.until(lambda: "c1_final" in str(call.realtime.chat_ctx.items))
        await asyncio.sleep(0.4)  # a quiet moment, in which a new session would begin
        await call.reply("Anything else?", question="Thanks.")
        assert len(call.server.requests) == 1


async def test_late_result_of_a_tool_in_the_background_is_told_by_a_new_session() -> None:
    may_end = asyncio.Event()

    @function_tool
    async def get_time(context: RunContext[None]) -> str:
        """Say the time."""
        await context.update("looking")
        await may_end.wait()
        return "noon"

    async with calling(agent=Agent(instructions=INSTRUCTIONS, tools=[get_time])) as call:
        _be_impatient(call)
        await call.line.say(user("Time?"), tool_call())
        answer = await call.line.until_message("tool_result")
        assert "looking" in answer["output"]
        await call.reply("One moment.")
        may_end.set()
        await call.line.connected(2)
        assert "noon" in call.prompt
        await call.line.until_message("control")
        await call.reply("It is noon.")
        assert len(call.line.messages) == 1
