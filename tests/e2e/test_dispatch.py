"""Which worker gets which call: by the agent's name, and room by room."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from examples.engines import Recogniser
from examples.stack import LiveKit
from tests.e2e.caller import Caller
from tests.e2e.conftest import StartWorker
from tests.e2e.conversation import Conversation, StartCheck
from tests.e2e.rooms import fresh_room, trouble
from tests.e2e.words import heard
from tests.repo.pages import block

# Long enough for a job that must not come: those that are meant to come take a second or two.
NO_JOB_S = 5.0


async def test_an_agent_is_asked_for_by_its_name(
    check: StartCheck,
    start: StartWorker,
    livekit: LiveKit,
    recogniser: Recogniser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in livekit.environment.items():
        monkeypatch.setenv(name, value)
    guide: dict[str, Any] = {}
    exec(block("def caller_token"), guide)
    async with start(agent_name="front-desk") as worker:
        async with Caller(livekit, fresh_room()) as stranger:
            with check("a room that asks for nobody gets no agent of that name"):
                await asyncio.sleep(NO_JOB_S)
                assert not stranger.agents
        with check("a caller's token asks for the agent"):
            room = fresh_room()
            async with Caller(livekit, room, token=guide["caller_token"](room)) as caller:
                talk = Conversation(caller, recogniser, check)
                await talk.is_answered()
                await talk.is_greeted()
        with check("a dispatch puts the agent into a room where a caller waits"):
            async with Caller(livekit, room := fresh_room()) as caller:
                await guide["send_agent"](room)
                talk = Conversation(caller, recogniser, check)
                await talk.is_answered()
                await talk.is_greeted()
        assert trouble(worker.lines) == []


async def test_two_rooms_at_once_do_not_mix(
    check: StartCheck, start: StartWorker, livekit: LiveKit, recogniser: Recogniser
) -> None:
    async with (
        start() as worker,
        Caller(livekit, fresh_room(), identity="ann") as ann,
        Caller(livekit, fresh_room(), identity="bob") as bob,
    ):
        first, second = (Conversation(caller, recogniser, check) for caller in (ann, bob))
        await asyncio.gather(first.is_answered(), second.is_answered())
        await asyncio.gather(ann.agent_done(), bob.agent_done())
        with check("each caller asks something else at the same time, and gets the own answer"):
            await asyncio.gather(
                first.turn("question", "i am the demo assistant made of a few rules"),
                second.turn("goodbye", "you are welcome goodbye"),
            )
        with check("neither room holds a word of the other's, and each has an agent of its own"):
            assert ann.agent != bob.agent
            assert {segment.identity for segment in ann.segments} == {"ann", ann.agent}
            assert {segment.identity for segment in bob.segments} == {"bob", bob.agent}
            assert "goodbye" not in "".join(each.text for each in ann.segments).lower()
            assert "who are you" not in "".join(each.text for each in bob.segments).lower()
        with check("neither caller hears the other's answer in the whole call"):
            assert "goodbye" not in await asyncio.to_thread(heard, recogniser, first.ears.wav())
            assert "rules" not in await asyncio.to_thread(heard, recogniser, second.ears.wav())
        assert trouble(worker.lines) == []
