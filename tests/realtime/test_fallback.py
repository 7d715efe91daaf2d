"""LiveKit's own fallback adapter over two models: what a swap keeps, and what is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import Agent
from livekit.agents.llm import RealtimeModelFallbackAdapter

from livekit_plugins_speko import SpekoRealtimeModel
from tests.helpers.realtime_calls import (
    INSTRUCTIONS,
    QUICK,
    USAGE,
    Line,
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
from tests.helpers.realtime_server import RealtimeServer

REFUSED = (401, {"error": "no", "code": "AUTH_ERROR"})
DOWN = (503, {"error": "no", "code": "UNAVAILABLE"})


class _Spare:
    """The service of the second model."""

    def __init__(self, server: RealtimeServer, line: Line) -> None:
        self.server, self.line = server, line

    @property
    def settings(self) -> dict[str, Any]:
        body, _ = self.server.requests[-1]
        settings: dict[str, Any] = body["s2s"]
        return settings

    @property
    def prompt(self) -> str:
        prompt: str = self.settings["systemPrompt"]
        return prompt

    async def reply(self, call: RealtimeCall, text: str, pcm: bytes, *, caller: str = "") -> None:
        """Have the model reply, on the wire of its form, and wait until that was heard."""
        if self.server.form == "proxy":
            spoken = [user(caller)] if caller else []
            await self.line.say(*spoken, pcm, agent(text), USAGE)
        elif self.server.form == "xai":
            done = {"type": "response.output_audio_transcript.done", "transcript": text}
            await self.line.say(xai_audio(pcm), done, {"type": "response.done", "response": {}})
        else:
            end = {"serverContent": {"turnComplete": True}}
            await self.line.say(google_audio(pcm), google_words(text), end)
        await call.until(lambda: call.history[-1:] == [("assistant", text)], text)


@asynccontextmanager
async def _call(
    *, form: str = "proxy", tools: Agent | None = None, **options: Any
) -> AsyncIterator[tuple[RealtimeCall, _Spare]]:
    """A call with two models, each with a service of its own; `form` is the second one's."""
    server = RealtimeServer(form)
    async with server, server.client() as speko:
        second = SpekoRealtimeModel(speko=speko, conn_options=QUICK)

        def wrap(model: SpekoRealtimeModel) -> RealtimeModelFallbackAdapter:
            return RealtimeModelFallbackAdapter([model, second])

        async with calling(wrap=wrap, agent=tools or clock(), **options) as call:
            spare = _Spare(server, Line())
            spare.line.changes = call.line.changes
            server.scripts = (spare.line.serve,)
            yield call, spare
        await second.aclose()


async def _fail(call: RealtimeCall, spare: _Spare) -> None:
    """Have the first model's service refuse the call for good, and wait for the swap."""
    await call.line.close(4401, "expired")
    await spare.line.connected()


def _all_recoverable(call: RealtimeCall) -> bool:
    return not call.closed and all(each.error.recoverable for each in call.errors)


@pytest.mark.parametrize("responses", [[REFUSED], [DOWN] * 3])
async def test_second_model_takes_a_call_that_the_first_cannot_begin(responses: list[Any]) -> None:
    async with _call(responses=responses, connected=False) as (call, spare):
        await spare.line.connected()
        assert spare.prompt == INSTRUCTIONS
        assert [each["name"] for each in spare.settings["tools"]] == ["get_time"]
        await spare.reply(call, "Noon.", speech(), caller="Time?")
        assert call.history == [("user", "Time?"), ("assistant", "Noon.")]
        assert call.speaker.played == speech()
        assert _all_recoverable(call)


async def test_second_model_knows_what_was_said_and_no_word_of_it_is_said_again() -> None:
    async with _call() as (call, spare):
        await call.reply("It is noon.", question="What time is it?")
        await _fail(call, spare)
        assert spare.prompt.count("Caller: What time is it?") == 1
        assert spare.prompt.count("You: It is noon.") == 1
        assert not spare.line.messages
        await spare.reply(call, "One.", speech(0.1, 300), caller="And in Rome?")
        assert call.speaker.played == speech() + speech(0.1, 300)
        assert [text for _, text in call.history] == [
            *("What time is it?", "It is noon.", "And in Rome?", "One."),
        ]
        assert _all_recoverable(call)


