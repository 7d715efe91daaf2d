"""Pages with Speko's client in a real room: every packet, and what an agent does about it."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import psutil  # type: ignore[import-untyped]

from examples.agent import GREETING
from examples.stack import LiveKit, Process
from tests.e2e.caller import Segment
from tests.e2e.conftest import StartWorker
from tests.e2e.conversation import StartCheck
from tests.e2e.flood import flood
from tests.e2e.page import Page, send_from_server
from tests.e2e.page_call import WISHES, Call
from tests.e2e.rooms import agent_joins, ended, job_process, mint_room, trouble
from tests.e2e.scripted.model import STORY
from tests.e2e.scripted.service import ScriptedService
from tests.e2e.words import SAID

MB = 1024 * 1024


async def test_a_page_talks_with_the_example(
    check: StartCheck, start: StartWorker, livekit: LiveKit, scripted: ScriptedService
) -> None:
    async with AsyncExitStack() as stack:
        variables = scripted.variables
        worker = await stack.enter_async_context(start(agent_name="page", speko=variables))
        speko = await stack.enter_async_context(scripted.client())
        with check("a session is minted, and its agent sent into the room before the page has it"):
            session = await speko.sessions.create(intent={"language": "en-US"})
            settings = {"sessionId": session.session_id, "intent": {"language": "en-US"}}
            room = await mint_room(livekit, "page", settings)
            await agent_joins(livekit, room)
        page = await stack.enter_async_context(Page(livekit, room))
        call = Call(page, scripted, session.session_id, check)
        job = await job_process(worker, room)
        await no_wish_is_granted(call)
        await typed_words_are_answered_and_echoed_once(call)
        await context_is_used_in_the_next_reply(call)
        await strangers_have_no_effect(call, livekit, room)
        await a_flood_has_no_effect(call, job)
        await a_story_is_broken_off(call)
        await the_call_ends(call, worker, job)
        await call.turns_are_reported(speko)


async def no_wish_is_granted(call: Call) -> None:
    page = call.page
    with call.check("what the page asks for as it joins is refused, field by field"):
        began_s = time.monotonic()
        await page.asks_for(**WISHES)
        await page.tells("The caller looks at room 12.")
        await page.agent_done(began_s)
        assert page.said_by(page.agent)[0].text == GREETING
        (spoken,) = call.asked("synthesize")[:1]
        assert spoken["intent"]["language"] == "en-US"
        assert "voice" not in spoken and "speed" not in spoken


async def typed_words_are_answered_and_echoed_once(call: Call) -> None:
    page = call.page
    with call.check("a typed message is answered, and echoed once") as seen:
        typed_s = await page.types("Are you open?", topic="speko.control")
        reply = await page.reply(typed_s)
        seen.seen = f"reply told after {took(reply, typed_s)}"
        assert reply.text == (
            "You said: Are you open? The page told me: The caller looks at room 12."
        )
        await page.agent_done(typed_s)
        assert "pirate" not in call.context()
        (echo,) = page.packets
        assert echo.packet == {"type": "user_message_echo", "text": "Are you open?"}
        assert (echo.topic, echo.identity) == ("speko.control", page.agent)
    with call.check("a newer client is told each line once, by LiveKit's transcriptions"):
        told = [segment.text for segment in page.segments]
        assert told == [GREETING, reply.text]


async def context_is_used_in_the_next_reply(call: Call) -> None:
    page = call.page
    with call.check("context from the page is not answered"):
        await page.tells("The caller has a dog.")
        await call.nothing_happens()
    with call.check("it is used in the next reply, to words that were spoken") as seen:
        spoken = await page.say("question")
        reply = await page.reply(spoken.ended_s)
        seen.seen = reply.text
        assert f"You said: {SAID['question']}" in reply.text
        assert "The page told me: The caller has a dog." in reply.text
        await page.agent_done(spoken.ended_s)


async def strangers_have_no_effect(call: Call, livekit: LiveKit, room: str) -> None:
    wishes = {"agent": {"prompt": "stranger"}, "tts": {"speed": 2}}
    packets: list[dict[str, Any]] = [
        {"type": "user_message", "text": "A stranger asks."},
        {"type": "contextual_update", "text": "A stranger tells."},
        {"type": "overrides", "overrides": wishes},
    ]
    with call.check("packets of another participant, and of the server, have no effect"):
        async with Page(livekit, room, identity="stranger") as stranger:
            await stranger.until("the agent", lambda: bool(stranger.agents))
            for packet in packets:
                await stranger.send(packet)
            await send_from_server(livekit, room, packets)
            await call.nothing_happens()
            reply = await call.asks("Are you still there?")
            assert reply.startswith("You said: Are you still there?")
            assert "stranger" not in call.context().lower()
            # The echo is the caller's alone.
            assert stranger.got("user_message_echo") == []


async def a_flood_has_no_effect(call: Call, job: psutil.Process) -> None:
    page, ears = call.page, call.page.ears
    assert ears is not None
    typed_s = await page.types("Tell me a story.")
    began_s = await page.agent_speaks(typed_s + 0.3)
    before, asked = job.memory_info().rss, len(call.asked("complete"))
    with call.check("3000 packets in a story: the voice goes on, and nobody is asked") as seen:
        took_s = await flood(page, 3000)
        flooded_s = time.monotonic()
        assert flooded_s < ears.last_sound() + 0.5, "the story ended in the flood"
        gap_s = ears.longest_gap(began_s, ears.last_sound())
        seen.seen = f"in {took_s:.1f} s; longest pause {1000 * gap_s:.0f} ms"
        # A busy machine costs the voice as much; a loop that waits costs it seconds.
        assert gap_s < 1.0
        assert len(call.asked("complete")) == asked
    with call.check("and the process does not grow") as seen:
        grown = job.memory_info().rss - before
        seen.seen = f"by {grown / MB:.1f} MB"
        assert grown < 20 * MB
    with call.check("once the flood has passed, a message is answered as before") as seen:
        typed_s = await is_heard_again(page, "Go on.")
        reply = await page.reply(typed_s)
        seen.seen = f"taken {typed_s - flooded_s:.1f} s after it; told in {took(reply, typed_s)}"
        assert reply.text.startswith("You said: Go on.")
        await page.agent_done(typed_s)


async def is_heard_again(page: Page, text: str) -> float:
    """Type a text until it is taken; returns when. Behind a flood a page's packets are dropped."""
    for _ in range(10):
        typed_s = await page.send({"type": "user_message", "text": text})
        with suppress(AssertionError):
            echoes = partial(page.got, "user_message_echo", typed_s)
            await page.until("the echo", echoes, within_s=1.5)
            page.typed.append((typed_s, text))
            return typed_s
    raise AssertionError(f"never heard again\n{page}")


def took(reply: Segment, typed_s: float) -> str:
    """How long a reply took to be told."""
    return f"{reply.grew_s[0] - typed_s:.2f} s"


async def a_story_is_broken_off(call: Call) -> None:
    page = call.page
    with call.check("a caller who speaks breaks a story off, and is answered") as seen:
        typed_s = await page.types("Tell me the story again.")
        await page.agent_speaks(typed_s + 0.5)
        await asyncio.sleep(2.0)
        spoken = await page.say("goodbye")
        story = await page.reply(typed_s)
        seen.seen = story.text
        assert STORY.startswith(story.text) and len(story.text) < len(STORY)
        reply = await page.reply(spoken.ended_s)
        assert f"You said: {SAID['goodbye']}" in reply.text
        await page.agent_done(spoken.ended_s)


async def the_call_ends(call: Call, worker: Process, job: psutil.Process) -> None:
    with call.check("the caller leaves, and the job ends clean"):
        await call.page.leave()
        assert await ended(job, within_s=10.0)
        assert trouble(worker.lines) == []
