"""The programs around the page: started when needed, stopped together."""

from __future__ import annotations

import signal
import warnings
from contextlib import ExitStack
from pathlib import Path

from examples.browser.calls import CannotStart, Settings
from examples.stack import (
    Process,
    ProcessFailed,
    livekit_server,
    start_gateway,
    start_livekit,
    start_worker,
)

# They end the programs. SIGHUP comes when the terminal is closed; Windows does not have it.
SIGNALS = (signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)]))


class Programs:
    """The running programs. Leaving the context stops them, the last started first."""

    def __init__(self, logs: Path) -> None:
        """Start none yet.

        Args:
            logs: The folder of their logs; the log of an earlier run is replaced.
        """
        self._logs = logs
        self._running: list[Process] = []
        self._stack = ExitStack()

    def __enter__(self) -> Programs:
        """Return itself; each of the signals interrupts a start as Ctrl+C does."""
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop them all; further signals are ignored meanwhile."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._stack.close()

    def livekit(self, webhook: str = "") -> Settings:
        """Start LiveKit's server; return its settings.

        Args:
            webhook: The address that it posts its events to; empty for none.
        """
        program = livekit_server()
        if program is None:
            raise CannotStart(
                "There is no LiveKit server on this machine: run `make livekit`, or set "
                "LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET of one elsewhere."
            )
        say("LiveKit's server: starting, since LIVEKIT_URL is not set ...")
        # The key of a development server is public, so it may also be short.
        warnings.filterwarnings("ignore", message="The HMAC key is")
        process, server = start_livekit(program, self._log("livekit"), webhook)
        self._own(process)
        say(f"LiveKit's server: {server.url}")
        return Settings(server.url, server.api_key, server.api_secret)

    def gateway(self) -> dict[str, str]:
        """Start the gateway; return the variables that point an agent to it."""
        say("The local gateway: starting, since SPEKO_API_KEY is not set ...")
        process, variables = start_gateway(self._log("gateway"))
        self._own(process)
        say(f"The local gateway: {variables['SPEKO_BASE_URL']}")
        return variables

    def worker(self, settings: Settings, variables: dict[str, str]) -> None:
        """Start the worker; return when it takes calls.

        Args:
            settings: The LiveKit server, and the name of the agent.
            variables: The variables that point it to Speko, and any further ones.
        """
        say("The worker: starting python examples/agent.py dev ...")
        name = settings.agent_name
        self._own(start_worker(self._log("worker"), settings.server, variables, name))
        say("The worker: takes calls" + (f' for the agent "{name}"' if name else ""))

    def look(self) -> None:
        """Raise ProcessFailed if one of them has ended."""
        for process in self._running:
            if not process.running:
                # LiveKit's server writes lines of many thousand characters.
                last = "\n".join(f"    {line[:200]}" for line in process.lines[-10:])
                raise ProcessFailed(f"{process.name} has ended. Its last lines:\n{last}")

    def _own(self, process: Process) -> None:
        self._running.append(self._stack.enter_context(process))

    def _log(self, name: str) -> Path:
        log = self._logs / f"{name}.log"
        log.unlink(missing_ok=True)
        return log


def say(text: str) -> None:
    """Print a line at once, also when the output is not a terminal."""
    print(text, flush=True)
