"""An agent whose author allows overrides and older clients, in a real room: at every moment."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from livekit import rtc
from livekit.rtc.participant import PublishDataError

from examples.agent import GREETING
from examples.stack import LiveKit, Process
from livekit_plugins_speko import Speko
from tests.e2e.conftest import StartWorker
from tests.e2e.conversation import StartCheck
from tests.e2e.page import Page
from tests.e2e.page_agent import COLLEAGUE
from tests.e2e.page_call import WISHES, Call
from tests.e2e.programs import together
from tests.e2e.rooms import agent_joins, ended, is_closed, job_process, mint_room, trouble
from tests.e2e.scripted.service import ScriptedService
from tests.e2e.words import SAID

AUTHORS_PROGRAM = ("-m", "tests.e2e.page_agent", "dev")


async def test_an_author_allows_overrides_and_an_older_client(
    check: StartCheck, start: StartWorker, livekit: LiveKit, scripted: ScriptedService
) -> None:
    async with AsyncExitStack() as stack:
        started = start(agent_name="authors", speko=scripted.variables, program=AUTHORS_PROGRAM)
        worker = await stack.enter_async_context(started)
        speko = await stack.enter_async_context(scripted.client())
        await together(
            an_older_client_calls(check, livekit, scripted, speko, worker),
            a_page_asks_late(check, livekit, scripted, speko),
        )
        with check("nothing of it was an error: no packet raised in LiveKit's callback"):
            assert trouble(worker.lines) == []


async def join(
    check: StartCheck,
    livekit: LiveKit,
    scripted: ScriptedService,
    speko: Speko,
    identity: str,
    allow: Sequence[str],
) -> tuple[Call, str]:
    """Mint a session, wait for its agent, and make the page that calls; it has not joined."""
    session = await speko.sessions.create(intent={"language": "en-US"})
    settings = {"sessionId": session.session_id, "allow": allow, "intent": {"language": "en-US"}}
    room = await mint_room(livekit, "authors", settings)
    await agent_joins(livekit, room)
    page = Page(livekit, room, identity=identity)
    return Call(page, scripted, session.session_id, check), room


async def an_older_client_calls(
    check: StartCheck,
    livekit: LiveKit,
    scripted: ScriptedService,
    speko: Speko,
    worker: Process,
) -> None:
    """Overrides as it joins, its packets, and packets at every moment until the agent hangs up."""
    allow = ["prompt", "first_message", "speed"]
    call, room = await join(check, livekit, scripted, speko, "older", allow)
    job = await job_process(worker, room)
    async with call.page:
        await wishes_are_granted(call)
        await it_is_told_each_line_once(call)
        await packets_in_a_tool_call(call)
        await packets_in_a_handoff(call)
        await the_agent_hangs_up(call, livekit, room)
    # The last turns are reported while the job ends.
    assert await ended(job)
    await call.turns_are_reported(speko)


async def wishes_are_granted(call: Call) -> None:
    page = call.page
    with call.check("what a page asks for as it joins is granted, where the author allows it"):
        joined_s = await page.asks_for(**WISHES)
        greeting = await page.reply(joined_s)
        assert greeting.text == WISHES["firstMessage"]
        await page.agent_done(joined_s)
        (spoken,) = call.asked("synthesize")[:1]
        assert spoken["speed"] == WISHES["tts"]["speed"]
        assert "voice" not in spoken and spoken["intent"]["language"] == "en-US"


async def it_is_told_each_line_once(call: Call) -> None:
    page = call.page
    with call.check("an older client is told each line once, by packets"):
        await call.asks("Are you open?")
        assert call.instructions() == WISHES["prompt"]
        spoken = await page.say("question")
        await page.reply(spoken.ended_s)
        await page.agent_done(spoken.ended_s)
        finals = [each.packet for each in page.got("agent_message") if each.packet["isFinal"]]
        assert [each["text"] for each in finals] == [
            text for who, text in page.conversation() if who == "agent"
        ]
        said = [each.packet for each in page.got("transcript") if each.packet["isFinal"]]
        assert [(each["source"], each["text"]) for each in said] == [("user", SAID["question"])]
        echoes = [each.packet["text"] for each in page.got("user_message_echo")]
        assert echoes == ["Are you open?"]


async def packets_in_a_tool_call(call: Call) -> None:
    page = call.page
    with call.check("context in a tool call is used in the reply after it"):
        typed_s = await page.types("Please look it up.")
        await call.until_asked("complete", typed_s)
        await page.tells("It is for two.")
        reply = await page.reply(typed_s)
        assert reply.text == "The tool says: Room 12 is free. The page told me: It is for two."
        await page.agent_done(typed_s)


async def packets_in_a_handoff(call: Call) -> None:
    page = call.page
    with call.check("context in a handoff is used by the agent that takes over"):
        typed_s = await page.types("Please hand over.")
        await call.until_asked("complete", typed_s)
        await page.tells("It is for three.")
        await page.asks_for(firstMessage="Ahoy again!", tts={"speed": "fast"})
        greeting = await page.reply(typed_s)
        assert greeting.text == "The colleague speaking."
        await page.agent_done(typed_s)
        assert (await call.asks("Who is there?")).endswith("The page told me: It is for three.")
        assert call.instructions() == COLLEAGUE


async def the_agent_hangs_up(call: Call, livekit: LiveKit, room: str) -> None:
    page = call.page
    with call.check("the agent hangs up: the page is told so, and the room is gone") as seen:
        typed_s = await page.types("Please hang up.")
        await call.until_asked("complete", typed_s)
        # While it closes: no effect, no error of the agent. The room may be gone before the last.
        with suppress(PublishDataError):
            for packet in ("Are you there?", "Hello?"):
                await page.tells(packet)
                await page.send({"type": "user_message", "text": packet})
        gone_s = await page.until("the end", lambda: page.disconnected is not None)
        seen.seen = f"{gone_s - typed_s:.2f} s after it was asked to"
        # Without waiting for last words of a caller who says nothing, which takes LiveKit 2 s.
        assert gone_s - typed_s < 2.0
        assert page.disconnected == rtc.DisconnectReason.ROOM_DELETED
        assert await is_closed(livekit, room)


async def a_page_asks_late(
    check: StartCheck, livekit: LiveKit, scripted: ScriptedService, speko: Speko
) -> None:
    call, _ = await join(check, livekit, scripted, speko, "late", ["language", "voice", "prompt"])
    page = call.page
    async with page:
        with call.check("a message in the greeting breaks it off, and is answered"):
            await page.until("its first words", lambda: any(each.text for each in page.segments))
            assert (await call.asks("Are you open?")) == "You said: Are you open?"
            greeting = page.said_by(page.agent)[0].text
            assert GREETING.startswith(greeting) and greeting != GREETING
        with call.check("what a page asks for later changes the next reply, where it is allowed"):
            await page.asks_for(**WISHES)
            await call.nothing_happens()
            await call.asks("And now?")
            assert call.instructions() == WISHES["prompt"]
            assert call.asked("complete")[-1]["intent"]["language"] == WISHES["language"]
            spoken = call.asked("synthesize")[-1]
            assert spoken["voice"] == WISHES["tts"]["voiceId"]
            assert "speed" not in spoken
