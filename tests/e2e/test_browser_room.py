"""Typed words, a lost agent, and Speko's own clients: in Chromium, and in a real room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from examples.agent import GREETING
from examples.browser.calls import Settings
from examples.browser.rooms import OwnCalls
from examples.stack import DEV_KEY, DEV_SECRET, start_worker
from tests.e2e.browser_stack import Stack, page_with_voice, say, start_stack
from tests.e2e.conversation import StartCheck
from tests.e2e.programs import begin
from tests.e2e.rooms import is_closed, server_api
from tests.e2e.visit import Visit, until
from tests.e2e.words import SAID, words

# In milliseconds.
REPLY_MS = 45_000
TOLD_WITHIN_S = 30.0
CALLS = 3
CLIENTS = Path(__file__).with_name("speko_clients.js")
NEWER, OLDER = "newer", "older"
QUESTION = "Who are you?"
ANSWER = "I am the demo assistant, made of a few rules."
# LiveKit's number of a room that was deleted.
ROOM_DELETED = 5


@pytest.fixture(scope="module")
def stack(output: Path, speko: dict[str, str]) -> Iterator[Stack]:
    """The page's programs."""
    with start_stack(output, "browser-room", speko) as stack:
        yield stack


async def call(page: Page, stack: Stack, check: StartCheck) -> Visit:
    """Call from the page until an agent listens: LiveKit passes over a worker that is busy."""
    await page.goto(stack.address)
    visit, typing = Visit(page, check), page.locator("#typing:enabled")
    for _ in range(CALLS):
        await visit.call()
        ended = page.get_by_role("button", name="Call again")
        await expect(typing.or_(ended)).to_be_visible(timeout=60_000)
        if await typing.is_visible():
            return visit
    raise AssertionError("no agent came")


async def types(page: Page, text: str, button: str = "Send") -> None:
    """Type something, and press a button."""
    await page.get_by_label("What to type to the agent").fill(text)
    await page.get_by_role("button", name=button).click()


async def has_said(visit: Visit, who: str, lines: list[str]) -> None:
    """Wait until all that one side has said for good is so many lines, and compare them."""

    async def is_so() -> bool:
        return len(await visit.said(who)) >= len(lines)

    await until(f"{who}: {lines}", is_so, REPLY_MS / 1000)
    assert await visit.said(who) == lines


async def test_a_page_types_and_lets_the_agent_know(
    check: StartCheck, stack: Stack, output: Path, tmp_path: Path
) -> None:
    async with page_with_voice(tmp_path) as page:
        with check("the page calls, and the agent greets"):
            visit = await call(page, stack, check)
            await has_said(visit, "agent", [GREETING])
        with check("what is typed is echoed once, and answered"):
            await types(page, QUESTION)
            await has_said(visit, "caller", [QUESTION])
            await has_said(visit, "agent", [GREETING, ANSWER])
        with check("context is used in the next reply, and not answered itself"):
            await types(page, "Room 12, with the sea view.", "Add context")
            await types(page, "What am I looking at?")
            told = "Your page tells me: Room 12, with the sea view."
            await has_said(visit, "agent", [GREETING, ANSWER, told])
            await has_said(visit, "caller", [QUESTION, "What am I looking at?"])
        await visit.picture(output / "browser-typed.png", "light", 1000)
        await visit.picture(output / "browser-typed-phone.png", "dark", 390, 844)
        with check("the agent hangs up: the page says so, and the room is deleted"):
            await end_job(stack, visit.room)
            await expect(page.locator("#status")).to_have_text(
                "Call ended · The agent hung up", timeout=20_000
            )
            assert await is_closed(stack.livekit, visit.room)


async def end_job(stack: Stack, room: str) -> None:
    """Let LiveKit's server end a job, whose session then closes."""
    async with server_api(stack.livekit) as client:
        (dispatch,) = await client.agent_dispatch.list_dispatch(room)
        await client.agent_dispatch.delete_dispatch(dispatch.id, room)


