"""The page's own doings, in a real browser, with a stand-in for LiveKit's client."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from tests.e2e.page_caller import MICROPHONE, ROOM, Caller

# One browser serves all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")

# How far the newest line's end may be from the end of what is seen, in pixels.
AT_END = 1.5


# --- what is pressed -----------------------------------------------------------------------


async def test_a_double_click_calls_once(caller: Caller) -> None:
    # Hang up takes the place of that half of Call.
    await caller.page.get_by_role("button", name="Call").dblclick(position={"x": 300, "y": 20})
    await expect(caller.status).to_have_text("Waiting for the agent")
    await expect(caller.hang_up).to_be_visible()


async def test_a_double_click_on_hang_up_does_not_call_again(caller: Caller) -> None:
    await caller.call()
    before = await caller.steps()
    await caller.hang_up.dblclick()
    await caller.settles()
    assert await caller.steps() == before
    await expect(caller.call_again).to_be_focused()


@pytest.mark.parametrize("step", ["microphone", "fetch", "connect"])
async def test_hanging_up_before_the_call_stands_makes_none(caller: Caller, step: str) -> None:
    """Whatever was under way goes no further, and the microphone is let go."""
    await caller.page.evaluate(f"fake.hold('{step}')")
    await caller.page.get_by_role("button", name="Call").click()
    await caller.reaches(step)
    await caller.hang_up.click()
    await caller.page.evaluate(f"fake.held.{step}.go()")
    await caller.settles()
    assert (await caller.steps())[-1] == step
    assert await caller.page.evaluate(f"{MICROPHONE}.stopped")
    await expect(caller.status).to_have_text("Call ended · You hung up")


async def test_mute_can_be_pressed_once_the_track_is_published(caller: Caller) -> None:
    await caller.page.evaluate("fake.hold('publish')")
    await caller.page.get_by_role("button", name="Call").click()
    await caller.reaches("publish")
    await caller.room("agentComes()")
    await expect(caller.status).to_have_text("Listening")
    await expect(caller.mute).to_be_disabled()
    await caller.page.evaluate("fake.held.publish.go()")
    await expect(caller.mute).to_be_enabled()


async def test_mute_shows_what_is_so_without_an_event(caller: Caller) -> None:
    await caller.call()
    for muted in ("true", "false"):
        await caller.mute.click()
        await expect(caller.mute).to_have_attribute("aria-pressed", muted)
        await expect(caller.page.locator("#caller")).to_have_attribute("data-muted", muted)


# --- the microphone ------------------------------------------------------------------------


async def test_a_lost_microphone_is_told_and_can_be_had_again(caller: Caller) -> None:
    await caller.call()
    await caller.page.evaluate(f"{MICROPHONE}.lose()")
    await expect(caller.problem).to_contain_text("The microphone was lost")
    await expect(caller.mute).to_have_attribute("aria-pressed", "true")
    await caller.page.evaluate(f"void ({MICROPHONE}.failure = 'NotFoundError')")
    await caller.mute.click()
    await expect(caller.problem).to_contain_text("No microphone was found.")
    await expect(caller.mute).to_have_attribute("aria-pressed", "true")
    await expect(caller.hang_up).to_be_visible()
    await caller.page.evaluate(f"void ({MICROPHONE}.failure = null)")
    await caller.mute.click()
    await expect(caller.mute).to_have_attribute("aria-pressed", "false")
    await expect(caller.problem).to_be_hidden()


async def test_the_meter_follows_the_microphone_to_another_device(caller: Caller) -> None:
    """It, and the microphone, are let go when the call ends."""
    await caller.call()
    you = caller.page.locator("#caller")
    await expect(you).to_have_attribute("data-speaking", "true")
    await caller.page.evaluate(f"{MICROPHONE}.restart()")
    # Longer than the pauses that count as speaking.
    await caller.page.wait_for_timeout(600)
    await expect(you).to_have_attribute("data-speaking", "true")
    assert await caller.page.evaluate("fake.heard.length") == 1
    await caller.hang_up.click()
    assert await caller.page.evaluate("fake.heard.length") == 0
    assert await caller.page.evaluate(f"{MICROPHONE}.stopped")


# --- the transcript ------------------------------------------------------------------------


async def test_a_segment_is_replaced_until_it_is_final(caller: Caller) -> None:
    """A guess that comes late, or ends late, does not undo what is known."""
    await caller.call()
    await caller.page.evaluate(f"window.late = {ROOM}.transcribe('caller', 'one', false)")
    await caller.page.evaluate("void late.write('who are')")
    await caller.settles()
    assert await caller.lines() == [("interim", "who are")]
    await caller.tell("caller", "one", "Who are you?", final=True)
    await caller.page.evaluate("late.write(' yeah').then(() => late.close())")
    await caller.tell("caller", "one", "who or", final=False)
    assert await caller.lines() == [("", "Who are you?")]
    await caller.tell("caller", "two", "And where?", final=True)
    assert await caller.lines() == [("", "Who are you?"), ("", "And where?")]


async def test_markup_is_shown_as_it_was_said(caller: Caller) -> None:
    await caller.call()
    said = "<img src=x onerror=alert(1)> & <b>bold</b>"
    await caller.tell("agent", "one", said, final=True)
    assert await caller.lines() == [("", said)]
    await expect(caller.page.locator("#announcer")).to_have_text(f"Agent: {said}")


async def test_a_stranger_in_the_room_has_no_line(caller: Caller) -> None:
    """Nobody else may put words into the agent's mouth."""
    await caller.call()
    await caller.tell("stranger", "one", "Your room is free of charge.", final=True)
    await caller.tell("agent", "two", "Good morning.", final=True)
    assert await caller.lines() == [("", "Good morning.")]


