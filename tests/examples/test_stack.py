"""The programs around the agent: their start, their output, their stop and their errors."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from examples.stack import (
    Process,
    ProcessFailed,
    free_ports,
    livekit_server,
    start_gateway,
    start_successor,
    surroundings,
)
from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import LocalGateway

COUNTS = "import sys, time\nfor n in range(3): print('line', n, flush=True)\ntime.sleep(60)"
# Prints a line and exits on SIGTERM.
HEEDS = """
import signal, sys, time
def end(*_):
    print("told", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""
# Takes its time after SIGTERM, and gives up at a second one.
DRAINS = """
import signal, sys, time
def hurry(*_):
    sys.exit(9)
def end(*_):
    signal.signal(signal.SIGTERM, hurry)
    print("told", flush=True)
    time.sleep(0.3)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""
# Ignores SIGTERM, as a child of it does not.
DEAF = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", child.pid, flush=True)
time.sleep(60)
"""


def python(code: str, log: Path, environment: dict[str, str] | None = None) -> Process:
    return Process("the program", [sys.executable, "-c", code], log, environment)


def test_lines_are_awaited_and_logged(tmp_path: Path) -> None:
    log = tmp_path / "new" / "program.log"
    with python(COUNTS, log) as program:
        assert program.wait_for(r"line (\d)", 30)[1] == "0"
        assert program.wait_for(r"line (\d)", 30, after=2)[1] == "2"
        assert program.lines == ["line 0", "line 1", "line 2"]
    assert log.read_text() == "line 0\nline 1\nline 2\n"


def test_missing_line_is_an_error_with_the_last_lines(tmp_path: Path) -> None:
    with python(COUNTS, tmp_path / "log") as program:
        program.wait_for("line 2", 30)
        with pytest.raises(ProcessFailed, match='the program: waited for "never"') as told:
            program.wait_for("never", 0.05)
    assert "did not print it within 0 s" in str(told.value) and "line 2" in str(told.value)


def test_wait_fails_when_the_program_ends(tmp_path: Path) -> None:
    with (
        python("raise SystemExit('no port')", tmp_path / "log") as program,
        pytest.raises(ProcessFailed, match=r"(?s)but it ended:.*no port"),
    ):
        program.wait_for("ready", 60)
    assert not program.running


def test_program_has_the_given_environment(tmp_path: Path) -> None:
    code = "import os; print(os.environ['GREETING'])"
    with python(code, tmp_path / "log", {**os.environ, "GREETING": "hello"}) as program:
        program.wait_for("^hello$", 30)


def test_colours_are_removed(tmp_path: Path) -> None:
    coloured = r"print('\x1b[31mERROR\x1b[0m of \x1b[1;36mit\x1b[m')"
    with python(coloured, tmp_path / "log") as program:
        program.wait_for("^ERROR of it$", 30)
    assert (tmp_path / "log").read_text() == "ERROR of it\n"


def test_variables_that_point_elsewhere_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    astray = (
        *("LIVEKIT_URL", "LIVEKIT_CONFIG", "SPEKO_API_KEY", "REDIS_HOST", "NODE_IP", "UDP_PORT"),
        *("HTTPS_PROXY", "http_proxy"),
    )
    for name in astray:
        monkeypatch.setenv(name, "astray")
    monkeypatch.setenv("KEPT", "yes")
    left = surroundings()
    assert not left.keys() & set(astray)
    assert left["KEPT"] == "yes" and left["PATH"]


def test_stop_sends_sigterm_first(tmp_path: Path) -> None:
    program = python(HEEDS, tmp_path / "log")
    program.wait_for("ready", 30)
    assert program.stop() == 3
    assert program.lines[-1] == "told"
    assert program.stop() == 3, "may be stopped twice"


def test_program_that_was_asked_to_end_is_not_hurried(tmp_path: Path) -> None:
    with python(DRAINS, tmp_path / "log") as program:
        program.wait_for("ready", 30)
        program.terminate()
        program.wait_for("told", 30)
        assert program.running
        program.terminate()
        assert program.stop() == 3
        program.terminate()


def test_program_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    program = python(DEAF, tmp_path / "log")
    child = psutil.Process(int(program.wait_for(r"ready (\d+)", 30)[1]))
    assert program.stop(within_s=0.1) == -9
    assert not program.running
    assert not psutil.wait_procs([child], timeout=10)[1]


def test_kill_sends_no_sigterm(tmp_path: Path) -> None:
    program = python(HEEDS, tmp_path / "log")
    program.wait_for("ready", 30)
    program.kill()
    assert "told" not in program.lines and not program.running


def test_output_is_read_to_the_end(tmp_path: Path) -> None:
    code = "for n in range(20_000): print('x' * 50)"
    program = python(code, tmp_path / "log")
    with pytest.raises(ProcessFailed, match="ended"):
        program.wait_for("never", 60)
    assert program.stop() == 0 and len(program.lines) == 20_000


def test_free_ports_can_be_bound() -> None:
    ports = free_ports(3)
    assert len(set(ports)) == 3
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as taken:
                taken.bind(("127.0.0.1", port))


def test_livekit_server_is_found_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "livekit-server"
    monkeypatch.setenv("LIVEKIT_SERVER", str(program))
    assert livekit_server() is None
    program.touch(mode=0o644)
    assert livekit_server() is None, "it can't be run"
    program.chmod(0o755)
    assert livekit_server() == program
    monkeypatch.setenv("LIVEKIT_SERVER", "livekit-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert livekit_server() == program


async def test_gateway_serves_until_it_is_stopped(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    headers = {"Authorization": "Bearer local-gateway-key"}
    body = {
        "messages": [{"role": "user", "content": "Who are you?"}],
        "intent": {"language": "en-US"},
    }
    process, speko = start_gateway(tmp_path / "log", port)
    with process:
        assert speko["SPEKO_BASE_URL"] == f"http://127.0.0.1:{port}"
        url = f"{speko['SPEKO_BASE_URL']}/v1/complete"
        async with httpx.AsyncClient(timeout=30, verify=False) as http:
            response = await http.post(url, json=body, headers=headers)
        assert response.status_code == 200 and "demo" in response.text
    assert process.stop() == 0


async def test_gateway_has_a_voice_model_and_reports_its_connections(tmp_path: Path) -> None:
    process, speko = start_gateway(tmp_path / "log")
    with process:
        client = Speko(base_url=speko["SPEKO_BASE_URL"], api_key=speko["SPEKO_API_KEY"])
        async with client, await client.realtime.connect(intent={"language": "en"}):
            await asyncio.to_thread(process.wait_for, "voice model: connected", 10.0)
        await asyncio.to_thread(process.wait_for, "closed with 1000 by the client", 10.0)
    assert process.stop() == 0


async def test_gateway_takes_a_port_over_from_one_that_ends(tmp_path: Path) -> None:
    async with LocalGateway(strict=False) as first:
        port = int(first.base_url.rpartition(":")[2])
        second = await asyncio.to_thread(start_successor, tmp_path / "log", port)
    with second:
        await asyncio.to_thread(second.wait_for, f"SPEKO_BASE_URL=http://127.0.0.1:{port} ", 10.0)
    assert second.stop() == 0


def test_gateway_reports_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ProcessFailed, match=f"port {port} can't be opened: .*address"):
            start_gateway(tmp_path / "log", port)
