"""Speech to speech: sessions with a voice model, and connections to it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from .._aio import timeout
from ..intent import IntentLike
from .realtime_connection import RealtimeConnection, to_connect_error
from .realtime_credentials import (
    DirectCredentials,
    RealtimeCredentials,
    parse_credentials,
    parse_renewal,
)
from .realtime_endpoints import is_safe_for_reports
from .realtime_messages import NotSupported
from .realtime_options import RealtimeOptions
from .realtime_plan import Plan, plan_connection
from .realtime_telemetry import UsageReporters
from .requests import HttpRequest
from .signatures import takes_options_of
from .transport import Transport
from .types import ChatTool
from .websocket import SocketLost, Sockets

READY_S = 10.0
"""Longest wait, in seconds, from connecting until the other side is ready."""

# The request may have been carried out: its response was lost.
_AMBIGUOUS = (
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)


class Realtime:
    """Sessions with voice models. Belongs to a `Speko`, as its ``realtime``.

    It owns the connections that it opened, until they are closed.
    """

    def __init__(self, transport: Transport, sockets: Sockets, *, base_url: str) -> None:
        """Use the client's connections, and its address to check others by."""
        self._transport = transport
        self._sockets = sockets
        self._base_url = base_url
        self._reporters = UsageReporters(transport, base_url=base_url)
        # Longest wait from connecting until the other side is ready. Tests use a shorter one.
        self.ready_s = READY_S
        # Connections that are open.
        self._open: set[RealtimeConnection] = set()
        # Tasks that close some of them.
        self._closing: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Close the connections that are open. Safe to call twice.

        They are closed also when the caller is cancelled meanwhile.
        """
        for connection in self._open:
            task = asyncio.create_task(connection.close(), name="speko_realtime_close")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if self._closing:
            await asyncio.wait(self._closing)
        await self._reporters.aclose()

    async def mint(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        voice: str | None = None,
        system_prompt: str | None = None,
        temperature: float | None = None,
        input_sample_rate: int | None = None,
        output_sample_rate: int | None = None,
        tools: Sequence[ChatTool | Mapping[str, Any]] | None = None,
        agent_id: str | None = None,
        intent: IntentLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl_seconds: int | None = None,
    ) -> RealtimeCredentials:
        """Make a session, and return its credentials: for `open`, or for a page.

        A request whose response was lost is repeated once, with the same idempotency key, so that
        it makes no second session.

        Args:
            provider: Provider of the model, together with `model`, or neither: then `intent` or
                the agent decides.
            model: Name of the model, such as ``gpt-realtime``.
            voice: Voice of the provider.
            system_prompt: Instructions for the whole session.
            temperature: The model's, 0 to 2.
            input_sample_rate: Rate of the audio to send, in Hz: 16000 or 24000. The connection's
                own property has the last word.
            output_sample_rate: Rate of the audio received, in Hz: 16000 or 24000.
            tools: Tools that the model may call; mappings are in the wire's spelling.
            agent_id: Hosted agent that the session belongs to.
            intent: The routing.
            metadata: Facts of your own, in JSON.
            ttl_seconds: Longest life of the session. 1800 at most is safe.

        Returns:
            `ProxyCredentials`, `DirectCredentials` or `HostedCredentials`, as the service chose.

        Raises:
            ValueError: An option that can't be used.
            SpekoApiError: The service failed, or its response can't be read.
            httpx.HTTPError: The network failed.
        """
        options = RealtimeOptions(
            provider=provider,
            model=model,
            voice=voice,
            system_prompt=system_prompt,
            temperature=temperature,
            input_sample_rate=input_sample_rate,
            output_sample_rate=output_sample_rate,
            tools=tools,
            agent_id=agent_id,
            intent=intent,
            metadata=metadata,
            ttl_seconds=ttl_seconds,
        )
        return await self.create(options, idempotency_key=str(uuid.uuid4()))

    @takes_options_of(mint)
    async def connect(self, **options: Any) -> RealtimeConnection:
        """Make a session and connect to its model. The options are those of `mint`.

        Returns:
            The connection, ready. Close it, or use it as a context manager.

        Raises:
            ValueError: An option that can't be used.
            SpekoApiError: As `mint` and `open`.
            httpx.HTTPError: The network failed during the request.
            TimeoutError: The model was not ready within 10 s.
        """
        return await self.open(await self.mint(**options))

    async def create(
        self, options: RealtimeOptions, *, idempotency_key: str
    ) -> RealtimeCredentials:
        """Make a session as `mint` does, with a key of the caller's own.

        Args:
            options: What to ask for.
            idempotency_key: Printable ASCII. Repetitions with it make no second session.

        Raises:
            SpekoApiError: The service failed, or its response can't be read.
            httpx.HTTPError: The network failed.
        """
        request = options.request(idempotency_key)
        try:
            return parse_credentials(await self._post(request))
        except _AMBIGUOUS:
            pass
        return parse_credentials(await self._post(request))

    async def open(self, credentials: RealtimeCredentials) -> RealtimeConnection:
        """Connect with the credentials of `mint`.

        Args:
            credentials: Unused ones: a token opens one connection.

        Returns:
            The connection, ready. Close it, or use it as a context manager.

        Raises:
            SpekoApiError: The other side refused or reported an error, with its code; it closed
                (`ConnectionClosed`, with code and reason); or the credentials name an address that
                must not be sent them (``UNSAFE_ENDPOINT``).
            NotSupported: The session needs WebRTC, or runs in Speko's own worker.
            TimeoutError: The other side was not ready within 10 s.
        """
        try:
            connection = await self._connect(plan_connection(credentials, self._base_url))
        except BaseException:
            self._reporters.report_unused(credentials)
            raise
        reporter = self._reporters.make(credentials)
        if reporter is not None:
            reporter.start()
            connection.take_reporter(reporter)
        return connection

    async def _connect(self, plan: Plan) -> RealtimeConnection:
        """Open a socket, and wait until the other side is ready."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self.ready_s
        ws = None
        try:
            ws = await self._sockets.connect_to(plan.target, timeout_s=self.ready_s)
        except SocketLost as lost:
            error = to_connect_error(lost)
        if ws is None:
            raise error
        connection = RealtimeConnection(
            ws,
            plan.codec,
            plan.credentials,
            reporter=None,
            renew=self._renew,
            closed=self._open.discard,
        )
        self._open.add(connection)
        is_late = False
        try:
            async with timeout(ends_s - loop.time()):
                await connection.open()
        except (TimeoutError, asyncio.TimeoutError):
            is_late = True
            await connection.close(reason="not_ready")
        except BaseException:
            await connection.close()
            raise
        if is_late:
            raise TimeoutError(f"{plan.target.peer} was not ready within {self.ready_s:g} s")
        return connection

    async def _renew(self, connection: RealtimeConnection) -> RealtimeConnection:
        """Renew a lease, and continue the conversation on a new socket."""
        before, handle = connection.credentials, connection.resumption_handle
        assert isinstance(before, DirectCredentials), "only these can be renewed"
        lease = before.reservation.lease_expires_at
        url, telemetry = before.reservation.renewal_url, before.telemetry
        assert url is not None and telemetry is not None, "as above"
        if not is_safe_for_reports(url, base_url=self._base_url):
            raise NotSupported("The session's renewalUrl must not be sent a token.")
        request = HttpRequest(
            method="POST",
            path="",
            url=url,
            bearer=telemetry.token,
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": f"renew:{before.attempt_id}:{lease}",
            },
            content=json.dumps({"previous_expires_at": lease}).encode(),
        )
        credentials = parse_renewal(await self._post(request), before)
        renewed = await self._connect(plan_connection(credentials, self._base_url, handle=handle))
        reporter = connection.hand_over_reporter()
        if reporter is not None:
            reporter.renew(credentials)
        renewed.take_reporter(reporter)
        return renewed

    async def _post(self, request: HttpRequest) -> object:
        async with self._transport.open(request) as response:
            return await response.json()
