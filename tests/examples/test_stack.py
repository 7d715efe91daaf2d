"""The programs beside the agent: started, waited for, stopped, and told of when they fail."""

from __future__ import annotations

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
    surroundings,
)

COUNTS = "import sys, time\nfor n in range(3): print('line', n, flush=True)\ntime.sleep(60)"
# It says so, and ends, when it is told to.
HEEDS = """
import signal, sys, time
def end(*_):
    print("told", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""
DEAF = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", child.pid, flush=True)
time.sleep(60)
"""


def python(code: str, log: Path, environment: dict[str, str] | None = None) -> Process:
    return Process("the program", [sys.executable, "-c", code], log, environment)


def test_a_line_is_waited_for_and_kept_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "new" / "program.log"
    with python(COUNTS, log) as program:
        assert program.wait_for(r"line (\d)", 30)[1] == "0"
        assert program.wait_for(r"line (\d)", 30, after=2)[1] == "2"
        assert program.lines == ["line 0", "line 1", "line 2"]
    assert log.read_text() == "line 0\nline 1\nline 2\n"


def test_a_line_that_does_not_come_is_told_with_what_came(tmp_path: Path) -> None:
    with python(COUNTS, tmp_path / "log") as program:
        program.wait_for("line 2", 30)
        with pytest.raises(ProcessFailed, match='the program: waited for "never"') as told:
            program.wait_for("never", 0.05)
    assert "did not print it within 0 s" in str(told.value) and "line 2" in str(told.value)


def test_a_program_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    with (
        python("raise SystemExit('no port')", tmp_path / "log") as program,
        pytest.raises(ProcessFailed, match=r"(?s)but it ended:.*no port"),
    ):
        program.wait_for("ready", 60)
    assert not program.running


def test_it_sees_what_is_set_for_it(tmp_path: Path) -> None:
    code = "import os; print(os.environ['GREETING'])"
    with python(code, tmp_path / "log", {**os.environ, "GREETING": "hello"}) as program:
        program.wait_for("^hello$", 30)


def test_colours_are_taken_out(tmp_path: Path) -> None:
    coloured = r"print('\x1b[31mERROR\x1b[0m of \x1b[1;36mit\x1b[m')"
    with python(coloured, tmp_path / "log") as program:
        program.wait_for("^ERROR of it$", 30)
    assert (tmp_path / "log").read_text() == "ERROR of it\n"


def test_what_would_lead_a_program_elsewhere_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_stopping_asks_first(tmp_path: Path) -> None:
    program = python(HEEDS, tmp_path / "log")
    program.wait_for("ready", 30)
    assert program.stop() == 3
    assert program.lines[-1] == "told"
    assert program.stop() == 3, "may be stopped twice"


def test_a_program_that_does_not_heed_is_killed_with_its_children(tmp_path: Path) -> None:
    program = python(DEAF, tmp_path / "log")
    child = psutil.Process(int(program.wait_for(r"ready (\d+)", 30)[1]))
    assert program.stop(within_s=0.1) == -9
    assert not program.running
    assert not psutil.wait_procs([child], timeout=10)[1]


def test_killing_does_not_ask(tmp_path: Path) -> None:
    program = python(HEEDS, tmp_path / "log")
    program.wait_for("ready", 30)
    program.kill()
    assert "told" not in program.lines and not program.running


def test_its_output_is_read_to_the_end_without_anybody_waiting(tmp_path: Path) -> None:
    code = "for n in range(20_000): print('x' * 50)"
    program = python(code, tmp_path / "log")
    with pytest.raises(ProcessFailed, match="ended"):
        program.wait_for("never", 60)
    assert program.stop() == 0 and len(program.lines) == 20_000


def test_free_ports_can_be_taken() -> None:
    ports = free_ports(3)
    assert len(set(ports)) == 3
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as taken:
                taken.bind(("127.0.0.1", port))


def test_the_server_is_the_one_that_the_environment_names(
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


async def test_the_gateway_serves_until_it_is_stopped_and_again_at_its_port(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    headers = {"Authorization": "Bearer local-gateway-key"}
    body = {
        "messages": [{"role": "user", "content": "Who are you?"}],
        "intent": {"language": "en-US"},
    }
    for _ in range(2):
        process, speko = start_gateway(tmp_path / "log", port)
        with process:
            assert speko["SPEKO_BASE_URL"] == f"http://127.0.0.1:{port}"
            url = f"{speko['SPEKO_BASE_URL']}/v1/complete"
            async with httpx.AsyncClient(timeout=30) as http:
                answer = await http.post(url, json=body, headers=headers)
            assert answer.status_code == 200 and "demo" in answer.text
        assert process.stop() == 0


def test_a_gateway_whose_port_is_taken_says_so(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ProcessFailed, match=f"port {port} can't be opened: .*address"):
            start_gateway(tmp_path / "log", port)
