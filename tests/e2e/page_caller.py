"""Somebody at the page, with a stand-in for LiveKit's client behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

from tests.e2e.visit import until

FAKE = Path(__file__).with_name("fake_client.mjs")
ROOM = "fake.rooms.at(-1)"
MICROPHONE = "fake.tracks.at(-1)"
# In milliseconds: nothing here waits for a network, or for a model.
SOON = 3_000
SETTLED = "new Promise((done) => setTimeout(done, 50))"


class Caller:
    """Somebody at the page, and the room behind it, which does what it is told."""

    def __init__(self, page: Page) -> None:
        """Make one for a page that is open."""
        self.page = page
        self.status = page.locator("#status")
        self.problem = page.get_by_role("alert")
        self.mute = page.get_by_role("button", name="Mute")
        self.hang_up = page.get_by_role("button", name="Hang up")
        self.call_again = page.get_by_role("button", name="Call again")
        self.scroller = page.locator(".conversation")

    async def call(self) -> None:
        """Call, and be answered."""
        await self.page.get_by_role("button", name="Call").click()
        await expect(self.status).to_have_text("Waiting for the agent")
        await self.room("agentComes()")
        await expect(self.status).to_have_text("Listening")

    async def room(self, does: str) -> None:
        """Let the room of the newest call do something."""
        await self.page.evaluate(f"void {ROOM}.{does}")

    async def tell(self, who: str, segment: str, text: str, *, final: bool) -> None:
        """Let the room tell what somebody said."""
        await self.page.evaluate(
            f"([who, segment, final, text]) => {ROOM}.tell(who, segment, final, text)",
            [who, segment, final, text],
        )
        await self.settles()

    async def packet(self, who: str, text: str, topic: str = "") -> None:
        """Let somebody send a data packet: the agent, a stranger in the room, or the server."""
        await self.page.evaluate(
            f"([who, text, topic]) => {ROOM}.packet(who, text, topic)", [who, text, topic]
        )
        await self.settles()

    async def sent(self) -> list[Any]:
        """The data packets that the page sent."""
        return list(await self.page.evaluate(f"{ROOM}.sent"))

    async def lines(self) -> list[tuple[str | None, str]]:
        """What the transcript shows: who may still be changed, if any, and the words."""
        items = await self.page.locator("#transcript li[data-who]").all()
        return [
            (await each.get_attribute("class"), await each.locator(".words").inner_text())
            for each in items
        ]

    async def settles(self) -> None:
        """Give what should not happen the time to happen."""
        await self.page.evaluate(SETTLED)

    async def steps(self) -> list[str]:
        """What was begun to make calls."""
        return list(await self.page.evaluate("fake.steps"))

    async def reaches(self, step: str) -> None:
        """Wait until a step of making the call has begun."""

        async def has_begun() -> bool:
            return (await self.steps())[-1:] == [step]

        await until(step, has_begun, SOON / 1000)

    async def from_end(self) -> float:
        """How much of the transcript is below what is seen, in pixels."""
        await self.settles()
        return float(
            await self.scroller.evaluate("(it) => it.scrollHeight - it.scrollTop - it.clientHeight")
        )

    async def fills_transcript(self) -> None:
        """Let more be said than can be seen at once."""
        for number in range(12):
            await self.tell("agent", f"line {number}", "A long line of words. " * 8, final=True)
