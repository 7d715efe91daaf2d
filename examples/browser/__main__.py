"""A conversation in the browser, with one command: `make browser`, or

    python -m examples.browser [--port 8080] [--logs browser-output] [--no-worker | --hosted]

It starts on this machine what the environment does not name:

- without LIVEKIT_URL, LiveKit's server, as `make livekit` built it;
- without SPEKO_API_KEY, the local gateway with the demo's engines, also for the voice model;
- the worker, `python examples/agent.py dev`, unless --no-worker says that one runs elsewhere.

With --hosted it starts nothing: Speko's hosted agent answers, which needs SPEKO_API_KEY, and takes
SPEKO_AGENT_ID. On a LiveKit server of yours, add /api/livekit-webhook to its webhooks, so that
a caller whose agent is lost is told so.

It prints the page's address and serves it until Ctrl+C or SIGTERM, which stop everything in order.
If one of the programs ends by itself, it reports which and why, and exits with status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from examples.browser.calls import CannotStart, Service, Settings
from examples.browser.endpoints import WEBHOOK_PATH
from examples.browser.programs import SIGNALS, Programs, say
from examples.browser.server import add_arguments, address, build_app, check_page, listen
from examples.stack import PROXIES, ProcessFailed

# The interval of the checks that all programs are running, in seconds.
LOOK_EVERY_S = 0.5


def is_set(variable: str) -> bool:
    """Return True if an environment variable is set and not blank."""
    return bool(os.environ.get(variable, "").strip())


def named(*prefixes: str) -> dict[str, str]:
    """Return the environment variables with one of these prefixes, in any case."""
    return {k: v for k, v in os.environ.items() if k.upper().startswith(prefixes)}


def start(programs: Programs, with_worker: bool, webhook: str) -> tuple[Settings, Service | None]:
    """Start what the environment does not name; return the servers of the calls."""
    agent_name = os.environ.get("LIVEKIT_AGENT_NAME", "")
    if is_set("LIVEKIT_URL"):
        settings = Settings.from_environment(os.environ)
        if with_worker and not agent_name:
            # A worker without a name would take the calls of all other apps on that server.
            agent_name = f"speko-browser-{secrets.token_hex(4)}"
    else:
        settings = programs.livekit(webhook)
    settings = replace(settings, agent_name=agent_name)
    speko: Mapping[str, str] = named("SPEKO_")
    if with_worker:
        speko = speko if is_set("SPEKO_API_KEY") else {**speko, **programs.gateway()}
        # A proxy may be needed for a server elsewhere, never for the one started here.
        elsewhere = named("LIVEKIT_", *PROXIES) if is_set("LIVEKIT_URL") else {}
        programs.worker(settings, {**elsewhere, **speko})
    elif not is_set("LIVEKIT_URL"):
        variables = settings.server.environment
        say("A worker needs " + " ".join(f"{name}={value}" for name, value in variables.items()))
    return settings, Service.from_environment(speko)


def hosted() -> Service:
    """Return the service that makes all calls.

    Raises:
        CannotStart: There is no key.
    """
    service = Service.from_environment(os.environ)
    if service is None:
        raise CannotStart("Set SPEKO_API_KEY: Speko's hosted agent needs it.")
    return service


async def serve(app: web.Application, listening: socket.socket, programs: Programs) -> None:
    """Serve the page until a signal arrives or one of the programs ends."""
    stop = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        say(f"\nOpen {address(listening)}    (Ctrl+C stops everything)")
        while not stop.is_set():
            programs.look()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
    finally:
        await runner.cleanup()


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.browser", description="Talk with the agent in the browser."
    )
    add_arguments(parser)
    add = parser.add_argument
    add("--logs", type=Path, default=Path("browser-output"), help="folder for the programs' logs")
    which = parser.add_mutually_exclusive_group()
    none_help = "start no worker, because one runs elsewhere"
    which.add_argument("--no-worker", action="store_true", help=none_help)
    hosted_help = "start nothing, and talk to Speko's hosted agent"
    which.add_argument("--hosted", action="store_true", help=hosted_help)
    return parser.parse_args()


def main() -> int:
    """Start everything, serve, and stop everything; return the exit status."""
    arguments = read_arguments()
    try:
        check_page()
        with listen(arguments.port) as listening, Programs(arguments.logs) as programs:
            settings: Settings | None = None
            if arguments.hosted:
                service: Service | None = hosted()
            else:
                webhook = f"{address(listening)}{WEBHOOK_PATH}"
                settings, service = start(programs, not arguments.no_worker, webhook)
            app = build_app(settings, arguments.origin or "", service)
            asyncio.run(serve(app, listening, programs))
            say("Stopping ...")
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    except ProcessFailed as error:
        print(f"{error}\nThe full output is in {arguments.logs}/.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
