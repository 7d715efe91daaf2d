"""A service for speech to speech on a real socket, whose every step a test scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeAlias

import aiohttp
from aiohttp import web

from livekit_plugins_speko import Speko
from tests.helpers.realtime_frames import TOOL

KEY = "sk-realtime-test-key"
WS_TOKEN = "ws-token-SECRET1"
CREDENTIAL = "provider-SECRET2"
TELEMETRY_TOKEN = "telemetry-SECRET3"
HOSTED_TOKEN = "hosted-SECRET4"
SECRETS = (KEY, WS_TOKEN, CREDENTIAL, TELEMETRY_TOKEN, HOSTED_TOKEN)

READY: dict[str, dict[str, Any]] = {
    "proxy": {"t": "ready", "inputSampleRate": 16_000, "outputSampleRate": 24_000},
    "xai": {"type": "session.updated"},
    "google": {"setupComplete": {}},
}
ADAPTERS = {"xai": "xai.realtime.v1", "google": "google.live.v1"}


class Peer:
    """The server's end of one socket, and the frames received on it."""

    def __init__(self, ws: web.WebSocketResponse, request: web.Request, form: str) -> None:
        self.ws = ws
        self.form = form
        self.headers = request.headers
        self.query = request.query
        # Path and query as they came.
        self.target = request.raw_path
        # The close code of the client. None before it closed.
        self.close_code: int | None = None
        self.gone = asyncio.Event()

    async def say(self, *frames: dict[str, Any] | bytes) -> None:
        """Send messages, or binary frames."""
        for frame in frames:
            if isinstance(frame, bytes):
                await self.ws.send_bytes(frame)
            else:
                await self.ws.send_str(json.dumps(frame))

    async def ready(self) -> None:
        """Receive the frame that opens the session, and send that it is ready."""
        if self.form != "proxy":
            await self.ws.receive()
        await self.say(READY[self.form])

    async def hear(self) -> Any:
        """The next frame: bytes, or the object of its JSON."""
        message = await self.ws.receive()
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        return json.loads(message.data) if isinstance(message.data, str) else message.data

    async def until_gone(self) -> None:
        """Read on until the client is gone."""
        async for _ in self.ws:
            pass


Script: TypeAlias = Callable[[Peer], Awaitable[None]]
"""The server's behaviour on a socket. Then it reads on until the client is gone."""

Response: TypeAlias = tuple[int, Any] | Callable[[], Awaitable[tuple[int, Any]]]
"""A status and a body, or a coroutine that waits before it returns them."""


async def only_ready(peer: Peer) -> None:
    await peer.ready()


