"""The start of the page's programs: their settings, their errors, and their stop."""

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

from examples.browser.__main__ import hosted
from examples.browser.calls import (
    VARIABLES,
    CannotStart,
    Service,
    Settings,
    connect_sources,
    read_servers,
)
from examples.browser.programs import Programs
from examples.browser.server import check_page, listen, proxy_origin
from examples.stack import ROOT, LiveKit, Process, ProcessFailed, free_ports, start_worker
from tests.examples.browser_settings import ENVIRONMENT, SETTINGS

# Owns a program and waits; it prints the program's id.
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
        # LiveKit Cloud redirects callers to one of its regions.
        ("wss://hotel-1.livekit.cloud", "wss://*.livekit.cloud https://*.livekit.cloud"),
        (
            "wss://livekit.cloud.example.com",
            "wss://livekit.cloud.example.com https://livekit.cloud.example.com",
        ),
        ("ws://[::1]:7880", "ws: http:"),
    ],
)
def test_policy_allows_only_the_livekit_server(url: str, sources: str) -> None:
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
def test_http_address_becomes_a_websocket_address(given: str, url: str) -> None:
    assert Settings.from_environment({**ENVIRONMENT, "LIVEKIT_URL": given}).url == url


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:7880", "ftp://h.example", "ws://", "ws://[::1", "ws://h:abc", "ws://h:99999"),
        *("ws://h x", "ws://h;script-src *", "ws://user:word@h"),
    ],
)
def test_invalid_livekit_address_is_refused(url: str) -> None:
    with pytest.raises(CannotStart, match=f'like wss://host, got "{re.escape(url)}"'):
        Settings.from_environment({**ENVIRONMENT, "LIVEKIT_URL": url})


@pytest.mark.parametrize("missing", [VARIABLES[:1], VARIABLES[1:2], VARIABLES[1:], VARIABLES])
def test_missing_variables_are_named(missing: tuple[str, ...]) -> None:
    found: Mapping[str, str] = {**ENVIRONMENT, **dict.fromkeys(missing, " ")}
    with pytest.raises(CannotStart, match=f"^Set {', '.join(missing)}: "):
        Settings.from_environment(found)


@pytest.mark.parametrize(
    ("environment", "settings", "service"),
    [
        (ENVIRONMENT, SETTINGS, None),
        # Whoever names a LiveKit server has agents of their own there.
        ({**ENVIRONMENT, "SPEKO_API_KEY": "key"}, SETTINGS, Service("key")),
        (
            {"SPEKO_API_KEY": "key", "SPEKO_BASE_URL": "http://h", "SPEKO_AGENT_ID": "agent_7"},
            None,
            Service("key", "http://h", "agent_7"),
        ),
    ],
)
def test_speko_makes_the_rooms_where_no_livekit_server_is_named(
    environment: Mapping[str, str], settings: Settings | None, service: Service | None
) -> None:
    assert read_servers(environment) == (settings, service)


def test_hosted_agent_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEKO_API_KEY", "key")
    assert hosted() == Service.from_environment(os.environ)
    monkeypatch.delenv("SPEKO_API_KEY")
    with pytest.raises(CannotStart, match="Set SPEKO_API_KEY"):
        hosted()


def test_server_without_variables_exits_with_status_1() -> None:
    others = {"SPEKO_API_KEY", *VARIABLES}
    kept = {name: value for name, value in os.environ.items() if name not in others}
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
    assert done.stderr == f"Set {', '.join(VARIABLES)}: they name the server of the calls.\n"


def test_port_that_cannot_be_opened_is_reported() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"Port {port} can't be opened .* --port"):
            listen(port)
    with pytest.raises(CannotStart, match="There is no port 70000: .* --port"):
        listen(70_000)


def test_missing_program_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CannotStart, match="make browser.*npm ci"):
        check_page(tmp_path / "livekit-client.esm.mjs")
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
def test_proxy_address_is_normalised_to_an_origin(url: str, origin: str) -> None:
    assert proxy_origin(url) == origin


@pytest.mark.parametrize("url", ["calls.example.com", "https://", "https://h/page", "ws://h"])
def test_invalid_proxy_address_is_refused(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f'got "{url}"'):
        proxy_origin(url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_the_programs(number: signal.Signals, tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with Process("the owner", command, tmp_path / "owner.log", variables) as owner:
        sleeper = psutil.Process(int(owner.wait_for(r"ready (\d+)", 60)[1]))
        os.kill(owner.pid, number)
        assert not psutil.wait_procs([sleeper], timeout=20)[1]


def test_worker_that_cannot_register_is_stopped_with_a_reason(tmp_path: Path) -> None:
    nowhere = LiveKit(f"ws://127.0.0.1:{free_ports(1)[0]}", "key", "s" * 32)
    before = set(psutil.Process().children())
    with pytest.raises(ProcessFailed, match=f"can't register at {nowhere.url} .*LIVEKIT_API_KEY"):
        start_worker(tmp_path / "log", nowhere, {"SPEKO_API_KEY": "key"})
    assert set(psutil.Process().children()) <= before
