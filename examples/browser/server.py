"""The page's server: it serves the page, and tokens to join a room with the agent.

    python -m examples.browser.server [--port 8080] [--origin https://calls.example.com]

It needs LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET. With LIVEKIT_AGENT_NAME set, as for
the worker, it requests the agent of that name; without it, LiveKit dispatches an unnamed worker.

It listens on this machine alone. Any visitor can make a call, which costs you money: before you
expose it to a network, add a login in front of it (a proxy with https, without which browsers
refuse the microphone), and name the proxy's public address with --origin.
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
# The served files with their types; no other file of this folder is served.
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
# The names of this server for a browser on this machine. Any other name that resolves here is a
# DNS rebinding attack by another page.
LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost", "::1"})

SETTINGS = web.AppKey("settings", Settings)
# The public address of a proxy in front; empty without one.
ORIGIN = web.AppKey("origin", str)


def build_app(settings: Settings, origin: str = "") -> web.Application:
    """Make the server's application.

    Args:
        settings: The LiveKit server of its calls.
        origin: The public address of a proxy in front, such as https://calls.example.com.
    """
    app = web.Application(middlewares=[refuse_strangers])
    app[SETTINGS], app[ORIGIN] = settings, origin
    app.on_response_prepare.append(add_headers)
    for path in FILES:
        app.router.add_get(path, serve_file)
    app.router.add_post("/api/call", serve_call)
    return app


async def serve_file(request: web.Request) -> web.StreamResponse:
    """Return a file of the page."""
    path, content_type = FILES[request.path]
    return web.FileResponse(path, headers={"Content-Type": content_type})


async def serve_call(request: web.Request) -> web.Response:
    """Return the values that the page needs to make a call."""
    return web.json_response(new_call(request.app[SETTINGS]))


@web.middleware
async def refuse_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests for other host names, and calls from other pages."""
    origin, host = request.app[ORIGIN], request.host
    proxied = bool(origin) and host == urlsplit(origin).netloc
    if not proxied and not is_loopback(host):
        return refusal(421, "This server does not go by that name: see its --origin.")
    own = {origin} if proxied else {origin, f"http://{host}"}
    if request.method == "POST" and request.headers.get("Origin") not in own - {""}:
        return refusal(403, "Only the page of this server can ask it for a call.")
    return await handler(request)


def is_loopback(host: str) -> bool:
    """Return True if a Host header is a loopback name of this machine."""
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK_NAMES
    except ValueError:
        return False


def refusal(status: int, text: str) -> web.Response:
    """Return an error with a text that the page can show."""
    return web.json_response({"error": text}, status=status)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Limit the page to its own files and its LiveKit server, and forbid framing it."""
    livekit = connect_sources(request.app[SETTINGS].url)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'self'; connect-src 'self' {livekit}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    )
    response.headers["Permissions-Policy"] = "microphone=(self), camera=(), geolocation=()"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    # A token is for one caller. A browser may cache a file, and revalidates it.
    fresh = "no-store" if request.path.startswith("/api/") else "no-cache"
    response.headers["Cache-Control"] = fresh


def check_page(client: Path = LIVEKIT_CLIENT) -> None:
    """Raise CannotStart if the page's npm package is not installed."""
    if not client.is_file():
        raise CannotStart(
            "The page's LiveKit client is not installed: run `make browser`, or `npm ci` in "
            f"{FOLDER}."
        )


def listen(port: int) -> socket.socket:
    """Open a port on this machine alone; 0 takes a free one.

    Raises:
        CannotStart: The port can't be opened.
    """
    remedy = "name another with --port, or 0 for a free one."
    if not 0 <= port < 65_536:
        raise CannotStart(f"There is no port {port}: {remedy}")
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise CannotStart(f"Port {port} can't be opened ({error}): {remedy}") from error


def address(listening: socket.socket) -> str:
    """Return the page's address for a browser on this machine."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}"


def proxy_origin(url: str) -> str:
    """Return an address as browsers send it in a request's Origin header.

    Raises:
        argparse.ArgumentTypeError: It is not an address, or has more than scheme, host and port.
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
    origin_help = "public address of a proxy with a login in front"
    add("--origin", type=proxy_origin, metavar="URL", help=origin_help)


def main() -> int:
    """Read the command line and serve; return the exit status."""
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
