"""The servers of the end-to-end tests, started once, and the table of what was checked."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from pathlib import Path

# The recogniser's weights are on this disk.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import BrowserContext

from examples.browser.calls import Settings
from examples.browser.server import build_app
from examples.engines import Recogniser
from examples.stack import (
    WORKER,
    LiveKit,
    Process,
    livekit_server,
    start_gateway,
    start_livekit,
    start_worker,
)
from tests.e2e.checks import Check, Checks
from tests.e2e.chromium import Complaints, browser, write_speech
from tests.e2e.page_caller import FAKE, SOON, Caller
from tests.e2e.programs import begin
from tests.e2e.scripted.service import ScriptedService, scripted_service

OUTPUT = Path(__file__).parent.parent.parent / "e2e-output"
CHECKS = Checks()

StartWorker = Callable[..., AbstractAsyncContextManager[Process]]


def pytest_configure() -> None:
    """Let a run that is told to end, or loses its terminal, stop its programs as Ctrl+C does."""
    # A shell without a terminal leaves the programs that it runs in the background deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let LiveKit's development secret be as short as it is."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore:The HMAC key is"))


def readable(test: str) -> str:
    """A test's name as words."""
    return test.removeprefix("test_").replace("_", " ")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Let a test that makes no checks be one itself."""
    file, _, test = report.nodeid.rpartition("::")
    if report.when == "call" and readable(test) not in {row.test for row in CHECKS.rows}:
        group = readable(Path(file).stem)
        CHECKS.rows.append(Check(group, readable(test), report.duration, report.passed))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was checked."""
    if CHECKS.rows:
        terminalreporter.section("what was checked")
        for line in CHECKS.lines():
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"\n  What the programs printed is in {OUTPUT.name}/.")


@pytest.fixture(scope="session")
def output() -> Iterator[Path]:
    """An empty folder for what the programs print, and for pictures."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        # A worker that is killed leaves its sockets behind.
        patch.setenv("TMPDIR", scratch)
        yield OUTPUT


@pytest.fixture(scope="session")
def checks() -> Checks:
    """All checks of the run."""
    return CHECKS


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Callable[[str], AbstractContextManager[Check]]:
    """Times one check of a test, which is in the table at the end."""
    return lambda name: CHECKS.run(readable(request.node.name), name)


@pytest.fixture(scope="session")
def livekit(output: Path) -> Iterator[LiveKit]:
    """LiveKit's server, on this machine alone."""
    program = livekit_server()
    if program is None:
        pytest.exit("There is no LiveKit server: run make livekit.", returncode=1)
    process, livekit = start_livekit(program, output / "livekit.log")
    with process:
        yield livekit
    assert process.stop() == 0


@pytest.fixture(scope="session")
def speko(output: Path) -> Iterator[dict[str, str]]:
    """The variables that lead an agent to the local gateway with the demo's engines."""
    process, variables = start_gateway(output / "gateway.log")
    with process:
        yield variables
    assert process.stop() == 0


@pytest.fixture(scope="session")
def recogniser() -> Iterator[Recogniser]:
    """Understands what the agent says."""
    recogniser = Recogniser()
    yield recogniser
    recogniser.close()


@pytest.fixture(scope="session")
def scripted(output: Path) -> Iterator[ScriptedService]:
    """The local gateway with scripted engines, for many calls on few cores."""
    with scripted_service(output / "scripted-gateway.log") as service:
        yield service


@pytest.fixture
def start(request: pytest.FixtureRequest, output: Path, livekit: LiveKit) -> StartWorker:
    """Starts a worker, and stops it; the log of its whole life must not hold the key."""

    @asynccontextmanager
    async def worker(
        name: str = "worker",
        agent_name: str = "",
        speko: dict[str, str] | None = None,
        program: Sequence[str] = WORKER,
    ) -> AsyncIterator[Process]:
        speko = speko or request.getfixturevalue("speko")
        log = output / f"{request.node.name}-{name}.log"
        process = await begin(start_worker, log, livekit, speko, agent_name, program)
        try:
            yield process
        finally:
            status = await asyncio.to_thread(process.stop)
        assert process.killed or status == 0
        assert not any(speko["SPEKO_API_KEY"] in line for line in process.lines)

    return worker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address() -> AsyncIterator[str]:
    """Where the page is served."""
    runner = web.AppRunner(build_app(Settings("ws://room.test", "key", "secret")))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def context(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserContext]:
    """The browser."""
    folder = tmp_path_factory.mktemp("browser")
    silence = write_speech(folder / "silence.wav", (1.0,))
    async with browser(folder / "profile", silence) as context:
        context.set_default_timeout(SOON)
        yield context


@pytest_asyncio.fixture(loop_scope="module")
async def caller(address: str, context: BrowserContext) -> AsyncIterator[Caller]:
    """Somebody at a fresh page, which must not complain."""
    page = await context.new_page()
    complaints = Complaints(page)
    await page.route(
        "**/livekit-client.mjs",
        lambda route: route.fulfill(path=FAKE, content_type="text/javascript"),
    )
    await page.goto(address)
    yield Caller(page)
    await page.close()
    assert complaints == []
