"""Reports of a provider-direct session's usage: best effort, and never in the way of the call."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress

import httpx

from .._aio import timeout
from ..errors import SpekoApiError
from ..log import logger
from .realtime_credentials import DirectCredentials, RealtimeCredentials, Telemetry
from .realtime_endpoints import is_safe_for_reports
from .requests import HttpRequest
from .response import drain
from .transport import Transport

REPORT_S = 5.0
"""Longest wait, in seconds, for one report."""

LAST_REPORT_S = 1.0
"""Longest wait, in seconds, for the last report, while a connection is closed."""

SHORTEST_INTERVAL_S = 0.05
"""Shortest time between two reports, in seconds, even if the service requests a shorter one."""

_FAULTS = (SpekoApiError, httpx.HTTPError, OSError, TimeoutError, asyncio.TimeoutError)


class UsageReporter:
    """Reports how long a session lasted. A renewed session keeps its reporter.

    It owns the task that reports; `aclose` ends it.
    """

    def __init__(self, transport: Transport, credentials: DirectCredentials) -> None:
        """Report through the client's connections. `start` begins."""
        self._transport = transport
        self._credentials = credentials
        self._began_s = asyncio.get_running_loop().time()
        # Moment of the end. None while the session lasts.
        self._ended_s: float | None = None
        # Number of the latest report.
        self._number = 0
        # Reports now and then, or for the last time. None before `start`.
        self._task: asyncio.Task[None] | None = None
        # True once a failure was logged.
        self._logged = False

    def renew(self, credentials: DirectCredentials) -> None:
        """Use the credentials of a renewed session."""
        self._credentials = credentials

    def start(self) -> None:
        """Begin to report in the background."""
        self._task = asyncio.create_task(self._run(), name="speko_realtime_usage")

    def end(self) -> None:
        """Report for the last time, in the background. Safe to call twice."""
        if self._ended_s is None:
            self._ended_s = asyncio.get_running_loop().time()
            before, self._task = self._task, asyncio.create_task(self._finish(self._task))
            if before is not None:
                before.cancel()

    async def aclose(self) -> None:
        """End, and wait for the last report, for `LAST_REPORT_S` at most."""
        self.end()
        assert self._task is not None, "the last report has begun"
        try:
            await asyncio.wait([self._task], timeout=LAST_REPORT_S)
        finally:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        telemetry = self._credentials.telemetry
        assert telemetry is not None, "there is a reporter only where there is a place to report to"
        while True:
            await asyncio.sleep(max(SHORTEST_INTERVAL_S, telemetry.flush_interval_ms / 1000))
            await self._report(telemetry, is_last=False)

    async def _finish(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        telemetry = self._credentials.telemetry
        assert telemetry is not None, "as above"
        await self._report(telemetry, is_last=True)

    async def _report(self, telemetry: Telemetry, *, is_last: bool) -> None:
        request = HttpRequest(
            method="POST",
            path="",
            url=telemetry.endpoint,
            bearer=telemetry.token,
            headers={"Content-Type": "application/json"},
            content=self._body(is_last=is_last),
        )
        try:
            async with timeout(REPORT_S), self._transport.open(request) as response:
                with suppress(*_FAULTS):
                    await drain(response.__aiter__())
        except _FAULTS as error:
            if not self._logged:
                self._logged = True
                logger.debug(
                    "a report of usage failed; the call is not affected",
                    extra={"error": type(error).__name__},
                )

    def _body(self, *, is_last: bool) -> bytes:
        self._number += 1
        attempt = self._credentials.attempt_id
        common = {
            "session_id": self._credentials.session_id,
            "attempt_id": attempt,
            "created_at_ms": int(time.time() * 1000),
        }
        usage = {
            **common,
            "type": "usage.reported",
            "event_id": f"{attempt}:usage.reported:{self._number}",
            "data": {"unit": "duration_seconds", "quantity_millis": self._quantity_ms()},
        }
        closed = {**common, "type": "session.closed", "event_id": f"{attempt}:session.closed"}
        events = [usage, closed] if is_last else [usage]
        return json.dumps({"events": events}, separators=(",", ":")).encode()

    def _quantity_ms(self) -> int:
        """Return the session's duration so far, in ms, up to what is paid for."""
        now = asyncio.get_running_loop().time() if self._ended_s is None else self._ended_s
        most = self._credentials.reservation.authorized_duration_seconds
        lasted = now - self._began_s
        return int(1000 * (lasted if most is None else min(lasted, most)))


class UsageReporters:
    """Makes the reporters of a client's sessions; owns those of sessions that were never used."""

    def __init__(self, transport: Transport, *, base_url: str) -> None:
        """Report through the client's connections, whose address others are checked by."""
        self._transport = transport
        self._base_url = base_url
        # Reporters whose only report is under way.
        self._ending: set[asyncio.Task[None]] = set()

    def make(self, credentials: RealtimeCredentials) -> UsageReporter | None:
        """Make the reporter of a session; None where there is no safe place to report to."""
        telemetry = credentials.telemetry if isinstance(credentials, DirectCredentials) else None
        if telemetry is None or not is_safe_for_reports(
            telemetry.endpoint, base_url=self._base_url
        ):
            return None
        assert isinstance(credentials, DirectCredentials), "others have no telemetry"
        return UsageReporter(self._transport, credentials)

    def report_unused(self, credentials: RealtimeCredentials) -> None:
        """Report, in the background, that a session is closed to which no one was connected."""
        reporter = self.make(credentials)
        if reporter is not None:
            task = asyncio.create_task(reporter.aclose(), name="speko_realtime_unused")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def aclose(self) -> None:
        """Wait for the reports that are under way, for `LAST_REPORT_S` at most."""
        if self._ending:
            await asyncio.wait(self._ending)
