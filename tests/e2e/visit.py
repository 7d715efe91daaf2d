"""Somebody at the page of examples/browser: what they press, and what they see."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from livekit import api
from playwright.async_api import Page, expect

from examples.agent import GREETING
from examples.stack import DEV_KEY, DEV_SECRET, LiveKit
from tests.e2e.conversation import StartCheck
from tests.e2e.rooms import open_rooms, server_api
from tests.e2e.words import SAID, words


async def until(what: str, so: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    """Look again and again until something is so."""
    deadline = time.monotonic() + within_s
    while not await so():
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s"
        await asyncio.sleep(0.05)


class Visit:
    """One call at the page, step by step, each with its check."""

    def __init__(self, page: Page, check: StartCheck) -> None:
        """Make one for a page that is open.

        Args:
            page: The page.
            check: Times a check, by its name.
        """
        self.page = page
        self.check = check
        # The room's name; empty before the call is made.
        self.room = ""
        self._status = page.locator("#status")
        self._agent = page.locator("#agent")
        self._caller = page.locator("#caller")

    async def call(self) -> None:
        """Call, with the keyboard alone."""
        async with self.page.expect_response("**/api/conversations") as answer:
            await self.page.get_by_role("button", name="Call").press("Enter")
        token = (await (await answer.value).json())["transportToken"]
        grants = api.TokenVerifier(DEV_KEY, DEV_SECRET).verify(token).video
        assert grants is not None
        self.room = grants.room
        await expect(self.page.get_by_role("button", name="Hang up")).to_be_focused()

    async def said(self, who: str) -> list[str]:
        """What the transcript has for good."""
        lines = self.page.locator(f"#transcript li[data-who={who}]:not(.interim) .words")
        return await lines.all_text_contents()

    async def is_greeted(self) -> None:
        """The agent comes and greets: to be seen, to be heard, and word by word in writing."""
        with self.check("the agent is shown to speak"):
            await expect(self._status).to_have_text("Speaking", timeout=30_000)
            await self._speaks()
        with self.check("the greeting is played, and written as it is spoken") as seen:
            played_s, sizes = await self._played_s(), set[int]()

            async def is_whole() -> bool:
                growing = self.page.locator("#transcript .interim .words")
                sizes.update(map(len, await growing.all_text_contents()))
                return bool(await self.said("agent"))

            await until("the greeting", is_whole, 15.0)
            assert await self.said("agent") == [GREETING]
            assert len(sizes) > 2, sizes
            assert await self._played_s() > played_s
            seen.seen = f"seen in {len(sizes)} sizes"
        with self.check("the whole line is told to screen readers, and the agent listens"):
            await expect(self.page.locator("#announcer")).to_have_text(f"Agent: {GREETING}")
            await expect(self._agent).to_have_attribute("data-speaking", "false")
            await expect(self._status).to_have_text("Listening")

    async def turn(self, name: str, reply: str) -> None:
        """The caller is shown to speak; their words are written, to the word, and the reply."""
        before = len(await self.said("agent"))
        with self.check(f"{name}: the caller is shown to speak, and understood to the word"):
            await expect(self._caller).to_have_attribute("data-speaking", "true", timeout=30_000)
            line = self.page.locator("#transcript li[data-who=caller]:not(.interim) .words").last
            said = re.compile(r"\W+".join(words(SAID[name])), re.IGNORECASE)
            await expect(line).to_have_text(said, timeout=15_000)
            assert words(await line.inner_text()) == words(SAID[name])
        with self.check(f"{name}: the agent is shown to speak, and the reply is written") as seen:
            await self._speaks()
            await expect(self._status).to_have_text("Listening", timeout=15_000)
            seen.seen = " ".join((await self.said("agent"))[before:])
            assert reply in seen.seen

    async def mutes(self, livekit: LiveKit) -> None:
        """The microphone is muted and turned on again, also as LiveKit's server knows it."""
        button = self.page.get_by_role("button", name="Mute")
        for muted in (True, False):
            with self.check(f"the microphone is {'muted' if muted else 'on again'}"):
                await button.click()
                await expect(button).to_have_attribute("aria-pressed", str(muted).lower())
                await expect(self._caller).to_have_attribute("data-muted", str(muted).lower())

                async def is_so(expected: bool = muted) -> bool:
                    return await microphone_muted(livekit, self.room) == expected

                await until("the server's word", is_so, 5.0)

    async def hangs_up(self, livekit: LiveKit) -> None:
        """The caller hangs up, with the keyboard, and the room is closed."""
        with self.check("the caller hangs up, and the room is closed"):
            await self.page.get_by_role("button", name="Hang up").press("Enter")
            await expect(self._status).to_have_text("Call ended · You hung up")
            await expect(self.page.get_by_role("button", name="Call again")).to_be_focused()

            async def is_closed() -> bool:
                return self.room not in await open_rooms(livekit)

            await until("the room's end", is_closed, 15.0)

    async def picture(
        self, path: Path, scheme: Literal["dark", "light"], width: int, height: int = 800
    ) -> None:
        """Take a picture of the page, which must fit its width."""
        await self.page.set_viewport_size({"width": width, "height": height})
        await self.page.emulate_media(color_scheme=scheme)
        await self.page.screenshot(path=path, animations="disabled")
        assert await self.page.evaluate("document.documentElement.scrollWidth") <= width

    async def _speaks(self) -> None:
        await expect(self._agent).to_have_attribute("data-speaking", "true", timeout=15_000)

    async def _played_s(self) -> float:
        """How much of the agent's track was played, in seconds."""
        return float(await self.page.evaluate("document.querySelector('audio').currentTime"))


async def microphone_muted(livekit: LiveKit, room: str) -> bool:
    """Whether the caller's microphone is muted, as LiveKit's server knows it."""
    async with server_api(livekit) as client:
        listed = await client.room.list_participants(api.ListParticipantsRequest(room=room))
    (caller,) = (each for each in listed.participants if each.identity == "caller")
    (microphone,) = caller.tracks
    return microphone.muted