async def test_interrupted_reply_is_not_continued_where_the_wire_takes_no_request() -> None:
    async with _call(synchronized=True) as (call, spare):
        await _begin_story(call)
        await _fail(call, spare)
        heard = call.speaker.played
        assert "You: Once" in spare.prompt
        assert "sea" not in spare.prompt
        await call.until_state("listening")
        await spare.reply(call, "Fine.", speech(0.1, 300), caller="Never mind.")
        assert call.speaker.played == heard + speech(0.1, 300)
        assert _all_recoverable(call)


async def _begin_story(call: RealtimeCall) -> None:
    await call.line.say(user("Tell me."), speech(3.0))
    await call.line.say(agent("Once upon a time there lived a king in a castle by the sea."))
    await call.until_state("speaking")
    await asyncio.sleep(0.6)


def _is_request(form: str) -> Callable[[dict[str, Any]], bool]:
    if form == "xai":
        return lambda message: message.get("type") == "response.create"
    return lambda message: "clientContent" in message


@pytest.mark.parametrize("form", ["xai", "google"])
async def test_interrupted_reply_is_requested_once_from_the_second_model(form: str) -> None:
    async with _call(form=form, synchronized=True) as (call, spare):
        await _begin_story(call)
        await _fail(call, spare)
        is_request = _is_request(form)
        await call.until(lambda: any(map(is_request, spare.line.messages)), "the request")
        heard = call.speaker.played
        await spare.reply(call, "As I said, a king.", speech(0.1, 300))
        await call.until_state("listening")
        assert call.speaker.played == heard + speech(0.1, 300)
        assert len([each for each in spare.line.messages if is_request(each)]) == 1
        assert _all_recoverable(call)


async def test_result_of_a_tool_that_runs_during_the_swap_reaches_the_second_model() -> None:
    may_end = asyncio.Event()

    async def slow() -> str:
        await may_end.wait()
        return "noon"

    async with _call(tools=clock(slow)) as (call, spare):
        await call.line.say(user("Time?"), tool_call())
        await call.until_state("thinking")
        await call.line.close(4401, "expired")
        may_end.set()
        await call.until(lambda: "noon" in spare.prompt if spare.server.requests else False)
        await spare.line.connected()
        await spare.reply(call, "It is noon.", speech())
        assert call.history == [("user", "Time?"), ("assistant", "It is noon.")]
        assert not [each for each in spare.line.messages if each["t"] == "tool_result"]


async def test_tool_that_outlasts_the_swap_is_told_to_the_second_model() -> None:
    may_end = asyncio.Event()

    async def slow() -> str:
        await may_end.wait()
        return "noon"

    async with _call(form="xai", tools=clock(slow)) as (call, spare):
        try:
            await call.line.say(user("Time?"), tool_call())
            await call.until_state("thinking")
            await _fail(call, spare)  # LiveKit waits for the tool, 5 s
        finally:
            may_end.set()
        await spare.line.until_message("response.create")
        await spare.reply(call, "One moment.", speech(0.1, 300))
        await spare.line.connected(2)
        assert "noon" in spare.prompt
        request = await spare.line.until_message("response.create")
        assert "result of the tool" in request["response"]["instructions"]
        await spare.reply(call, "It is noon.", speech())
        assert call.history == [
            *(("user", "Time?"), ("assistant", "One moment."), ("assistant", "It is noon.")),
        ]
        assert "function_call_output" not in str(spare.line.messages)


async def test_author_restarts_the_session_and_the_history_stays() -> None:
    async with _call() as (call, spare):
        await call.reply("It is noon.", question="What time is it?")
        adapter = call.session.llm
        assert isinstance(adapter, RealtimeModelFallbackAdapter)
        await adapter.restart_session()
        await call.line.connected(2)
        assert "You: It is noon." in call.prompt
        await call.reply("One.", question="And in Rome?")
        assert not spare.server.requests
