"""`SpekoDataChannel` in running sessions: the effect of each packet, at each moment."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, RunContext, function_tool

from livekit_plugins_speko import Speko, SpekoLLM
from livekit_plugins_speko.data_channel.page_context import MAX_UPDATES
from livekit_plugins_speko.testing import Gate, LocalGateway, Reply, ToolCall
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.data_channel.sessions import INSTRUCTIONS, WITHIN_S, make_channel, page_call, start
from tests.helpers.fake_room import (
    CALLER,
    FakeRoom,
    contextual_update,
    overrides,
    user_message,
)

CONTEXT = contextual_update()["text"]
QUESTION = user_message()["text"]
ANSWER = "Around the clock."
SAID = [("user", QUESTION), ("assistant", ANSWER)]
LOGGER = "livekit.plugins.speko"


class Greeter(Agent):
    """An agent whose model greets; a test says whether the greeting may be interrupted."""

    def __init__(self, *, interruptible: bool = True) -> None:
        super().__init__(instructions=INSTRUCTIONS)
        self._interruptible = interruptible

    async def on_enter(self) -> None:
        self.session.generate_reply(allow_interruptions=self._interruptible)


class Looker(Agent):
    """An agent with a tool that takes as long as a test wants, and one that hands over."""

    def __init__(self, *, greeting: str = "") -> None:
        super().__init__(instructions=INSTRUCTIONS)
        self.looking, self.found = asyncio.Event(), asyncio.Event()
        self._greeting = greeting

    async def on_enter(self) -> None:
        if self._greeting:
            self.session.say(self._greeting)

    @function_tool
    async def look(self) -> str:
        """Look something up."""
        self.looking.set()
        await self.found.wait()
        return "Room 12 is free."

    @function_tool
    async def hand_over(self, context: RunContext[None]) -> Agent:
        """Hand over to a colleague."""
        self.looking.set()
        await self.found.wait()
        return Agent(instructions="You are the colleague.")


def contents(gateway: LocalGateway, number: int = -1) -> list[str]:
    """The texts of the messages of a request to the model."""
    messages = gateway.requests_to("complete")[number].json["messages"]
    return [message["content"] for message in messages]


def tells(gateway: LocalGateway, text: str = CONTEXT, number: int = -1) -> int:
    return sum(text in content for content in contents(gateway, number))


async def test_user_message_is_answered_and_echoed_once(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply(ANSWER))
    async with page_call(speko) as call:
        call.room.send(user_message(), topic="speko.control")
        await call.until(2)
        await call.published(1)
    assert call.history == SAID
    # On the topic that the page listens to, and to the caller alone.
    echo = {"type": "user_message_echo", "text": QUESTION}
    assert call.room.published == [(echo, [CALLER], "speko.control")]


async def test_contextual_update_joins_the_next_reply_and_starts_none(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply(ANSWER))
    async with page_call(speko) as call:
        call.room.send(contextual_update())
        call.room.send(user_message())
        await call.until(2)
    (request,) = gateway.requests_to("complete")
    (context,) = [each for each in request.json["messages"] if CONTEXT in each["content"]]
    # A page must not write instructions, which a system message is.
    assert context["role"] == "user"
    assert call.history == SAID


async def test_update_before_the_session_is_used_and_a_message_is_not_answered(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply(ANSWER))
    room = FakeRoom()
    channel = make_channel(room)
    room.send(contextual_update())
    room.send(user_message("No session runs yet."))
    async with page_call(speko, room=room, channel=channel) as call:
        room.send(user_message())
        await call.until(2)
    assert call.history == SAID
    assert tells(gateway) == 1


async def test_oldest_updates_leave_the_context(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.script(Reply(ANSWER))
    async with page_call(speko) as call:
        context, session = call.channel._context, call.session
        for number in range(MAX_UPDATES + 2):
            await context.add(f"update-{number}.", session)
        call.room.send(user_message())
        await call.until(2)
    kept = [f"update-{number}." for number in range(2, MAX_UPDATES + 2)]
    told = [content.rpartition(" ")[2] for content in contents(gateway) if "update-" in content]
    assert told == kept


async def test_message_in_a_greeting_interrupts_it(gateway: LocalGateway, speko: Speko) -> None:
    greeting = Gate()
    gateway.complete.script(Reply(["Good ", greeting, "morning."]), Reply(ANSWER))
    async with page_call(speko, agent=Greeter()) as call:
        await gateway.arrived("complete")
        call.room.send(user_message())
        await call.until(2)
        greeting.open()
    assert call.history[-2:] == SAID
    assert "Good morning." not in dict(call.history).values()


async def test_message_in_a_greeting_that_may_not_be_interrupted_is_answered_after_it(
    gateway: LocalGateway, speko: Speko
) -> None:
    greeting = Gate()
    gateway.complete.script(Reply(["Good ", greeting, "morning."]), Reply(ANSWER))
    async with page_call(speko, agent=Greeter(interruptible=False)) as call:
        await gateway.arrived("complete")
        call.room.send(user_message())
        await call.published(1)
        greeting.open()
        await call.until(3)
    # LiveKit notes the message as it comes, and answers it after the greeting.
    assert call.history == [SAID[0], ("assistant", "Good morning."), SAID[1]]


async def test_update_in_a_tool_call_is_used_in_the_reply_after_it(
    gateway: LocalGateway, speko: Speko
) -> None:
    agent = Looker()
    gateway.complete.script(Reply(tool_calls=[ToolCall("look")]), Reply(ANSWER))
    async with page_call(speko, agent=agent) as call:
        call.room.send(user_message())
        await within(agent.looking.wait(), WITHIN_S, "the tool")
        call.room.send(contextual_update())
        agent.found.set()
        await call.until(2)
    assert call.history == SAID
    assert tells(gateway) == 1


async def test_message_in_a_tool_call_is_answered(gateway: LocalGateway, speko: Speko) -> None:
    agent = Looker()
    gateway.complete.script(Reply(tool_calls=[ToolCall("look")]), Reply(ANSWER))
    async with page_call(speko, agent=agent) as call:
        call.room.send(user_message("Is a room free?"))
        await within(agent.looking.wait(), WITHIN_S, "the tool")
        call.room.send(user_message())
        await call.published(1)
        agent.found.set()
        await call.until(3)
    assert call.history == [("user", "Is a room free?"), *SAID]


async def test_update_in_a_handoff_reaches_the_agent_that_takes_over(
    gateway: LocalGateway, speko: Speko
) -> None:
    agent = Looker()
    gateway.complete.script(Reply(tool_calls=[ToolCall("hand_over")]), Reply(ANSWER))
    async with page_call(speko, agent=agent) as call:
        call.room.send(user_message("A colleague, please."))
        await within(agent.looking.wait(), WITHIN_S, "the tool")
        call.room.send(contextual_update())
        agent.found.set()
        await call.handed_over(times=2)
        call.room.send(user_message())
        await call.until(3)
    assert "You are the colleague." in contents(gateway)[0]
    assert tells(gateway) == 1


async def test_greeting_that_is_only_said_uses_no_update_up(
    gateway: LocalGateway, speko: Speko
) -> None:
    agent = Looker(greeting="Good morning.")
    gateway.complete.script(Reply(tool_calls=[ToolCall("hand_over")]), Reply(ANSWER))
    room = FakeRoom()
    channel = make_channel(room)
    room.send(contextual_update())
    async with page_call(speko, room=room, channel=channel, agent=agent) as call:
        await call.until(1)
        call.room.send(user_message("A colleague, please."))
        agent.found.set()
        await call.handed_over(times=2)
        call.room.send(user_message())
        await call.until(4)
    assert call.history[0] == ("assistant", "Good morning.")
    assert "You are the colleague." in contents(gateway)[0]
    assert tells(gateway) == 1


async def test_caller_who_types_is_not_away(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.script(Reply(ANSWER))
    async with page_call(speko) as call:
        call.session._update_user_state("away")
        states: list[str] = []
        call.session.on("user_state_changed", lambda event: states.append(event.new_state))
        call.room.send(user_message())
        await call.until(2)
        assert states == ["listening"]


async def test_packets_while_closing_have_no_effect(gateway: LocalGateway, speko: Speko) -> None:
    async with page_call(speko) as call:
        closing = asyncio.create_task(call.session.aclose())
        await asyncio.sleep(0)
        for packet in (user_message(), contextual_update(), overrides(prompt="x")):
            call.room.send(packet)
        await closing
        call.room.send(user_message())
        await call.channel.aclose()
        call.room.send(user_message())
    assert call.history == [] and call.room.published == []


async def test_session_that_starts_later_takes_what_came_meanwhile(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply(ANSWER))
    room = FakeRoom()
    model = SpekoLLM(speko=speko, intent={"language": "en"})
    session, channel = AgentSession[None](llm=model), make_channel(room)
    channel.start(session)
    room.send(user_message())
    await start(session, room, Agent(instructions=INSTRUCTIONS))
    await gateway.arrived("complete")
    await within(room.local_participant.came.wait(), WITHIN_S, "the echo")
    await session.aclose()
    await channel.aclose()
    await model.aclose()
    assert tells(gateway, QUESTION) == 1


async def test_prompt_that_comes_late_changes_the_next_reply(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply(ANSWER))
    async with page_call(speko, allow_overrides=["prompt", "language", "first_message"]) as call:
        call.room.send(overrides(prompt="Be brief.", language="es", firstMessage="Too late."))
        call.room.send(user_message())
        await call.until(2)
    (request,) = gateway.requests_to("complete")
    assert request.json["messages"][0] == {"role": "system", "content": "Be brief."}
    assert request.json["intent"] == {"language": "es"}
    assert call.history == SAID


async def test_overrides_that_are_not_allowed_change_nothing(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.complete.script(Reply(ANSWER))
    with caplog.at_level(logging.WARNING, LOGGER):
        async with page_call(speko, allow_overrides=["voice"]) as call:
            for _ in range(3):
                call.room.send(overrides(prompt="Obey.", language="es"))
            call.room.send(user_message())
            await call.until(2)
    (request,) = gateway.requests_to("complete")
    assert request.json["messages"][0]["content"] == INSTRUCTIONS
    assert request.json["intent"] == {"language": "en"}
    (record,) = caplog.records
    assert record.__dict__["overrides"] == ["language", "prompt"]
    assert "Obey." not in caplog.text


async def test_older_client_gets_each_reply_once_as_it_was_said(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply(ANSWER))
    async with page_call(speko, transcripts=True) as call:
        call.room.send(user_message())
        await call.until(2)
        await call.published(2)
    assert [packet for packet, _, _ in call.room.published] == [
        {"type": "user_message_echo", "text": QUESTION},
        {"type": "agent_message", "text": ANSWER, "isFinal": True},
    ]


async def test_started_twice_is_refused(speko: Speko) -> None:
    async with page_call(speko) as call:
        with pytest.raises(RuntimeError, match="started or closed already"):
            call.channel.start(call.session)


@pytest.mark.parametrize(
    ("allowed", "says"),
    [(["prompt", "model"], "'model' in allow_overrides"), ("prompt", "got the string 'prompt'")],
)
async def test_unknown_overrides_are_refused(allowed: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_channel(FakeRoom(), allow_overrides=allowed)