async def join(page: Page, stack: Stack, kind: str, agent_name: str) -> Page:
    """Join new rooms as one of Speko's clients, until an agent comes; return its page."""
    for _ in range(CALLS):
        await join_room(page, stack, kind, agent_name)
        with suppress(AssertionError):
            await becomes(page, "client.room.remoteParticipants.size > 0")
            return page
    raise AssertionError("no agent came")


async def join_room(page: Page, stack: Stack, kind: str, agent_name: str) -> None:
    """Join a new room."""
    settings = Settings(stack.livekit.url, DEV_KEY, DEV_SECRET, agent_name)
    async with server_api(stack.livekit) as client:
        minted = await OwnCalls(settings, client).new({})
    await page.goto(stack.address)
    code = f"({CLIENTS.read_text(encoding='utf-8')})".replace(";\n)", ")")
    await page.evaluate(code, [kind, minted["transportUrl"], minted["transportToken"]])


async def becomes(page: Page, what: str) -> None:
    """Wait for something in the page, whose policy forbids playwright's own way."""

    async def is_so() -> bool:
        return bool(await page.evaluate(what))

    await until(what, is_so, 20.0)


async def lines(page: Page) -> list[Any]:
    """What the client shows."""
    return list(await page.evaluate("client.lines"))


async def shows(page: Page, expected: list[tuple[str, str]]) -> None:
    """Wait until the client shows so many whole lines, and compare them all."""

    async def is_whole() -> bool:
        found = await lines(page)
        return len(found) >= len(expected) and all(each["final"] for each in found)

    try:
        await until(f"{expected}", is_whole, REPLY_MS / 1000)
    finally:
        found = [(each["source"], words(each["text"])) for each in await lines(page)]
    assert found == [(source, words(text)) for source, text in expected]


async def holds_turns(page: Page) -> None:
    """The client shows each line once: the greeting, what is typed, what is said, and replies."""
    said = [("agent", GREETING)]
    await shows(page, said)
    await page.evaluate("(text) => client.type(text)", QUESTION)
    said += [("user", QUESTION), ("agent", ANSWER)]
    await shows(page, said)
    await say(page, "goodbye")
    said += [("user", SAID["goodbye"]), ("agent", "You are welcome. Goodbye!")]
    await shows(page, said)


async def test_a_caller_whose_agent_is_killed_is_told_while_others_talk(
    check: StartCheck, stack: Stack, output: Path, speko: dict[str, str], tmp_path: Path
) -> None:
    """The others are Speko's own clients, and show each line once."""
    async with AsyncExitStack() as exits:
        page = await exits.enter_async_context(page_with_voice(tmp_path))
        visit = await call(page, stack, check)
        job = await stack.job(visit.room)
        with check("the process of its job is killed"):
            job.kill()
            told = asyncio.create_task(is_told(page, time.monotonic()))
        with check("a newer client shows LiveKit's transcriptions"):
            newer = await join(await page.context.new_page(), stack, NEWER, "")
            await holds_turns(newer)
            await newer.close()
        with check("an older client shows data packets"):
            worker = await begin(
                start_worker,
                output / "browser-room" / "older-worker.log",
                stack.livekit,
                {**speko, "SPEKO_TRANSCRIPTS": "1"},
                OLDER,
            )
            exits.callback(worker.stop)
            older = await join(await page.context.new_page(), stack, OLDER, OLDER)
            await holds_turns(older)
        with check("its worker is stopped, which is the agent hanging up"):
            await asyncio.to_thread(worker.stop)
            await becomes(older, "client.disconnected !== null")
            assert await older.evaluate("client.disconnected") == ROOM_DELETED
            await older.close()
        with check("the caller of the killed one is told within 30 s, and what to do") as seen:
            seen.seen = f"{await told:.1f} s after its end"
            await expect(page.get_by_role("alert")).to_contain_text("Call again")
            assert await is_closed(stack.livekit, visit.room)


async def is_told(page: Page, killed_s: float) -> float:
    """Wait until the page says that its agent is gone; return how long it took, in seconds."""
    status = page.locator("#status")
    await expect(status).to_have_text("The agent is gone", timeout=1000 * TOLD_WITHIN_S)
    return time.monotonic() - killed_s
