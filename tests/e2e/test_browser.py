"""A person at a browser calls the agent: a real page, microphone, room, voice and worker."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from playwright.async_api import Page, expect

from examples.stack import (
    DEV_KEY,
    DEV_SECRET,
    LiveKit,
    Process,
    ProcessFailed,
    free_ports,
    surroundings,
)
from tests.e2e.chromium import Complaints, browser, write_speech
from tests.e2e.conversation import StartCheck
from tests.e2e.rooms import trouble
from tests.e2e.visit import Visit

# The first words come long after the greeting, also where the agent is slow to come; between the
# words there is time for the replies.
SPEECH = (24.0, "question", 12.0, "time", 12.0, "goodbye", 30.0)
PHONE = (390, 844)


@asynccontextmanager
async def running(module: str, log: Path, **variables: str) -> AsyncIterator[tuple[Process, str]]:
    """Run one of the page's programs, on a free port; the page's address comes with it."""
    options = ["--port", "0"]
    if module == "examples.browser":
        options += ["--logs", str(log.with_suffix(""))]
    command = [sys.executable, "-m", module, *options]
    with Process("the page's programs", command, log, {**surroundings(), **variables}) as process:
        found = await asyncio.to_thread(process.wait_for, r"Open (http://\S+)", 120.0)
        yield process, found[1]


async def test_a_person_calls_from_the_browser(
    check: StartCheck, output: Path, tmp_path: Path
) -> None:
    speech = write_speech(tmp_path / "speech.wav", SPEECH)
    async with AsyncExitStack() as stack:
        with check("make browser's command starts all that a call needs"):
            started = running("examples.browser", output / "browser.log")
            programs, address = await stack.enter_async_context(started)
        livekit = LiveKit(programs.wait_for("server: (ws:.*)", 0)[1], DEV_KEY, DEV_SECRET)
        context = await stack.enter_async_context(browser(tmp_path / "profile", speech))
        page = context.pages[0]
        complaints = Complaints(page)
        await page.goto(address)
        visit = Visit(page, check)
        await visit.call()
        await visit.is_greeted()
        await visit.turn("question", "I am the demo assistant")
        await visit.picture(output / "browser.png", "light", 1000)
        await visit.turn("time", "in Tokyo")
        await visit.picture(output / "browser-phone.png", "dark", *PHONE)
        await visit.turn("goodbye", "Goodbye!")
        await visit.mutes(livekit)
        await visit.hangs_up(livekit)
        with check("neither the page nor its console complained"):
            assert complaints == []
        await stops(check, programs, output / "browser" / "worker.log")


async def stops(check: StartCheck, programs: Process, worker_log: Path) -> None:
    """The job has ended well; all programs stop when the first is told to."""
    below = psutil.Process(programs.pid).children(recursive=True)
    with check("SIGTERM stops everything, and nothing is left running"):
        assert await asyncio.to_thread(programs.stop, 30.0) == 0
        assert not psutil.wait_procs(below, timeout=5)[1]
    with check("the agent's job ended clean"):
        log = await asyncio.to_thread(worker_log.read_text, encoding="utf-8")
        assert re.search("speko-agent.*usage", log), log
        assert trouble(log.splitlines()) == []


async def test_the_page_of_a_server_that_others_use(
    check: StartCheck, output: Path, livekit: LiveKit, speko: dict[str, str], tmp_path: Path
) -> None:
    speech = write_speech(tmp_path / "speech.wav", (60.0,))
    variables = {**livekit.environment, **speko}
    async with (
        running("examples.browser", output / "browser-own.log", **variables) as (programs, address),
        browser(tmp_path / "profile", speech) as context,
    ):
        with check("only a worker is started, under a name of its own"):
            assert any(re.search('agent "speko-browser-.+"', line) for line in programs.lines)
            assert not any(line.startswith(("LiveKit", "The local")) for line in programs.lines)
        page = context.pages[0]
        await page.goto(address)
        visit = Visit(page, check)
        await visit.call()
        await visit.is_greeted()
        await visit.hangs_up(livekit)
        with check("the caller calls again, and the transcript begins anew"):
            await visit.call()
            assert await visit.said("agent") == []
        await visit.is_greeted()
        with check("the worker is killed: it is told which program ended, and all others stop"):
            (worker,) = psutil.Process(programs.pid).children()
            jobs = worker.children(recursive=True)
            worker.kill()
            with pytest.raises(ProcessFailed, match="ended"):
                await asyncio.to_thread(programs.wait_for, "never printed", 20.0)
            assert await asyncio.to_thread(programs.stop) == 1
            assert any("the worker has ended" in line for line in programs.lines)
            psutil.wait_procs(jobs, timeout=20)


# --- what goes wrong is told in plain words ------------------------------------------------


async def problem(page: Page, address: str, within_s: float = 10.0) -> str:
    """Call, and read what is told; the call can be made again."""
    await page.goto(address)
    await page.get_by_role("button", name="Call").click()
    told = page.get_by_role("alert").locator("strong")
    await expect(told).to_be_visible(timeout=1000 * within_s)
    await expect(page.get_by_role("button", name="Call again")).to_be_focused()
    return " ".join((await page.get_by_role("alert").inner_text()).split())


async def test_what_hinders_a_call_is_told_with_what_to_do(
    check: StartCheck, output: Path, livekit: LiveKit, tmp_path: Path
) -> None:
    speech = write_speech(tmp_path / "speech.wav", (60.0,))
    server = partial(running, "examples.browser.server", output / "browser-server.log")
    nobody = {**livekit.environment, "LIVEKIT_AGENT_NAME": "nobody"}
    stranger = {**livekit.environment, "LIVEKIT_API_SECRET": "not the secret of that server"}
    gone = {**livekit.environment, "LIVEKIT_URL": f"ws://127.0.0.1:{free_ports(1)[0]}"}
    async with browser(tmp_path / "profile", speech) as context:
        page = context.pages[0]
        async with server(**nobody) as (process, address):
            with check("no agent comes") as seen:
                seen.seen = await problem(page, address, within_s=20.0)
                assert "No agent came within 15 seconds." in seen.seen
                assert "LIVEKIT_AGENT_NAME=nobody python examples/agent.py dev" in seen.seen
                await page.screenshot(path=output / "browser-problem.png")
            with check("the page's server has ended") as seen:
                await page.goto(address)
                await asyncio.to_thread(process.stop)
                await page.get_by_role("button", name="Call").click()
                await expect(page.get_by_role("alert")).to_contain_text("does not answer")
        for what, variables in (("refused the call", stranger), ("can’t be reached", gone)):
            async with server(**variables) as (_, address):
                with check(f"LiveKit's server {what}") as seen:
                    seen.seen = await problem(page, address, within_s=40.0)
                    assert what in seen.seen and variables["LIVEKIT_URL"] in seen.seen


async def test_a_missing_microphone_is_told(
    check: StartCheck, output: Path, livekit: LiveKit, tmp_path: Path
) -> None:
    log = output / "browser-microphone.log"
    speech = write_speech(tmp_path / "speech.wav", (60.0,))
    async with (
        running("examples.browser.server", log, **livekit.environment) as (_, address),
        browser(tmp_path / "profile", speech, allowed=False) as context,
    ):
        page = context.pages[0]
        with check("the microphone is refused") as seen:
            seen.seen = await problem(page, address)
            assert "The microphone was refused." in seen.seen
        for name, told in (
            ("NotFoundError", "No microphone was found."),
            ("NotReadableError", "The microphone can’t be opened."),
        ):
            # No machine can be made to lack a microphone, or to have one that is broken.
            await page.add_init_script(
                "navigator.mediaDevices.getUserMedia = "
                f"() => Promise.reject(new DOMException('', '{name}'))"
            )
            with check(f"the browser has a {name}") as seen:
                seen.seen = await problem(page, address)
                assert told in seen.seen
