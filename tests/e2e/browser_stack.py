"""`make browser` for the tests of one file, and callers at its pages."""

from __future__ import annotations

import asyncio
import base64
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from playwright.async_api import Page

from examples.stack import DEV_KEY, DEV_SECRET, LiveKit, Process, surroundings
from tests.e2e.chromium import Complaints, browser, write_speech
from tests.e2e.words import FIXTURES

MICROPHONE = Path(__file__).with_name("microphone.js")


@dataclass
class Stack:
    """The running programs: the page's server, LiveKit's, and a worker."""

    programs: Process
    address: str
    livekit: LiveKit
    # The folder of the programs' logs.
    logs: Path

    async def job(self, room: str, within_s: float = 20.0) -> psutil.Process:
        """Return the process in which the worker serves a room."""
        line, deadline = re.compile(rf'"pid": (\d+).*"room": "{room}"'), time.monotonic() + within_s
        while True:
            log = (self.logs / "worker.log").read_text(encoding="utf-8")
            if found := line.search(log):
                return psutil.Process(int(found[1]))
            assert time.monotonic() < deadline, f"no job for {room}"
            await asyncio.sleep(0.1)


@contextmanager
def start_stack(output: Path, name: str, speko: Mapping[str, str]) -> Iterator[Stack]:
    """Start all that a call needs but the gateway, and stop it."""
    logs = output / name
    command = [sys.executable, "-m", "examples.browser", "--port", "0", "--logs", str(logs)]
    variables = {**surroundings(), **speko}
    with Process("the page's programs", command, output / f"{name}.log", variables) as programs:
        address = programs.wait_for(r"Open (http://\S+)", 120.0)[1]
        livekit = LiveKit(programs.wait_for("server: (ws:.*)", 0)[1], DEV_KEY, DEV_SECRET)
        yield Stack(programs, address, livekit, logs)


@asynccontextmanager
async def page_with_voice(tmp_path: Path) -> AsyncIterator[Page]:
    """Open a browser whose microphone says what the test lets it say; it must not complain."""
    silence = write_speech(tmp_path / "silence.wav", (1.0,))
    async with browser(tmp_path / "profile", silence) as context:
        await context.add_init_script(path=MICROPHONE)
        page = context.pages[0]
        complaints = Complaints(page)
        yield page
        assert complaints == []


async def say(page: Page, name: str) -> float:
    """Say a fixture into the page's microphone; return when its last sound was said."""
    wav = (FIXTURES / f"{name}.wav").read_bytes()
    await page.evaluate("(wav) => say(wav)", base64.b64encode(wav).decode())
    return time.monotonic()