async def test_a_line_of_an_old_call_is_not_told_in_the_next(caller: Caller) -> None:
    await caller.call()
    await caller.page.evaluate(f"window.old = {ROOM}.transcribe('agent', 'one', false)")
    await caller.page.evaluate("void old.write('Once upon')")
    await caller.settles()
    await caller.hang_up.click()
    assert await caller.lines() == [("", "Once upon")]
    await caller.call()
    await caller.page.evaluate("old.write(' a time').then(() => old.close())")
    await caller.settles()
    assert await caller.lines() == []


async def test_the_newest_line_is_kept_in_view(caller: Caller) -> None:
    """Also where something below takes room from the transcript."""
    await caller.page.set_viewport_size({"width": 390, "height": 760})
    await caller.call()
    await caller.fills_transcript()
    assert await caller.from_end() < AT_END
    await caller.room("blockSound()")
    await expect(caller.page.get_by_role("button", name="Turn on the sound")).to_be_visible()
    assert await caller.from_end() < AT_END
    await caller.room("emit('Disconnected')")
    await expect(caller.problem).to_contain_text("The connection was lost.")
    assert await caller.from_end() < AT_END


async def test_a_reader_who_scrolled_up_is_left_alone(caller: Caller) -> None:
    await caller.call()
    await caller.fills_transcript()
    await caller.scroller.evaluate("(it) => it.scrollTo(0, 100)")
    await caller.settles()
    await caller.tell("agent", "more", "More words.", final=True)
    await caller.room("blockSound()")
    await caller.settles()
    assert await caller.scroller.evaluate("(it) => it.scrollTop") == 100
    await caller.scroller.evaluate("(it) => it.scrollTo(0, it.scrollHeight)")
    await caller.settles()
    await caller.tell("agent", "yet more", "Yet more words. " * 20, final=True)
    assert await caller.from_end() < AT_END


# --- the connection, and what is seen when it is lost --------------------------------------


async def test_the_time_for_an_agent_to_come_begins_anew_when_reconnected(caller: Caller) -> None:
    await caller.page.clock.install()
    await caller.page.get_by_role("button", name="Call").click()
    await expect(caller.status).to_have_text("Waiting for the agent")
    await caller.room("emit('Reconnecting')")
    # That others are gone is told meanwhile, too.
    await caller.room("emit('ParticipantDisconnected')")
    await caller.page.clock.fast_forward(20_000)
    await expect(caller.status).to_have_text("Reconnecting")
    await caller.room("emit('Reconnected')")
    await caller.page.clock.fast_forward(14_000)
    await expect(caller.status).to_have_text("Waiting for the agent")
    await caller.page.clock.fast_forward(2_000)
    await expect(caller.problem).to_contain_text("No agent came within 15 seconds.")


async def overflow(element: Locator) -> float:
    """How much of an element's content it does not show, in pixels."""
    return float(await element.evaluate("(it) => it.scrollHeight - it.clientHeight"))


@pytest.mark.parametrize(("width", "height"), [(568, 320), (320, 256), (320, 568), (1000, 800)])
async def test_everything_can_be_reached_on_any_screen(
    caller: Caller, width: int, height: int
) -> None:
    await caller.page.set_viewport_size({"width": width, "height": height})
    await caller.call()
    await caller.fills_transcript()
    await caller.room("emit('Disconnected')")
    await expect(caller.problem).to_contain_text("and call again.")
    # Neither hides a part of what is in it; what is too high for the screen, the page scrolls.
    assert await overflow(caller.problem) <= 1
    assert await overflow(caller.page.locator("main")) <= 1
    assert await overflow(caller.scroller) > 100
    for element in (caller.problem, caller.call_again):
        await element.scroll_into_view_if_needed()
        await expect(element).to_be_in_viewport(ratio=0.99)
    assert await caller.page.evaluate("document.documentElement.scrollWidth") <= width
