"""The programs of a call: LiveKit's server, the gateway, and the worker with the agent."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .process import Process, ProcessFailed

ROOT = Path(__file__).parent.parent.parent
# The server that `make livekit` builds.
LIVEKIT_SERVER = ROOT / ".tools" / "livekit-server"
# Relative to the project's root, as in docs/deploying.md.
WORKER = ("examples/agent.py", "dev")
REALTIME_WORKER = ("examples/realtime_agent.py", "dev")
GATEWAY = ("examples/gateway.py",)
SERVER_FLAGS = ("--dev", "--bind", "127.0.0.1", "--node-ip", "127.0.0.1")
CONFIG = Path(__file__).parent / "livekit.yaml"
# The known key of the server's --dev mode; no other server may use it.
DEV_KEY, DEV_SECRET = "devkey", "secret"
READY_S = 60.0
# A worker's line at its second failure to connect; at the first the server may still be starting.
REFUSED = r'failed to connect to livekit, .*"retry_count": 2, .*"error": "(?P<error>[^"]*)'
# LiveKit's workers use these for a server on this machine too.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True)
class LiveKit:
    """A running LiveKit server: its address and its key."""

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
    """Return this process's environment without variables that point elsewhere."""
    elsewhere = ("LIVEKIT_", "SPEKO_", "REDIS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(elsewhere)}
    for name in ("NODE_IP", "UDP_PORT", *PROXIES, *map(str.lower, PROXIES)):
        kept.pop(name, None)
    return kept


def start_livekit(program: Path, log: Path, webhook: str = "") -> tuple[Process, LiveKit]:
    """Start LiveKit's server on free ports of this machine, and wait until it listens.

    Args:
        program: The server's program.
        log: The file that its output is appended to.
        webhook: The address that it posts its events to, signed with its key; empty for none.

    Returns:
        The process, and the server.
    """
    port, udp = free_ports(2)
    config = CONFIG.read_text(encoding="utf-8")
    if webhook:
        config += f"webhook:\n  api_key: {DEV_KEY}\n  urls: [{webhook}]\n"
    command = [str(program), *SERVER_FLAGS, "--port", str(port), "--udp-port", str(udp)]
    command += ["--config-body", config]
    process = Process("LiveKit's server", command, log, surroundings(), ROOT)
    _wait_until_ready(process, "starting LiveKit server")
    return process, LiveKit(f"ws://127.0.0.1:{port}", DEV_KEY, DEV_SECRET)


def start_gateway(log: Path, port: int = 0) -> tuple[Process, dict[str, str]]:
    """Start the local gateway with the demo's engines.

    Args:
        log: The file that its output is appended to.
        port: The port to listen on; 0 takes a free one.

    Returns:
        The process, and the variables that point an agent to it.
    """
    command = [sys.executable, *GATEWAY, "--port", str(port)]
    process = Process("the gateway", command, log, surroundings(), ROOT)
    ready = _wait_until_ready(process, r"SPEKO_BASE_URL=\S+ SPEKO_API_KEY=\S+")
    return process, dict(pair.split("=", 1) for pair in ready[0].split())


def start_successor(log: Path, port: int) -> Process:
    """Start a gateway that takes a port over once the program that listens there ends.

    Args:
        log: The file that its output is appended to.
        port: The port, in use.

    Returns:
        The process, which has loaded its engines. It prints SPEKO_BASE_URL when it listens.
    """
    command = [sys.executable, *GATEWAY, "--port", str(port), "--wait"]
    process = Process("the gateway's successor", command, log, surroundings(), ROOT)
    _wait_until_ready(process, f"waiting for port {port}")
    return process


def start_worker(
    log: Path,
    livekit: LiveKit,
    speko: Mapping[str, str],
    agent_name: str = "",
    program: Sequence[str] = WORKER,
) -> Process:
    """Run an agent's program, and wait until it is registered.

    Args:
        log: The file that its output is appended to.
        livekit: The server that it takes calls from.
        speko: SPEKO_BASE_URL, SPEKO_API_KEY, and any further variables.
        agent_name: The name by which rooms request it; empty takes every room's call.
        program: The program and its arguments; `python examples/agent.py dev` by default.

    Returns:
        The process.

    Raises:
        ProcessFailed: It did not register.
    """
    own = {**speko, **livekit.environment, "LIVEKIT_AGENT_NAME": agent_name}
    environment = {**surroundings(), **own}
    process = Process("the worker", [sys.executable, *program], log, environment, ROOT)
    line = _wait_until_ready(process, f"registered worker|{REFUSED}")
    if line["error"] is not None:
        process.stop()
        raise ProcessFailed(
            f"The worker can't register at {livekit.url} ({line['error']}): check that the server "
            "runs there, and that LIVEKIT_API_KEY and LIVEKIT_API_SECRET are the server's."
        )
    return process


def _wait_until_ready(process: Process, line: str) -> re.Match[str]:
    """Wait for a line; stop a program that does not print it."""
    try:
        return process.wait_for(line, READY_S)
    except BaseException:
        process.stop()
        raise


def free_ports(count: int) -> list[int]:
    """Find ports of 127.0.0.1 that are free for TCP and UDP."""
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
