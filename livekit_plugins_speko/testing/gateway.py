"""`LocalGateway`: a stand-in for the Speko service on a port of this machine."""

from __future__ import annotations

import asyncio
import logging
import reprlib
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from aiohttp import web

from ._gateway.endpoint import Endpoint
from ._gateway.endpoints import (
    agents,
    complete,
    synthesize,
    tools,
    transcribe,
    transcribe_stream,
    voices,
)
from ._gateway.endpoints.realtime import RealtimeEndpoints
from ._gateway.endpoints.session_records import SessionRecords
from ._gateway.endpoints.sessions import SessionsRoute
from ._gateway.intake import check_request, read_request
from ._gateway.realtime_connection import RealtimeConnection
from ._gateway.recognition import RecognitionConnection
from ._gateway.request import GatewayRequest
from ._gateway.route import Route
from ._gateway.route_table import RouteTable
from ._gateway.server import LoopbackServer
from ._gateway.session_store import GatewaySession, SessionStore
from ._gateway.shapes import InvalidRequest
from ._gateway.socket_route import SocketRoute
from ._gateway.waiting import Changes, within
from ._gateway.writer import AnswerWriter, ClientGone
from .answers import Answer, Refusal

_logger = logging.getLogger("livekit.plugins.speko.testing")
_repr = reprlib.Repr()
_repr.maxother = 120


