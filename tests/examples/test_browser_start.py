"""How the page's programs start: what they read, what they refuse, and what they stop."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from examples.browser.calls import VARIABLES, CannotStart, Settings, connect_sources
from examples.browser.programs import Programs
from examples.browser.server import check_page, listen, proxy_origin
from examples.stack import ROOT, LiveKit, Process, ProcessFailed, free_ports, start_worker
from tests.examples.browser_settings import ENVIRONMENT, SETTINGS

# Owns a program, and waits; the program's id is told.
OWNER = """
import pathlib, sys, time
from examples.browser.programs import Programs
from examples.stack import Process
with Programs(pathlib.Path(sys.argv[1])) as programs:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    sleeper = Process("the sleeper", command, pathlib.Path(sys.argv[1]) / "log")
    programs._own(sleeper)
    print("ready", sleeper.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("url", "sources"),
    [
        ("ws://127.0.0.1:7880", "ws://127.0.0.1:7880 http://127.0.0.1:7880"),
        ("wss://rtc.example.com/path", "wss://rtc.example.com https://rtc.example.com"),
        # The cloud sends callers on to one of its regions.
        ("wss://hotel-1.livekit.cloud", "wss://*.livekit.cloud https://*.livekit.cloud"),
        (
            "wss://livekit.cloud.example.com",
            "wss://livekit.cloud.example.com https://livekit.cloud.example.com",
        ),
        ("ws://[::1]:7880", "ws: http:"),
    ],
)
def test_the_page_connects_to_its_livekit_server_alone(url: str, sources: str) -> None:
    assert connect_sources(url) == sources


def test_settings_come_from_the_environment() -> None:
    named = {**ENVIRONMENT, "LIVEKIT_AGENT_NAME": "front-desk"}
    assert Settings.from_environment(ENVIRONMENT) == SETTINGS
    assert Settings.from_environment(named) == replace(SETTINGS, agent_name="front-desk")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:7880", "ws://127.0.0.1:7880"),
        ("https://h.example", "wss://h.example"),
        ("HTTPS://h.example", "wss://h.example"),
        ("wss://h.example/path", "wss://h.example/path"),
        ("ws://[::1]:7880", "ws://[::1]:7880"),
    ],
)
def test_an_address_of_http_is_one_of_websocket(given: str, url: str) -> None:
    assert Settings.from_environment({**ENVIRONMENT, "LIVEKIT_URL": given}).url == url


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:7880", "ftp://h.example", "ws://", "ws://[::1", "ws://h:abc", "ws://h:99999"),
        *("ws://h x", "ws://h;script-src *", "ws://user:word@h"),
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CannotStart, match=f'like wss://host, got "{re.escape(url)}"'):
        Settings.from_environment({**ENVIRONMENT, "LIVEKIT_URL": url})


@pytest.mark.parametrize("missing", [VARIABLES[:1], VARIABLES[1:2], VARIABLES[1:], VARIABLES])
def test_each_missing_variable_is_named(missing: tuple[str, ...]) -> None:
    found: Mapping[str, str] = {**ENVIRONMENT, **dict.fromkeys(missing, " ")}
    with pytest.raises(CannotStart, match=f"^Set {', '.join(missing)}: "):
        Settings.from_environment(found)


def test_without_its_variables_it_ends_with_status_1_and_no_traceback() -> None:
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-m", "examples.browser.server"],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Set {', '.join(VARIABLES)}: they say where calls are held.\n"


def test_a_port_that_is_taken_is_told() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"Port {port} can't be opened .* --port"):
            listen(port)


def test_a_port_that_does_not_exist_is_told() -> None:
    with pytest.raises(CannotStart, match="There is no port 70000: .* --port"):
        listen(70_000)


def test_a_page_without_its_client_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="make browser.*npm ci"):
        check_page(tmp_path / "livekit-client.esm.mjs")


def test_a_missing_livekit_server_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_SERVER", str(tmp_path / "nothing"))
    with pytest.raises(CannotStart, match="make livekit"):
        Programs(tmp_path).livekit()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://calls.example.com", "https://calls.example.com"),
        ("https://Calls.Example.com/", "https://calls.example.com"),
        ("https://calls.example.com:443", "https://calls.example.com"),
        ("http://calls.example.com:8000", "http://calls.example.com:8000"),
    ],
)
def test_a_proxy_s_address_is_read_as_browsers_name_it(url: str, origin: str) -> None:
    assert proxy_origin(url) == origin


@pytest.mark.parametrize("url", ["calls.example.com", "https://", "https://h/page", "ws://h"])
def test_what_is_no_proxy_s_address_is_refused(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f'got "{url}"'):
        proxy_origin(url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_what_was_started(number: signal.Signals, tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with Process("the owner", command, tmp_path / "owner.log", variables) as owner:
        sleeper = psutil.Process(int(owner.wait_for(r"ready (\d+)", 60)[1]))
        os.kill(owner.pid, number)
        assert not psutil.wait_procs([sleeper], timeout=20)[1]


def test_a_worker_that_can_not_register_says_why_and_is_stopped(tmp_path: Path) -> None:
    nowhere = LiveKit(f"ws://127.0.0.1:{free_ports(1)[0]}", "key", "s" * 32)
    before = set(psutil.Process().children())
    with pytest.raises(ProcessFailed, match=f"can't register at {nowhere.url} .*LIVEKIT_API_KEY"):
        start_worker(tmp_path / "log", nowhere, {"SPEKO_API_KEY": "key"})
    assert set(psutil.Process().children()) <= before
