"""`LocalGateway`: a stand-in for the Speko service on a port of this machine."""

from __future__ import annotations

import asyncio
import logging
import reprlib
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from aiohttp import web

from ._gateway.intake import check_request, read_request
from ._gateway.registered_tools import RegisteredTools
from ._gateway.request import GatewayRequest
from ._gateway.routes import Route
from ._gateway.server import LoopbackServer
from ._gateway.shapes import InvalidRequest
from ._gateway.waiting import Changes, within
from ._gateway.writer import AnswerWriter, ClientGone
from .answers import Answer, Refusal

_logger = logging.getLogger("livekit.plugins.speko.testing")
_repr = reprlib.Repr()
_repr.maxother = 120


class LocalGateway:
    """Serves the routes of the Speko API on 127.0.0.1, with answers set from Python.

    It checks requests as the service does and refuses wrong ones with the service's error body.
    A request that passes takes the next step of its route's script, or is answered by the route's
    engine; without either it is answered with status 500 and code `UNSCRIPTED`.

    It owns its port, the connections and the tasks that answer on them, and belongs to the event
    loop that entered it. Clients may be anywhere on this machine.

    Attributes:
        transcribe: What `POST /v1/transcribe` answers.
        complete: What `POST /v1/complete` answers.
        synthesize: What `POST /v1/synthesize` answers.
        tools: What `GET /v1/agents/{id}/tools` answers, before the registered tools.
        api_key: The only key that is let in.
        requests: Every request that came in whole, refused ones too, in order of arrival.
        prewarmed: How many `HEAD` requests came, which clients make to open a connection. They are
            answered with 204 and stand nowhere else.
    """

    def __init__(
        self,
        *,
        api_key: str = "local-gateway-key",
        json_answers: bool = False,
        strict: bool = True,
        port: int = 0,
    ) -> None:
        """Makes a gateway that does not listen yet.

        Args:
            api_key: The only key that is let in.
            json_answers: Whether `transcribe` and `complete` answer with one JSON object, as
                older and self-hosted services do, in place of an event stream.
            strict: Whether leaving `async with` raises when a request came that nobody expected,
                an engine failed, or a step of a script was not used.
            port: The port to listen on; 0 takes a free one.

        Raises:
            ValueError: The key is blank or not ASCII: no header could carry it.
        """
        if not api_key.strip() or not api_key.isascii():
            raise ValueError("LocalGateway: api_key is blank or not ASCII; give it any plain word.")
        self.api_key = api_key
        self.transcribe = Route("transcribe", json_answers=json_answers)
        self.complete = Route("complete", json_answers=json_answers)
        self.synthesize = Route("synthesize")
        self.tools = Route("tools")
        self.requests: list[GatewayRequest] = []
        self.prewarmed = 0
        self._routes = {
            route.name: route
            for route in (self.transcribe, self.complete, self.synthesize, self.tools)
        }
        self._registered = RegisteredTools()
        self.tools.use(self._registered)
        self._strict = strict
        # Requests that neither a script nor an engine had an answer for.
        self._unexpected: list[GatewayRequest] = []
        # True from the moment that aclose() begins: handlers it cancels are not the client's doing.
        self._closing = False
        self._changes = Changes()
        self._server = LoopbackServer(self._handle, self._changes, port)

    async def __aenter__(self) -> LocalGateway:
        """Starts to listen."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes everything; a strict gateway then says what did not go as scripted.

        Raises:
            AssertionError: See `strict`. Not when another exception is on its way already.
        """
        await self.aclose()
        problems = self.problems()
        if self._strict and exc is None and problems:
            cause = next((r.failure for r in self.requests if r.failure is not None), None)
            listed = "\n- ".join(problems)
            raise AssertionError(f"LocalGateway: not as scripted:\n- {listed}") from cause

    @property
    def base_url(self) -> str:
        """Where it listens, for a client's `base_url`. `RuntimeError` when it does not."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def open_connections(self) -> int:
        """How many sockets are open now, idle ones included."""
        return self._server.open_connections

    @property
    def in_flight(self) -> int:
        """How many requests are being answered now."""
        return self._server.in_flight

    async def start(self) -> None:
        """Opens its port on 127.0.0.1.

        Raises:
            RuntimeError: It listens already, or was closed.
            OSError: Another program listens on the port.
        """
        if self._server.listening or self._closing:
            raise RuntimeError("LocalGateway: started already; make a new one for each run.")
        await self._server.start()

    async def aclose(self) -> None:
        """Closes the port and all connections; cancels what is being answered. Never raises."""
        self._closing = True
        await self._server.aclose()

    def requests_to(self, route: str) -> list[GatewayRequest]:
        """Picks the requests of one route from the log.

        Args:
            route: `transcribe`, `complete`, `synthesize`, `tools` or `unknown`.

        Returns:
            A new list, in order of arrival.
        """
        return [request for request in self.requests if request.route == route]

    async def arrived(
        self, route: str, *, count: int = 1, within_s: float = 10.0
    ) -> GatewayRequest:
        """Waits until a route has had so many requests.

        Args:
            route: The route's name.
            count: How many, since the gateway started.
            within_s: How long to wait, in seconds.

        Returns:
            The last of them.

        Raises:
            TimeoutError: They did not come.
        """
        enough = self._changes.until(lambda: len(self.requests_to(route)) >= count)
        await within(enough, within_s, f"request {count} to {route}")
        return self.requests_to(route)[count - 1]

    async def idle(self, *, connections: int = 0, within_s: float = 10.0) -> None:
        """Waits until nothing is being answered and few enough connections are open.

        Args:
            connections: How many may stay open, for clients that keep idle ones.
            within_s: How long to wait, in seconds.

        Raises:
            TimeoutError: Something is still going on.
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
        """Sets the tools that are registered for an agent, in place of what it had.

        Args:
            agent_id: The agent, as it is before percent-encoding.
            rows: Tools that can run: `name`, `description`, `parameters`, and what else a row
                has. What the service fills in (`id`, `agentId`, `source`, `createdAt`,
                `updatedAt`) is filled in where it is missing.
            unavailable: Tools that could not run now: `available=1` leaves them out.
        """
        self._registered.register(agent_id, rows, unavailable)

    def problems(self) -> list[str]:
        """Tells what did not go as scripted so far: one line each, none when all went well."""
        unexpected = [f"unexpected request: {request}" for request in self._unexpected]
        failed = [
            f"the answer to {request} failed: {request.failure!r}"
            for request in self.requests
            if request.failure is not None
        ]
        unused = [
            f"unused step of {route.name}: {_repr.repr(answer)}"
            for route in self._routes.values()
            for answer in route.unused
        ]
        return unexpected + failed + unused

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Logs a request and answers it; the end of the answer is noted however it comes."""
        if http.method == "HEAD":
            self.prewarmed += 1
            self._changes.notify()
            return web.Response(status=204)
        request = await read_request(http)
        self.requests.append(request)
        self._changes.notify()
        writer = self._make_writer(http, request)
        try:
            return await self._answer(request, http.headers.get("Authorization"), writer)
        except asyncio.CancelledError:
            request.cancelled = not self._closing
            raise
        except ClientGone:
            request.cancelled = True
            return writer.response
        finally:
            request.mark_done()

    def _make_writer(self, http: web.BaseRequest, request: GatewayRequest) -> AnswerWriter:
        route = self._routes.get(request.route)
        if route is None:
            return AnswerWriter(http, request)
        return AnswerWriter(http, request, latency=route.latency, json_answers=route.json_answers)

    async def _answer(
        self, request: GatewayRequest, authorization: str | None, writer: AnswerWriter
    ) -> web.StreamResponse:
        """Sends the answer. What an engine or an answer raises is kept for the end of the run."""
        try:
            answer = await self._choose(request, authorization)
            await answer.write(writer)
            return await writer.finish()
        except ClientGone:
            raise
        except Exception as error:
            request.failure = error
            _logger.error("an answer failed", exc_info=error, extra={"request": str(request)})
            if writer.started:
                writer.abort()
                return writer.response
            await Refusal(500, f"{type(error).__name__}: {error}", "ENGINE_FAILED").write(writer)
            return await writer.finish()

    async def _choose(self, request: GatewayRequest, authorization: str | None) -> Answer:
        """Finds the answer to a request, after the checks."""
        try:
            check_request(request, authorization, self.api_key)
        except InvalidRequest as wrong:
            return Refusal(wrong.status, str(wrong), wrong.code)
        answer = await self._routes[request.route].answer(request)
        if answer is not None:
            return answer
        self._unexpected.append(request)
        told = (
            f"{request.route}: found no step in the script and no engine, expected one. "
            f"Use gateway.{request.route}.script(...), .always(...) or .use(...)."
        )
        return Refusal(500, told, "UNSCRIPTED")