class LocalGateway:
    """The Speko API on 127.0.0.1, with answers set from Python.

    It checks requests as the service does and refuses invalid ones with the service's error body.
    A header line over 8190 bytes is refused with status 400 and code `HEADER_TOO_LARGE`, because
    servers and proxies refuse it by default. A valid request takes the next step of its route's
    script, or is answered by the route's engine; without either the response is status 500 with
    code `UNSCRIPTED`.

    It owns its port, the connections and the tasks that respond on them, and belongs to the event
    loop that entered it. Clients may be anywhere on this machine.

    Attributes:
        transcribe: The answers to `POST /v1/transcribe`.
        transcribe_stream: The answers to the WebSocket `GET /v1/transcribe/stream`.
        complete: The answers to `POST /v1/complete`.
        synthesize: The answers to `POST /v1/synthesize`.
        tools: The answers to `GET /v1/agents/{id}/tools`; after the script, the registered tools.
        sessions: The answers to `POST /v1/sessions`; after the script, a new session for each.
        realtime: The answers to the WebSockets of speech to speech, in each of the three forms.
        turns: The answers to `POST /v1/sessions/{id}/turns`; after the script, they are stored.
        transcript: The answers to `GET /v1/sessions/{id}/transcript`; the stored turns.
        calls: The answers to `POST /v1/calls/{id}/end`.
        telemetry: The answers to posts of usage; after the script, it is stored.
        renewals: The answers to posts that renew a lease.
        agents: The answers to `GET /v1/agents/{id}`; after the script, the registered agents.
        voices: The answers to `GET /v1/voices`; after the script, the registered voices.
        api_key: The only key that is accepted.
        requests: Every complete request, refused ones included, in order of arrival.
        prewarmed: The number of `HEAD` requests, which clients send to open a connection. They
            get a 204 and are not in `requests`.
    """

    def __init__(
        self,
        *,
        api_key: str = "local-gateway-key",
        json_answers: bool = False,
        strict: bool = True,
        port: int = 0,
    ) -> None:
        """Make a gateway that does not listen yet.

        Args:
            api_key: The only key that is accepted.
            json_answers: True if `transcribe` and `complete` respond with one JSON object, as
                older and self-hosted services do, instead of an event stream.
            strict: True if leaving `async with` raises after an unexpected request, a failed
                engine, or with an unused step of a script.
            port: The port to listen on; 0 takes a free one.

        Raises:
            ValueError: The key is blank or not ASCII: no header could carry it.
        """
        if not api_key.strip() or not api_key.isascii():
            raise ValueError("LocalGateway: api_key is blank or not ASCII; give it any plain word.")
        self.api_key = api_key
        self.requests: list[GatewayRequest] = []
        self.prewarmed = 0
        self._routes = RouteTable()
        self.transcribe = self._routes.add(transcribe.ENDPOINT, json_answers=json_answers)
        self.complete = self._routes.add(complete.ENDPOINT, json_answers=json_answers)
        self.synthesize = self._routes.add(synthesize.ENDPOINT)
        self.tools = self._routes.add(tools.ENDPOINT)
        self.transcribe_stream: SocketRoute[RecognitionConnection] = self._routes.register(
            SocketRoute(transcribe_stream.ENDPOINT.name), transcribe_stream.ENDPOINT
        )
        self._store = SessionStore()
        self._agents, self._voices = agents.RegisteredAgents(), voices.RegisteredVoices()
        minting, records = SessionsRoute(self._store, self._agents), SessionRecords(self._store)
        self.sessions = self._routes.register(minting, minting.endpoint)
        self.realtime: SocketRoute[RealtimeConnection] = self._routes.register(
            SocketRoute("realtime"), *RealtimeEndpoints(self._store).all
        )
        self.turns = self._routes.register(*records.turns())
        self.transcript = self._routes.register(*records.transcript())
        self.calls = self._routes.register(*records.calls())
        self.telemetry = self._routes.register(*records.telemetry())
        self.renewals = self._routes.register(*records.renewals())
        self.agents = self._routes.add(agents.ENDPOINT)
        self.agents.use(self._agents)
        self.voices = self._routes.add(voices.ENDPOINT)
        self.voices.use(self._voices)
        self._registered = tools.RegisteredTools()
        self.tools.use(self._registered)
        self._strict = strict
        # Requests that neither a script nor an engine had an answer for.
        self._unexpected: list[GatewayRequest] = []
        # True once aclose() has begun: a handler that it cancels was not cancelled by its client.
        self._closing = False
        self._changes = Changes()
        self._server = LoopbackServer(self._handle, self._changes, port)

    async def __aenter__(self) -> LocalGateway:
        """Start to listen."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close everything; a strict gateway then reports each problem.

        Raises:
            AssertionError: See `strict`. Not while another exception propagates.
        """
        await self.aclose()
        problems = self.problems()
        if self._strict and exc is None and problems:
            cause = next((r.failure for r in self.requests if r.failure is not None), None)
            listed = "\n- ".join(problems)
            raise AssertionError(f"LocalGateway: not as scripted:\n- {listed}") from cause

    @property
    def base_url(self) -> str:
        """The address, for a client's `base_url`. `RuntimeError` while it does not listen."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def open_connections(self) -> int:
        """The number of open sockets, idle ones included."""
        return self._server.open_connections

    @property
    def in_flight(self) -> int:
        """The number of requests in progress."""
        return self._server.in_flight

    async def start(self) -> None:
        """Open the port on 127.0.0.1.

        Raises:
            RuntimeError: It listens already, or was closed.
            OSError: Another program listens on the port.
        """
        if self._server.listening or self._closing:
            raise RuntimeError("LocalGateway: started already; make a new one for each run.")
        await self._server.start()

    async def aclose(self) -> None:
        """Close the port and all connections; cancel the requests in progress. Never raises."""
        self._closing = True
        await self._server.aclose()

    def requests_to(self, route: str) -> list[GatewayRequest]:
        """Return the requests of one route.

        Args:
            route: The route's name, such as `transcribe`; `unknown` for unknown paths.

        Returns:
            A new list, in order of arrival.
        """
        return [request for request in self.requests if request.route == route]

    async def arrived(
        self, route: str, *, count: int = 1, within_s: float = 10.0
    ) -> GatewayRequest:
        """Wait until a route has received `count` requests.

        Args:
            route: The route's name.
            count: The number of requests since the gateway started.
            within_s: The longest wait, in seconds.

        Returns:
            The last of them.

        Raises:
            TimeoutError: They did not arrive in time.
        """
        enough = self._changes.until(lambda: len(self.requests_to(route)) >= count)
        await within(enough, within_s, f"request {count} to {route}")
        return self.requests_to(route)[count - 1]

    async def idle(self, *, connections: int = 0, within_s: float = 10.0) -> None:
        """Wait until no request is in progress and few enough connections are open.

        Args:
            connections: The most that may stay open, for clients that keep idle ones.
            within_s: The longest wait, in seconds.

        Raises:
            TimeoutError: It is not idle in time.
        """
        quiet = self._changes.until(
            lambda: self.in_flight == 0 and self.open_connections <= connections
        )
        await within(quiet, within_s, f"the gateway having {connections} connections or fewer")

    def register_tools(
        self,
        agent_id: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        unavailable: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Set the tools that are registered for an agent, in place of earlier ones.

        Args:
            agent_id: The agent, before percent-encoding.
            rows: Tools that can run: `name`, `description`, `parameters`, and any other field of
                a row. Missing fields that the service fills in (`id`, `agentId`, `source`,
                `createdAt`, `updatedAt`) are added.
            unavailable: Tools that could not run now: `available=1` leaves them out.
        """
        self._registered.register(agent_id, rows, unavailable)

    def register_agent(self, agent_id: str, profile: Mapping[str, Any]) -> None:
        """Set the profile of a hosted agent, in place of an earlier one.

        Args:
            agent_id: The agent, before percent-encoding.
            profile: Its fields in the wire's spelling, such as `systemPrompt`.
        """
        self._agents.register(agent_id, profile)

    def register_voices(self, voices: Iterable[Mapping[str, Any]]) -> None:
        """Set the voices of the service, in place of earlier ones.

        Args:
            voices: Each has `vendor`, `id` and `name`, and any other field.
        """
        self._voices.register(voices)

    def register_session(self, session_id: str) -> GatewaySession:
        """Add a session that was not minted here, such as the one that a job names.

        Args:
            session_id: The session.

        Returns:
            The session, which collects the turns that are reported for it.
        """
        life_s = 900.0
        ends_at = time.time() + life_s
        return self._store.add(
            GatewaySession(
                *(session_id, "cascade", {}, None, None, ends_at, ends_at, ends_at, life_s)
            )
        )

    def session(self, session_id: str | None = None) -> GatewaySession:
        """Return a session with what was reported for it.

        Args:
            session_id: The session; None for the last one that was made.

        Returns:
            The session.

        Raises:
            LookupError: There is no such session.
        """
        found = self._store.last if session_id is None else self._store.get(session_id)
        if found is None:
            raise LookupError(f"LocalGateway: found no session {session_id or 'at all'}.")
        return found

    def problems(self) -> list[str]:
        """Return one line for each deviation from the scripts so far; empty if there is none."""
        unexpected = [f"unexpected request: {request}" for request in self._unexpected]
        failed = [
            f"the answer to {request} failed: {request.failure!r}"
            for request in self.requests
            if request.failure is not None
        ]
        unused = [
            f"unused step of {route.name}: {_repr.repr(answer)}"
            for route in self._routes
            for answer in route.unused
        ]
        return unexpected + failed + unused

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Log a request and respond to it; mark it as done whatever the outcome."""
        if http.method == "HEAD":
            self.prewarmed += 1
            self._changes.notify()
            return web.Response(status=204)
        request, endpoint = await read_request(http, self._routes)
        self.requests.append(request)
        self._changes.notify()
        route = self._routes.get(request.route) or Route(request.route)
        latency, json_answers = route.latency, route.json_answers
        on_connection = route.add if isinstance(route, SocketRoute) else None
        writer = AnswerWriter(
            http,
            request,
            latency=latency,
            json_answers=json_answers,
            on_connection=on_connection,
        )
        try:
            return await self._respond(http, endpoint, route, writer)
        except asyncio.CancelledError:
            request.cancelled = not self._closing and request.close_code in (None, 1006)
            raise
        except ClientGone:
            request.cancelled = True
            return writer.response
        finally:
            request.mark_done()

    async def _respond(
        self,
        http: web.BaseRequest,
        endpoint: Endpoint | None,
        route: Route,
        writer: AnswerWriter,
    ) -> web.StreamResponse:
        """Send the answer. An exception of an engine or an answer is kept for `problems`."""
        try:
            answer = await self._choose(http, writer.request, endpoint, route)
            await answer.write(writer)
            return await writer.finish()
        except ClientGone:
            raise
        except Exception as error:
            writer.request.failure = error
            _logger.error("answer failed", exc_info=error, extra={"request": str(writer.request)})
            if writer.started:
                writer.abort()
                return writer.response
            await Refusal(500, f"{type(error).__name__}: {error}", "ENGINE_FAILED").write(writer)
            return await writer.finish()

    async def _choose(
        self,
        http: web.BaseRequest,
        request: GatewayRequest,
        endpoint: Endpoint | None,
        route: Route,
    ) -> Answer:
        """Check a request and choose its answer."""
        try:
            check_request(http, request, endpoint, api_key=self.api_key, routes=self._routes)
        except InvalidRequest as invalid:
            return Refusal(invalid.status, str(invalid), invalid.code)
        answer = await route.answer(request)
        if answer is not None:
            return answer
        self._unexpected.append(request)
        error = (
            f"{request.route}: found no step in the script and no engine, expected one. "
            f"Use gateway.{request.route}.script(...), .always(...) or .use(...)."
        )
        return Refusal(500, error, "UNSCRIPTED")