class RealtimeServer:
    """Serves ``POST /v1/sessions``, a socket of each form, telemetry and renewals.

    Attributes:
        requests: The bodies of the requests for a session, with their headers.
        peers: The sockets that were opened, in order.
        reports: The bodies of the reports of usage, with their headers.
        renewals: The bodies of the renewals, with their headers.
    """

    def __init__(self, form: str = "proxy", *scripts: Script, **changes: Any) -> None:
        """Serve sessions of a form: proxy, xai, google, openai or livekit.

        Args:
            form: The form.
            scripts: What each socket does; the last one again and again.
            changes: Keys of the response that have other values.
        """
        self.form = form
        self.scripts = scripts or (only_ready,)
        self.changes = changes
        self.requests: list[tuple[dict[str, Any], Any]] = []
        self.peers: list[Peer] = []
        self.reports: list[tuple[dict[str, Any], Any]] = []
        self.renewals: list[tuple[dict[str, Any], Any]] = []
        # Responses to the requests for a session, before those of the form.
        self.responses: list[Response] = []
        # Response to each report, and to each renewal.
        self.report_response: Response = (200, {})
        self.renewal_response: Response = (200, renewed())
        # Set when a report came.
        self.reported = asyncio.Event()
        self._failures: list[Exception] = []

    async def __aenter__(self) -> RealtimeServer:
        app = web.Application()
        app.router.add_post("/v1/sessions", self._session)
        app.router.add_post("/telemetry", self._report)
        app.router.add_post("/renew", self._renewal)
        app.router.add_get("/{form}", self._socket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
        if exc is None and self._failures:
            raise self._failures[0]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> Speko:
        return Speko(base_url=self.base_url, api_key=KEY, **options)

    def session(self) -> dict[str, Any]:
        """The response to a request for a session."""
        common = {"mode": "s2s", "sessionId": "s1", "expiresAt": "2030-01-01T00:00:00Z"}
        if self.form == "livekit":
            hosted = {"transport": "livekit", "transportUrl": "wss://rooms.example"}
            return {**common, **hosted, "transportToken": HOSTED_TOKEN, **self.changes}
        if self.form != "proxy":
            return {**common, **self._direct(), **self.changes}
        rates = {"inputSampleRate": 24_000, "outputSampleRate": 24_000}
        url = f"ws://127.0.0.1:{self.port}/proxy"
        return {**common, "wsUrl": url, "wsToken": WS_TOKEN, **rates, **self.changes}

    def _direct(self) -> dict[str, Any]:
        provider = "google" if self.form == "google" else self.form
        return {
            "transport": "provider_direct",
            "planId": "p1",
            "attemptId": "a1",
            "provider": provider,
            "model": "voice-1",
            "adapter": ADAPTERS.get(self.form, "openai.realtime.v1"),
            "providerTransport": "webrtc" if self.form == "openai" else "websocket",
            "endpoint": f"ws://127.0.0.1:{self.port}/{self.form}",
            "credential": {
                "kind": "bearer",
                "value": CREDENTIAL,
                "expiresAt": "2030-01-01T00:00:00Z",
            },
            "telemetry": {
                "endpoint": f"{self.base_url}/telemetry",
                "token": TELEMETRY_TOKEN,
                "flushIntervalMs": 60_000,
            },
            "reservation": {
                "id": "res1",
                "authorizedDurationSeconds": 600,
                "leaseExpiresAt": "2029-01-01T00:00:00Z",
                "billing": {"mode": "direct", "renewalUrl": f"{self.base_url}/renew"},
            },
            "session": {
                "voice": "eve",
                "instructions": "Be brief.",
                "temperature": 0,
                "tools": [{**TOOL, "extra": 1}],
            },
        }

    async def _session(self, request: web.Request) -> web.Response:
        self.requests.append((await request.json(), request.headers))
        if self.responses:
            return await self._respond(self.responses.pop(0))
        return web.json_response(self.session())

    async def _report(self, request: web.Request) -> web.Response:
        self.reports.append((await request.json(), request.headers))
        self.reported.set()
        return await self._respond(self.report_response)

    async def _renewal(self, request: web.Request) -> web.Response:
        self.renewals.append((await request.json(), request.headers))
        return await self._respond(self.renewal_response)

    async def _respond(self, response: Response) -> web.Response:
        status, body = response if isinstance(response, tuple) else await response()
        if isinstance(body, dict):
            return web.json_response(body, status=status)
        return web.Response(text=str(body), status=status)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        protocols = request.headers.get("Sec-WebSocket-Protocol", "")
        ws = web.WebSocketResponse(protocols=tuple(filter(None, protocols.split(","))), timeout=0.1)
        await ws.prepare(request)
        peer = Peer(ws, request, request.match_info["form"])
        script = self.scripts[min(len(self.peers), len(self.scripts) - 1)]
        self.peers.append(peer)
        try:
            await script(peer)
            await peer.until_gone()
        except AssertionError as failure:
            self._failures.append(failure)
        except ConnectionError:
            pass  # the client is gone
        finally:
            peer.close_code = ws.close_code
            peer.gone.set()
        return ws


def renewed(**changes: Any) -> dict[str, Any]:
    """The response to a renewal."""
    credential = {
        "kind": "bearer",
        "value": "renewed-SECRET5",
        "expires_at": "2031-01-01T00:00:00Z",
    }
    return {"lease_expires_at": "2030-06-01T00:00:00Z", "credential": credential, **changes}
