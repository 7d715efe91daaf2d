"""A real browser without a window, whose microphone is a WAV file."""

from __future__ import annotations

import os
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright

from scripts.find_chromium import NAMES, find
from tests.e2e.rooms import USUAL
from tests.e2e.words import FIXTURES

RATE_HZ = 16_000
# It shall talk to nobody but the page, and need neither a screen nor a sound card.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
)


def find_chromium() -> str:
    """The browser's program; the test fails without one."""
    found = find()
    if found is None:
        pytest.fail(
            "There is no Chromium: `apt install chromium` on Debian, or name the program of one in "
            f"CHROMIUM. Looked for {os.environ.get('CHROMIUM') or ', '.join(NAMES)}."
        )
    return found


def write_speech(path: Path, parts: Sequence[str | float]) -> Path:
    """Write a WAV of fixtures, by their names, and of silences, in seconds."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        for part in parts:
            if isinstance(part, str):
                with wave.open(str(FIXTURES / f"{part}.wav"), "rb") as said:
                    out.writeframes(said.readframes(said.getnframes()))
            else:
                out.writeframes(bytes(2 * round(RATE_HZ * part)))
    return path


@asynccontextmanager
async def browser(
    profile: Path, microphone: Path, *, allowed: bool = True
) -> AsyncIterator[BrowserContext]:
    """Start it, with a profile of its own.

    Args:
        profile: An empty folder.
        microphone: The WAV that its microphone hears once, from when a page turns that on.
        allowed: Whether pages may use the microphone.
    """
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")
    if allowed:
        flags.append("--use-fake-ui-for-media-stream")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile, executable_path=find_chromium(), headless=True, args=flags
        )
        try:
            yield context
        finally:
            await context.close()


class Complaints(list[str]):
    """Whatever a page or its console complains of, but for the usual."""

    def __init__(self, page: Page) -> None:
        """Listen to a page, from now on."""
        super().__init__()
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("requestfailed", lambda request: self.append(f"{request.url}: {request.failure}"))
        page.on(
            "response",
            lambda answer: self.append(f"{answer.url}: {answer.status}") if not answer.ok else None,
        )
        page.on("console", self._take_line)

    def _take_line(self, line: ConsoleMessage) -> None:
        if line.type == "error" and not USUAL.search(line.text):
            self.append(f"{line.type}: {line.text}")
