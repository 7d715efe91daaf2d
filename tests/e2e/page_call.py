"""One call by a page: what was asked for it, and what must not happen."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from livekit_plugins_speko import Speko
from tests.e2e.conversation import StartCheck
from tests.e2e.page import Page
from tests.e2e.scripted.service import ScriptedService

# Long enough for a reply that must not come: those that are meant to come take half a second.
NO_REPLY_S = 1.5
# What a page may ask for, by the names of the wire.
WISHES: dict[str, Any] = {
    "prompt": "You are a pirate.",
    "firstMessage": "Ahoy, who is there?",
    "language": "de-DE",
    "tts": {"voiceId": "the-page's-voice", "speed": 1.5},
}


class Call:
    """A page in a room with an agent that was sent there first. It owns nothing."""

    def __init__(
        self, page: Page, service: ScriptedService, session_id: str, check: StartCheck
    ) -> None:
        self.page, self.service, self.session_id, self.check = page, service, session_id, check

    def asked(self, route: str) -> list[dict[str, Any]]:
        """What the service was asked for this call."""
        return self.service.requests(route, self.session_id)

    async def asks(self, text: str) -> str:
        """Type something, and wait until the reply is over; returns it."""
        typed_s = await self.page.types(text)
        line = await self.page.reply(typed_s)
        await self.page.agent_done(typed_s)
        return line.text

    async def until_asked(self, route: str, after_s: float, within_s: float = 10.0) -> None:
        """Wait until the service was asked at or after a time, by `time.monotonic()`."""
        deadline = time.monotonic() + within_s
        while not any(row["at_s"] >= after_s for row in self.asked(route)):
            assert time.monotonic() < deadline, f"nothing was asked of {route}"
            await asyncio.sleep(0.02)

    def instructions(self) -> str:
        """The system message of the latest request to the model."""
        (system,) = self.asked("complete")[-1]["messages"][:1]
        assert system["role"] == "system"
        return str(system["content"])

    def context(self) -> str:
        """All texts of the latest request to the model."""
        return "\n".join(each["content"] for each in self.asked("complete")[-1]["messages"])

    async def nothing_happens(self) -> None:
        """Nobody asks the service for anything, for as long as a reply could take."""
        before = len(self.asked("complete")) + len(self.asked("synthesize"))
        await asyncio.sleep(NO_REPLY_S)
        assert len(self.asked("complete")) + len(self.asked("synthesize")) == before

    async def turns_are_reported(self, speko: Speko) -> None:
        """The service's transcript is the caller's."""
        with self.check("the service's turns are the conversation as it was heard") as seen:
            entries = await speko.sessions.transcript(self.session_id)
            reported = [(each["source"], each["text"]) for each in entries]
            seen.seen = f"{len(entries)} turns"
            heard = self.page.conversation()
            different = [pair for pair in zip(reported, heard, strict=False) if not same(*pair)]
            assert len(reported) == len(heard) and not different, (different, reported, heard)


def same(reported: tuple[str, str], heard: tuple[str, str]) -> bool:
    """Whether two turns are the same.

    Of a reply that is broken off LiveKit tells the room a word more, at times, than it has counted
    as heard.
    """
    ours, theirs = reported[1].split(), heard[1].split()
    return reported[0] == heard[0] and ours in (theirs, theirs[:-1])
