"""The programs of a call: LiveKit's server, the gateway, and the worker with the agent."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .process import Process, ProcessFailed

ROOT = Path(__file__).parent.parent.parent
# Where `make livekit` puts the server.
LIVEKIT_SERVER = ROOT / ".tools" / "livekit-server"
# As docs/deploying.md has them, in the project's root.
WORKER = ("examples/agent.py", "dev")
GATEWAY = ("examples/gateway.py",)
SERVER_FLAGS = (
    *("--dev", "--bind", "127.0.0.1", "--node-ip", "127.0.0.1"),
    *("--config", "examples/stack/livekit.yaml"),
)
# What the server takes with --dev, and nobody else should.
DEV_KEY, DEV_SECRET = "devkey", "secret"
READY_S = 60.0
# What a worker says when it was refused for the second time; the first may be a server that starts.
REFUSED = r'failed to connect to livekit, .*"retry_count": 2, .*"error": "(?P<error>[^"]*)'
# LiveKit's workers ask a proxy for a server on this machine, too.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True)
class LiveKit:
    """A LiveKit server that runs: where it is, and with which key."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that workers and LiveKit's API client read."""
        return {
            "LIVEKIT_URL": self.url,
            "LIVEKIT_API_KEY": self.api_key,
            "LIVEKIT_API_SECRET": self.api_secret,
        }


def livekit_server() -> Path | None:
    """The server's program: LIVEKIT_SERVER, or what `make livekit` built; None without one."""
    found = shutil.which(os.environ.get("LIVEKIT_SERVER") or LIVEKIT_SERVER)
    return Path(found).resolve() if found else None


def surroundings() -> dict[str, str]:
    """This process's environment, less what would lead a program of the stack elsewhere."""
    led_by = ("LIVEKIT_", "SPEKO_", "REDIS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(led_by)}
    for name in ("NODE_IP", "UDP_PORT", *PROXIES, *map(str.lower, PROXIES)):
        kept.pop(name, None)
    return kept


def start_livekit(program: Path, log: Path) -> tuple[Process, LiveKit]:
    """Start LiveKit's server for this machine alone, on free ports, and wait until it listens."""
    port, udp = free_ports(2)
    command = [str(program), *SERVER_FLAGS, "--port", str(port), "--udp-port", str(udp)]
    process = Process("LiveKit's server", command, log, surroundings(), ROOT)
    _wait_until_ready(process, "starting LiveKit server")
    return process, LiveKit(f"ws://127.0.0.1:{port}", DEV_KEY, DEV_SECRET)


def start_gateway(log: Path, port: int = 0) -> tuple[Process, dict[str, str]]:
    """Start the local gateway with the demo's engines.

    Args:
        log: What it prints is appended to this file.
        port: The port to listen on; 0 takes a free one.

    Returns:
        The process, and the variables that lead an agent to it.
    """
    command = [sys.executable, *GATEWAY, "--port", str(port)]
    process = Process("the gateway", command, log, surroundings(), ROOT)
    ready = _wait_until_ready(process, r"SPEKO_BASE_URL=\S+ SPEKO_API_KEY=\S+")
    return process, dict(pair.split("=", 1) for pair in ready[0].split())


def start_worker(
    log: Path, livekit: LiveKit, speko: Mapping[str, str], agent_name: str = ""
) -> Process:
    """Run `python examples/agent.py dev`, and wait until it is registered.

    Args:
        log: What it prints is appended to this file.
        livekit: The server that it takes calls from.
        speko: SPEKO_BASE_URL and SPEKO_API_KEY, and whatever else it is to have.
        agent_name: The name by which it is asked for; empty takes every room's call.

    Returns:
        The process.

    Raises:
        ProcessFailed: It did not register.
    """
    own = {**speko, **livekit.environment, "LIVEKIT_AGENT_NAME": agent_name}
    environment = {**surroundings(), **own}
    process = Process("the worker", [sys.executable, *WORKER], log, environment, ROOT)
    line = _wait_until_ready(process, f"registered worker|{REFUSED}")
    if line["error"] is not None:
        process.stop()
        raise ProcessFailed(
            f"The worker can't register at {livekit.url} ({line['error']}): see that the server "
            "runs there, and that LIVEKIT_API_KEY and LIVEKIT_API_SECRET are its own."
        )
    return process


def _wait_until_ready(process: Process, line: str) -> re.Match[str]:
    """Wait for the line that says so; a program that does not print it is stopped."""
    try:
        return process.wait_for(line, READY_S)
    except BaseException:
        process.stop()
        raise


def free_ports(count: int) -> list[int]:
    """Find ports of 127.0.0.1 that nobody listens on, for TCP and UDP."""
    ports: list[int] = []
    held: list[socket.socket] = []
    while len(ports) < count:
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        held += [tcp, udp]
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        try:
            udp.bind(("127.0.0.1", port))
        except OSError:
            continue
        ports.append(port)
    for taken in held:
        taken.close()
    return ports
