"""The page's server: it serves the pages, and sessions to talk with an agent or a voice model.

    python -m examples.browser.server [--port 8080] [--origin https://calls.example.com]

| path | what it does |
| --- | --- |
| POST /api/conversations | makes a room with an agent in it; responds as Speko's client expects |
| POST /api/realtime-session | makes a session with a voice model; responds with its credentials |
| POST /api/livekit-webhook | ends the calls whose agent is gone; add it to LiveKit's webhooks |

With LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET it makes the rooms there, for the agent
named in LIVEKIT_AGENT_NAME; without a name, LiveKit dispatches an unnamed worker. Without them
Speko makes the rooms, with its hosted agent. That, and voice models, need SPEKO_API_KEY.

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

from examples.browser.calls import (
    ANY_SECURE_SOCKET,
    CannotStart,
    Service,
    Settings,
    connect_sources,
    read_servers,
)
from examples.browser.endpoints import (
    SERVICE,
    SETTINGS,
    WEBHOOK_PATH,
    make_conversation,
    make_realtime_session,
    open_clients,
    refusal,
    take_webhook,
)

FOLDER = Path(__file__).parent
LIVEKIT_CLIENT = FOLDER / "node_modules" / "livekit-client" / "dist" / "livekit-client.esm.mjs"
SCRIPT = "text/javascript; charset=utf-8"
HTML = "text/html; charset=utf-8"
# The served files with their types; no other file of this folder is served.
FILES: Mapping[str, tuple[Path, str]] = {
    "/": (FOLDER / "index.html", HTML),
    "/voice-model": (FOLDER / "voice_model.html", HTML),
    "/style.css": (FOLDER / "style.css", "text/css; charset=utf-8"),
    "/icon.svg": (FOLDER / "icon.svg", "image/svg+xml"),
    **{f"/{path.name}": (path, SCRIPT) for path in sorted(FOLDER.glob("*.js"))},
    "/livekit-client.mjs": (LIVEKIT_CLIENT, SCRIPT),
}
# The largest request, in bytes: the page's are tiny, LiveKit's webhooks have a few kilobytes.
MOST_BYTES = 64 * 1024
PORT = 8080
LOOPBACK = "127.0.0.1"
# The names of this server for a browser on this machine. Any other name that resolves here is a
# DNS rebinding attack by another page.
LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost", "::1"})

# The public address of a proxy in front; empty without one.
ORIGIN = web.AppKey("origin", str)


def build_app(
    settings: Settings | None, origin: str = "", service: Service | None = None
) -> web.Application:
    """Make the server's application.

    Args:
        settings: The LiveKit server of its calls; None lets Speko make them.
        origin: The public address of a proxy in front, such as https://calls.example.com.
        service: The Speko service. Without it there are no voice models.
    """
    app = web.Application(middlewares=[refuse_strangers], client_max_size=MOST_BYTES)
    app[ORIGIN] = origin
    if settings is not None:
        app[SETTINGS] = settings
    if service is not None:
        app[SERVICE] = service
    app.cleanup_ctx.append(open_clients)
    app.on_response_prepare.append(add_headers)
    for path in FILES:
        app.router.add_get(path, serve_file)
    app.router.add_post("/api/conversations", make_conversation)
    app.router.add_post("/api/realtime-session", make_realtime_session)
    app.router.add_post(WEBHOOK_PATH, take_webhook)
    return app


async def serve_file(request: web.Request) -> web.StreamResponse:
    """Return a file of the page."""
    path, content_type = FILES[request.path]
    return web.FileResponse(path, headers={"Content-Type": content_type})


@web.middleware
async def refuse_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests for other host names, and calls from other pages."""
    origin, host = request.app[ORIGIN], request.host
    proxied = bool(origin) and host == urlsplit(origin).netloc
    if not proxied and not is_loopback(host):
        return refusal(421, "This server does not go by that name: see its --origin.")
    own = {origin} if proxied else {origin, f"http://{host}"}
    # LiveKit's server is no page; it signs what it sends.
    is_page = request.method == "POST" and request.path != WEBHOOK_PATH
    if is_page and request.headers.get("Origin") not in own - {""}:
        return refusal(403, "Only the page of this server can ask it for a call.")
    return await handler(request)


def is_loopback(host: str) -> bool:
    """Return True if a Host header is a loopback name of this machine."""
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK_NAMES
    except ValueError:
        return False


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Limit the page to its own files and its media server, and forbid framing it."""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'self'; connect-src 'self' {media_sources(request)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    )
    response.headers["Permissions-Policy"] = "microphone=(self), camera=(), geolocation=()"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    # A token is for one caller. A browser may cache a file, and revalidates it.
    fresh = "no-store" if request.path.startswith("/api/") else "no-cache"
    response.headers["Cache-Control"] = fresh


def media_sources(request: web.Request) -> str:
    """Return the addresses of the media server of a page, as its policy has them."""
    app = request.app
    if request.path == "/voice-model":
        return app[SERVICE].sources if SERVICE in app else ""
    # Where Speko's rooms are is known with each call alone.
    hosted = f"{ANY_SECURE_SOCKET} https:"
    return connect_sources(app[SETTINGS].url) if SETTINGS in app else hosted


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
    parser = argparse.ArgumentParser(description="Serve the pages from which the agent is called.")
    add_arguments(parser)
    arguments = parser.parse_args()
    try:
        settings, service = read_servers(os.environ)
        check_page()
        listening = listen(arguments.port)
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Open {address(listening)}", flush=True)
    web.run_app(build_app(settings, arguments.origin or "", service), sock=listening, print=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
