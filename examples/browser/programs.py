"""The programs around the page: started when they are needed, stopped together."""

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

# What ends the programs, also when the terminal is closed; Windows has no such signal.
SIGNALS = (signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)]))


class Programs:
    """Those that run. Leaving it stops them, the last started first."""

    def __init__(self, logs: Path) -> None:
        """Start none yet.

        Args:
            logs: Folder for what they print; a log of an earlier run is replaced.
        """
        self._logs = logs
        self._running: list[Process] = []
        self._stack = ExitStack()

    def __enter__(self) -> Programs:
        """Return itself; each of the signals ends the wait for a start as Ctrl+C does."""
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop them all, also when told to stop once more meanwhile."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._stack.close()

    def livekit(self) -> Settings:
        """Start LiveKit's server; returns where it is."""
        program = livekit_server()
        if program is None:
            raise CannotStart(
                "There is no LiveKit server on this machine: run `make livekit`, or set "
                "LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET of one elsewhere."
            )
        say("LiveKit's server: starting, since LIVEKIT_URL is not set ...")
        # The key of a development server is known to all, so it may be short, too.
        warnings.filterwarnings("ignore", message="The HMAC key is")
        process, server = start_livekit(program, self._log("livekit"))
        self._own(process)
        say(f"LiveKit's server: {server.url}")
        return Settings(server.url, server.api_key, server.api_secret)

    def gateway(self) -> dict[str, str]:
        """Start the gateway; returns the variables that lead an agent to it."""
        say("The local gateway: starting, since SPEKO_API_KEY is not set ...")
        process, variables = start_gateway(self._log("gateway"))
        self._own(process)
        say(f"The local gateway: {variables['SPEKO_BASE_URL']}")
        return variables

    def worker(self, settings: Settings, variables: dict[str, str]) -> None:
        """Start the worker; returns when it takes calls.

        Args:
            settings: Where it takes them from, and under which name.
            variables: Those that lead it to Speko, and whatever else it is to have.
        """
        say("The worker: starting python examples/agent.py dev ...")
        name = settings.agent_name
        self._own(start_worker(self._log("worker"), settings.server, variables, name))
        say("The worker: takes calls" + (f' for the agent "{name}"' if name else ""))

    def look(self) -> None:
        """Raise ProcessFailed when one of them has ended."""
        for process in self._running:
            if not process.running:
                # LiveKit's server writes lines of many thousand characters.
                told = "\n".join(f"    {line[:200]}" for line in process.lines[-10:])
                raise ProcessFailed(f"{process.name} has ended. The last that it said:\n{told}")

    def _own(self, process: Process) -> None:
        self._running.append(self._stack.enter_context(process))

    def _log(self, name: str) -> Path:
        log = self._logs / f"{name}.log"
        log.unlink(missing_ok=True)
        return log


def say(text: str) -> None:
    """Tell how far it is, at once, also where the output is no terminal."""
    print(text, flush=True)
