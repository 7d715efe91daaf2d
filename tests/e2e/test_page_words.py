"""What is typed at the page, how loud it plays, and how a call's end is told."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import expect

from examples.browser.rooms import AGENT_LOST
from tests.e2e.page_caller import ROOM, Caller

# One browser serves all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = "Hello <b>there</b>"


def echo(text: str) -> str:
    """The agent's answer to what was typed."""
    return json.dumps({"type": "user_message_echo", "text": text})


async def types(caller: Caller, text: str, button: str) -> None:
    """Type something, and press a button."""
    await caller.page.get_by_label("What to type to the agent").fill(text)
    await caller.page.get_by_role("button", name=button).click()
    await caller.settles()


async def test_typed_words_are_sent_and_shown_once(caller: Caller) -> None:
    """They are uncertain until the agent has echoed them."""
    await caller.call()
    await types(caller, f"  {HELLO} ", "Send")
    sent = {"type": "user_message", "text": HELLO, "reliable": True, "topic": None}
    assert await caller.sent() == [sent]
    assert await caller.lines() == [("interim", HELLO)]
    await expect(caller.page.get_by_label("What to type to the agent")).to_have_value("")
    await caller.packet("agent", echo(HELLO))
    assert await caller.lines() == [("", HELLO)]


async def test_same_words_twice_are_two_lines(caller: Caller) -> None:
    await caller.call()
    for _ in range(2):
        await types(caller, HELLO, "Send")
    await caller.packet("agent", echo(HELLO), "speko.control")
    assert await caller.lines() == [("", HELLO), ("interim", HELLO)]
    await caller.packet("agent", echo(HELLO))
    assert await caller.lines() == [("", HELLO), ("", HELLO)]


async def test_echo_of_words_that_were_not_typed_here_is_shown(caller: Caller) -> None:
    await caller.call()
    await caller.packet("agent", echo(HELLO))
    assert await caller.lines() == [(None, HELLO)]


@pytest.mark.parametrize(
    ("who", "text", "topic"),
    [
        ("stranger", echo(HELLO), ""),
        ("server", echo(HELLO), ""),
        ("agent", echo(HELLO), "chat"),
        ("agent", '{"type": "user_message_echo", "text": 7}', ""),
        ("agent", '{"type": "agent_message", "text": "a line of the transcript"}', ""),
        ("agent", "null", ""),
        ("agent", "no JSON", ""),
    ],
    ids=["stranger", "server", "topic", "number", "older", "null", "text"],
)
async def test_other_packets_show_nothing(caller: Caller, who: str, text: str, topic: str) -> None:
    await caller.call()
    await types(caller, HELLO, "Send")
    await caller.packet(who, text, topic)
    assert await caller.lines() == [("interim", HELLO)]


async def test_context_is_sent_and_shown_as_a_note(caller: Caller) -> None:
    """It is nobody's line, since nothing was said."""
    await caller.call()
    await types(caller, "Room 12 is in the basket.", "Add context")
    (sent,) = await caller.sent()
    assert (sent["type"], sent["text"]) == ("contextual_update", "Room 12 is in the basket.")
    assert await caller.lines() == []
    note = caller.page.locator("#transcript .note")
    await expect(note).to_have_text("The agent now knows: Room 12 is in the basket.")


async def test_blank_is_not_sent(caller: Caller) -> None:
    await caller.call()
    await types(caller, "   ", "Send")
    await types(caller, "   ", "Add context")
    assert await caller.sent() == []


async def test_typing_waits_for_an_agent_that_listens(caller: Caller) -> None:
    words = caller.page.get_by_label("What to type to the agent")
    await expect(words).to_be_hidden()
    await caller.page.get_by_role("button", name="Call").click()
    await expect(caller.status).to_have_text("Waiting for the agent")
    await expect(words).to_be_disabled()
    await caller.room("agentComes('initializing')")
    await expect(words).to_be_disabled()
    await caller.room("agentComes('listening')")
    await expect(words).to_be_enabled()


async def test_words_that_cannot_be_sent_are_told(caller: Caller) -> None:
    await caller.call()
    await caller.page.evaluate(f"void ({ROOM}.refusesData = true)")
    await types(caller, "Room 12", "Add context")
    await expect(caller.problem).to_contain_text("no data channel")
    await expect(caller.page.locator("#transcript .note")).to_have_count(0)


async def test_volume_is_that_of_the_agent_s_voice(caller: Caller) -> None:
    """Also of a voice that begins after it was set."""
    await caller.call()
    slider = caller.page.get_by_label("Volume")
    await slider.fill("0.25")
    await caller.page.evaluate(f"void (window.sound = {ROOM}.agentSpeaks())")
    assert await caller.page.evaluate("sound.volume") == 0.25
    await slider.fill("0.75")
    assert await caller.page.evaluate("sound.volume") == 0.75


async def test_agent_that_hangs_up_is_told_from_one_that_is_lost(caller: Caller) -> None:
    await caller.call()
    await caller.room("close()")
    await expect(caller.status).to_have_text("Call ended · The agent hung up")
    await expect(caller.problem).to_be_hidden()
    await caller.call()
    await caller.room("close('a note of another app')")
    await expect(caller.status).to_have_text("Call ended · The agent hung up")
    await caller.call()
    await caller.room(f"close({AGENT_LOST!r})")
    await expect(caller.status).to_have_text("The agent is gone")
    await expect(caller.problem).to_contain_text("Call again")


async def test_what_to_do_without_an_agent_depends_on_whose_it_is(caller: Caller) -> None:
    """The worker's command is of no use where the agent is Speko's own."""
    await caller.page.clock.install()
    for name, told in (
        ("'front-desk'", "LIVEKIT_AGENT_NAME=front-desk python examples/agent.py dev"),
        ("undefined", "It is Speko’s own"),
    ):
        await caller.page.evaluate(f"void (fake.answer.agentName = {name})")
        await caller.page.get_by_role("button", name="Call").click()
        await expect(caller.status).to_have_text("Waiting for the agent")
        await caller.page.clock.fast_forward(15_500)
        await expect(caller.problem).to_contain_text("No agent came within 15 seconds.")
        await expect(caller.problem).to_contain_text(told)


async def test_a_room_of_another_kind_is_told_and_not_joined(caller: Caller) -> None:
    await caller.page.evaluate("void (fake.answer.transport = 'daily')")
    await caller.page.get_by_role("button", name="Call").click()
    await expect(caller.problem).to_contain_text("This page can’t join that room.")
    await expect(caller.problem).to_contain_text('the service chose "daily"')
    assert "connect" not in await caller.steps()
