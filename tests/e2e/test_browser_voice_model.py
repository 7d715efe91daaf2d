"""A person at a browser talks to a voice model: a real page, microphone, socket, ears and voice."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from examples.browser.calls import Service
from tests.e2e.browser_stack import page_with_voice, say
from tests.e2e.conversation import StartCheck
from tests.e2e.visit import until
from tests.e2e.voice_page import serving
from tests.e2e.words import SAID, words

# In milliseconds: two cores recognise, speak and run a browser.
SOON = 30_000
OPEN = "We are open from nine to five, Monday to Friday."


async def test_a_person_talks_to_a_voice_model(
    check: StartCheck, output: Path, speko: dict[str, str], tmp_path: Path
) -> None:
    service = Service(speko["SPEKO_API_KEY"], speko["SPEKO_BASE_URL"])
    async with serving(service) as address, page_with_voice(tmp_path) as page:
        await page.set_viewport_size({"width": 1000, "height": 800})
        await page.goto(address)
        status, agent = page.locator("#status"), page.locator("#agent")
        caller_lines = page.locator("#transcript li[data-who=caller]:not(.interim) .words")
        replies = page.locator("#transcript li[data-who=agent] .words")
        with check("the page connects to the model itself, and it hears"):
            await page.get_by_role("button", name="Call").press("Enter")
            await expect(status).to_have_text("Listening", timeout=SOON)
        with check("time: understood to the word, and the page runs the model's tool"):
            await say(page, "time")
            await is_understood(caller_lines, "time")
            note = page.locator("#transcript .note")
            await expect(note).to_contain_text("in Tokyo", timeout=SOON)
        with check("time: the reply is written, and played to its end") as seen:
            await expect(replies.last).to_contain_text("in Tokyo", timeout=SOON)
            await expect(agent).to_have_attribute("data-speaking", "true", timeout=SOON)
            await expect(status).to_have_text("Listening", timeout=SOON)
            seen.seen = await replies.last.inner_text()
        with check("story: it is told, and heard"):
            await say(page, "story")
            await is_understood(caller_lines, "story")
            await expect(agent).to_have_attribute("data-speaking", "true", timeout=SOON)
            await page.wait_for_timeout(1_500)
            await page.screenshot(path=output / "voice-model.png")
        with check("barge-in: what is queued for playing is void") as seen:
            began_s = time.monotonic()
            saying = asyncio.create_task(say(page, "barge_in"))
            await expect(page.locator("#transcript .cut")).to_be_visible(timeout=SOON)
            seen.seen = f"{time.monotonic() - began_s:.2f} s after the caller began"
            await expect(agent).to_have_attribute("data-speaking", "false")
            # While the caller still speaks: nothing of the story is played under it.
            assert not saying.done()
            await saying
        with check("barge-in: understood to the word, and answered"):
            await is_understood(caller_lines, "barge_in")
            await expect(replies.last).to_have_text(OPEN, timeout=SOON)
            await expect(agent).to_have_attribute("data-speaking", "true", timeout=SOON)
            await expect(status).to_have_text("Listening", timeout=SOON)
        await picture(page, output / "voice-model-phone.png")
        with check("usage is shown, and hanging up ends the session"):
            await expect(page.get_by_label("Usage")).to_contain_text("audio tokens in")
            before = closed_well(output)
            await page.get_by_role("button", name="Hang up").press("Enter")
            await expect(status).to_have_text("Call ended · You hung up")

            async def is_closed() -> bool:
                return closed_well(output) == before + 1

            await until("the gateway's word", is_closed, 10.0)


async def is_understood(lines: Locator, name: str) -> None:
    """Wait until the caller's last words are those of a fixture."""
    said = re.compile(r"\W+".join(words(SAID[name])), re.IGNORECASE)
    await expect(lines.last).to_have_text(said, timeout=SOON)
    assert words(await lines.last.inner_text()) == words(SAID[name])


async def picture(page: Page, path: Path) -> None:
    """Take a picture as on a phone at night."""
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=path, animations="disabled")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


def closed_well(output: Path) -> int:
    """Count the closes by the client, with the code of one who hangs up, that the gateway noted."""
    log = (output / "gateway.log").read_text(encoding="utf-8")
    return log.count("closed with 1000 by the client")
