"""The page's server: serves the page, and tokens to join a room in which the agent answers.

    python -m examples.browser.server [--port 8080] [--origin https://calls.example.com]

It needs LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET. With LIVEKIT_AGENT_NAME set, as for
the worker, it asks for the agent of that name; without, a worker without a name comes.

It listens on this machine alone. Whoever reaches it can make a call, which costs you money: before
you put it on a network, put a login in front (a proxy with https, without which browsers refuse
the microphone), and name the address that the proxy is reached at with --origin.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from examples.browser.calls import CannotStart, Settings, connect_sources, new_call

FOLDER = Path(__file__).parent
LIVEKIT_CLIENT = FOLDER / "node_modules" / "livekit-client" / "dist" / "livekit-client.esm.mjs"
SCRIPT = "text/javascript; charset=utf-8"
# What is served, and as what; nothing else of this folder is.
FILES: Mapping[str, tuple[Path, str]] = {
    "/": (FOLDER / "index.html", "text/html; charset=utf-8"),
    "/style.css": (FOLDER / "style.css", "text/css; charset=utf-8"),
    "/icon.svg": (FOLDER / "icon.svg", "image/svg+xml"),
    "/app.js": (FOLDER / "app.js", SCRIPT),
    "/call.js": (FOLDER / "call.js", SCRIPT),
    "/meter.js": (FOLDER / "meter.js", SCRIPT),
    "/problems.js": (FOLDER / "problems.js", SCRIPT),
    "/transcript.js": (FOLDER / "transcript.js", SCRIPT),
    "/livekit-client.mjs": (LIVEKIT_CLIENT, SCRIPT),
}
PORT = 8080
LOOPBACK = "127.0.0.1"
# The names under which a browser on this machine may know it. Any other name that leads here
# belongs to a page that wants to speak to this server in its visitor's stead.
LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost", "::1"})

SETTINGS = web.AppKey("settings", Settings)
# Where a proxy in front serves the page; empty without one.
ORIGIN = web.AppKey("origin", str)


def build_app(settings: Settings, origin: str = "") -> web.Application:
    """Make the server's application.

    Args:
        settings: Where its calls are held.
        origin: Where a proxy in front serves the page, such as https://calls.example.com.
    """
    app = web.Application(middlewares=[refuse_strangers])
    app[SETTINGS], app[ORIGIN] = settings, origin
    app.on_response_prepare.append(add_headers)
    for path in FILES:
        app.router.add_get(path, serve_file)
    app.router.add_post("/api/call", serve_call)
    return app


async def serve_file(request: web.Request) -> web.StreamResponse:
    """Answer with a file of the page."""
    path, content_type = FILES[request.path]
    return web.FileResponse(path, headers={"Content-Type": content_type})


async def serve_call(request: web.Request) -> web.Response:
    """Answer with what the page needs to make a call."""
    return web.json_response(new_call(request.app[SETTINGS]))


@web.middleware
async def refuse_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve only those who know the server by its name, and calls only to its own page."""
    origin, host = request.app[ORIGIN], request.host
    proxied = bool(origin) and host == urlsplit(origin).netloc
    if not proxied and not is_loopback(host):
        return refusal(421, "This server does not go by that name: see its --origin.")
    own = {origin} if proxied else {origin, f"http://{host}"}
    if request.method == "POST" and request.headers.get("Origin") not in own - {""}:
        return refusal(403, "Only the page of this server can ask it for a call.")
    return await handler(request)


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine as its own browsers do."""
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK_NAMES
    except ValueError:
        return False


def refusal(status: int, text: str) -> web.Response:
    """Answer that something is not done, in words that the page can show."""
    return web.json_response({"error": text}, status=status)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page load what is its own, talk to its LiveKit server, and be framed by nobody."""
    livekit = connect_sources(request.app[SETTINGS].url)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'self'; connect-src 'self' {livekit}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    )
    response.headers["Permissions-Policy"] = "microphone=(self), camera=(), geolocation=()"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    # A token is for one caller. Of a file a browser keeps a copy, and asks whether it still holds.
    fresh = "no-store" if request.path.startswith("/api/") else "no-cache"
    response.headers["Cache-Control"] = fresh


def check_page(client: Path = LIVEKIT_CLIENT) -> None:
    """Raise CannotStart when what the page needs from npm is not there."""
    if not client.is_file():
        raise CannotStart(
            "The page's LiveKit client is not installed: run `make browser`, or `npm ci` in "
            f"{FOLDER}."
        )


def listen(port: int) -> socket.socket:
    """Open a port on this machine alone; 0 takes a free one.

    Raises:
        CannotStart: It can't be opened.
    """
    remedy = "name another with --port, or 0 for a free one."
    if not 0 <= port < 65_536:
        raise CannotStart(f"There is no port {port}: {remedy}")
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise CannotStart(f"Port {port} can't be opened ({error}): {remedy}") from error


def address(listening: socket.socket) -> str:
    """Where the page is, for a browser on this machine."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}"


def proxy_origin(url: str) -> str:
    """An address as browsers name it in a request's Origin header.

    Raises:
        argparse.ArgumentTypeError: It is no address, or has more than scheme, host and port.
    """
    parts = urlsplit(url.strip().lower())
    default = {"http": ":80", "https": ":443"}.get(parts.scheme)
    if default is None or not parts.netloc or parts.path.strip("/") or parts.query:
        raise argparse.ArgumentTypeError(f'it must be like https://calls.example.com, got "{url}"')
    return f"{parts.scheme}://{parts.netloc.removesuffix(default)}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the server's options to a command line."""
    add = parser.add_argument
    add("--port", type=int, default=PORT, help=f"port of the page; {PORT} by default, 0 for a free")
    told = "where a proxy with a login serves the page"
    add("--origin", type=proxy_origin, metavar="URL", help=told)


def main() -> int:
    """Read the command line and serve; returns the status to exit with."""
    parser = argparse.ArgumentParser(description="Serve the page from which the agent is called.")
    add_arguments(parser)
    arguments = parser.parse_args()
    try:
        settings = Settings.from_environment(os.environ)
        check_page()
        listening = listen(arguments.port)
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Open {address(listening)}", flush=True)
    web.run_app(build_app(settings, arguments.origin or ""), sock=listening, print=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
