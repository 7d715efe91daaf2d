"""Somebody at the page of the voice model, with a local gateway behind it."""

from __future__ import annotations

import array
import base64
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from playwright.async_api import BrowserContext, Page, expect

from examples.browser.calls import Service
from examples.browser.server import build_app
from livekit_plugins_speko.testing import LocalGateway, RealtimeConnection, RealtimeScript
from tests.e2e.words import FIXTURES

MICROPHONE = Path(__file__).with_name("microphone.js")
RATE_HZ = 24_000


class VoicePage:
    """A page that is open, and the gateway that its sessions lead to."""

    def __init__(self, page: Page, gateway: LocalGateway) -> None:
        """Make one."""
        self.page = page
        self.gateway = gateway
        self.status = page.locator("#status")
        self.agent = page.locator("#agent")
        self.problem = page.get_by_role("alert")
        self.usage = page.get_by_label("Usage")
        self.notes = page.locator("#transcript .note")
        self.hang_up = page.get_by_role("button", name="Hang up")

    async def call(self, script: RealtimeScript | None = None) -> RealtimeConnection:
        """Call, with a script that has no step of its own, so that the test is the model."""
        self.gateway.realtime.script(script or RealtimeScript())
        calls = len(self.gateway.realtime.connections)
        await self.page.get_by_role("button", name="Call").click()
        return await self.gateway.realtime.connected(count=calls + 1)

    async def holds(self) -> RealtimeConnection:
        """Call, and wait until the model hears."""
        connection = await self.call()
        await expect(self.status).to_have_text("Listening")
        return connection

    async def lines(self) -> list[tuple[str | None, str]]:
        """What the transcript shows: who said it, and the words."""
        items = await self.page.locator("#transcript li[data-who]").all()
        return [
            (await each.get_attribute("data-who"), await each.locator(".words").inner_text())
            for each in items
        ]

    async def say(self, name: str) -> None:
        """Say a fixture into the microphone."""
        wav = (FIXTURES / f"{name}.wav").read_bytes()
        await self.page.evaluate("(wav) => say(wav)", base64.b64encode(wav).decode())


def tone(seconds: float) -> bytes:
    """Return a tone, as a model's voice."""
    step = 2 * math.pi * 220 / RATE_HZ
    samples = (round(8_000 * math.sin(step * at)) for at in range(round(seconds * RATE_HZ)))
    return array.array("h", samples).tobytes()


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    """Serve the page; yield the address of the voice model's."""
    runner = web.AppRunner(build_app(None, "", service))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/voice-model"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def voice_page(context: BrowserContext) -> AsyncIterator[VoicePage]:
    """Open the page in a tab of its own, in front of a gateway of its own."""
    async with LocalGateway() as gateway:
        async with serving(Service(gateway.api_key, gateway.base_url)) as address:
            page = await context.new_page()
            await page.add_init_script(path=MICROPHONE)
            await page.goto(address)
            try:
                yield VoicePage(page, gateway)
            finally:
                await page.close()
