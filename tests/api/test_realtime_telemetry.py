"""Reports of usage, and renewals, of sessions whose audio goes to the provider directly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livekit_plugins_speko import SpekoApiError
from livekit_plugins_speko.api.realtime_events import Close
from livekit_plugins_speko.api.realtime_messages import NotSupported
from tests.helpers.realtime_server import (
    TELEMETRY_TOKEN,
    Peer,
    RealtimeServer,
    Script,
    only_ready,
    renewed,
)

HANDLE = {"sessionResumptionUpdate": {"newHandle": "h1", "resumable": True}}


async def resumable(peer: Peer) -> None:
    await peer.ready()
    await peer.say(HANDLE, {"error": {"status": "MARK"}})


def quick(server: RealtimeServer, **changes: Any) -> RealtimeServer:
    """Let the server ask for a report every 50 ms."""
    session = server.session()
    server.changes = {
        "telemetry": {**session["telemetry"], "flushIntervalMs": 1},
        "reservation": {**session["reservation"], **changes},
    }
    return server


async def test_usage_is_reported_periodically_and_at_the_end() -> None:
    async with RealtimeServer("xai") as server:
        quick(server)
        async with server.client() as speko, await speko.realtime.connect():
            await server.reported.wait()
    assert len(server.reports) >= 2
    events = [event for body, _ in server.reports for event in body["events"]]
    assert {event["session_id"] for event in events} == {"s1"}
    assert {event["attempt_id"] for event in events} == {"a1"}
    usage, closed = events[:-1], events[-1]
    assert [event["event_id"] for event in usage] == [
        f"a1:usage.reported:{number}" for number in range(1, len(usage) + 1)
    ]
    lasted = [event["data"]["quantity_millis"] for event in usage]
    assert lasted == sorted(lasted) and 50 <= lasted[0] <= 5_000
    assert all(event["data"]["unit"] == "duration_seconds" for event in usage)
    assert (closed["type"], closed["event_id"]) == ("session.closed", "a1:session.closed")
    assert {headers["Authorization"] for _, headers in server.reports} == {
        f"Bearer {TELEMETRY_TOKEN}"
    }


async def test_reported_usage_is_no_more_than_what_is_paid_for() -> None:
    async with RealtimeServer("xai") as server:
        quick(server, authorizedDurationSeconds=0.01)
        async with server.client() as speko, await speko.realtime.connect():
            await server.reported.wait()
    assert server.reports[-1][0]["events"][0]["data"]["quantity_millis"] == 10


async def test_close_of_the_provider_is_reported_before_the_connection_is_closed() -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.ws.close(code=1011)

    async with RealtimeServer("xai", script) as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            assert [event async for event in connection] == [Close(code=1011, reason="")]
            await server.reported.wait()
    assert len(server.reports) == 1
    assert [event["type"] for event in server.reports[0][0]["events"]] == [
        "usage.reported",
        "session.closed",
    ]


async def refuse(peer: Peer) -> None:
    await peer.say({"error": {"status": "UNAVAILABLE", "message": "no"}})


async def never_ready(peer: Peer) -> None:
    await peer.until_gone()


@pytest.mark.parametrize(
    ("script", "changes"),
    [(refuse, {}), (never_ready, {}), (only_ready, {"endpoint": "ws://10.0.0.1/google"})],
)
async def test_session_that_could_not_be_connected_to_is_reported_closed(
    script: Script, changes: dict[str, Any]
) -> None:
    async with RealtimeServer("google", script, **changes) as server, server.client() as speko:
        speko.realtime.ready_s = 0.3
        with pytest.raises((SpekoApiError, TimeoutError)):
            await speko.realtime.connect()
        await server.reported.wait()
    [(body, headers)] = server.reports
    usage, closed = body["events"]
    assert usage["data"]["quantity_millis"] < 50
    assert (closed["type"], closed["event_id"]) == ("session.closed", "a1:session.closed")
    assert headers["Authorization"] == f"Bearer {TELEMETRY_TOKEN}"


async def test_report_of_an_unused_session_that_hangs_delays_no_error() -> None:
    over = asyncio.Event()

    async def hang() -> tuple[int, Any]:
        await over.wait()
        return 200, {}

    async with RealtimeServer("google", refuse) as server:
        server.report_response = hang
        async with server.client() as speko:
            with pytest.raises(SpekoApiError, match="no"):
                await speko.realtime.connect()
            assert "speko_realtime_unused" in {task.get_name() for task in asyncio.all_tasks()}
            await server.reported.wait()
        over.set()


@pytest.mark.parametrize("response", [(500, {}), (200, "x" * 200_000), (302, {})])
async def test_failed_report_does_not_affect_the_call(response: tuple[int, Any]) -> None:
    async with RealtimeServer("google") as server:
        quick(server).report_response = response
        async with server.client() as speko, await speko.realtime.connect() as connection:
            await server.reported.wait()
            await connection.commit()


async def test_stalled_report_delays_the_close_by_at_most_a_second() -> None:
    over = asyncio.Event()

    async def hang() -> tuple[int, Any]:
        await over.wait()
        return 200, {}

    loop = asyncio.get_running_loop()
    async with RealtimeServer("google") as server, server.client() as speko:
        server.report_response = hang
        connection = await speko.realtime.connect()
        began_s = loop.time()
        await connection.close()
        assert 0.9 < loop.time() - began_s < 2
        over.set()


async def test_close_cancelled_while_reporting_leaves_nothing_open() -> None:
    over = asyncio.Event()

    async def hang() -> tuple[int, Any]:
        await over.wait()
        return 200, {}

    async with RealtimeServer("google") as server, server.client() as speko:
        server.report_response = hang
        connection = await speko.realtime.connect()
        closing = asyncio.create_task(connection.close())
        await server.reported.wait()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        over.set()


@pytest.mark.parametrize(
    "telemetry",
    [
        None,
        {"endpoint": "http://10.0.0.1/telemetry", "token": TELEMETRY_TOKEN},
        {"endpoint": 7, "token": TELEMETRY_TOKEN},
        {"endpoint": "https://telemetry.example", "token": "a b"},
    ],
)
async def test_session_without_a_safe_place_to_report_to_reports_nothing(telemetry: object) -> None:
    async with RealtimeServer("xai", telemetry=telemetry) as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            await connection.commit()
    assert server.reports == []


async def test_renewal_continues_the_conversation_on_a_new_socket() -> None:
    setups: list[Any] = []

    async def continued(peer: Peer) -> None:
        setups.append((await peer.hear())["setup"])
        await peer.say({"setupComplete": {}})

    async with RealtimeServer("google", resumable, continued) as server, server.client() as speko:
        before = await speko.realtime.connect()
        assert not before.can_renew
        await anext(before)
        assert before.can_renew and before.resumption_handle == "h1"
        after = await before.renew()
        await before.close()
        assert server.reports == []
        assert after.lease_expires_at == "2030-06-01T00:00:00Z"
        assert after.expires_at == "2031-01-01T00:00:00Z"
        assert after.session_id == before.session_id
        await after.close()
    assert setups[0]["sessionResumption"] == {"handle": "h1"}
    assert server.peers[1].query == {"access_token": "renewed-SECRET5"}
    ((body, headers),) = server.renewals
    assert body == {"previous_expires_at": "2029-01-01T00:00:00Z"}
    assert headers["Idempotency-Key"] == "renew:a1:2029-01-01T00:00:00Z"
    assert headers["Authorization"] == f"Bearer {TELEMETRY_TOKEN}"
    assert len(server.reports) == 1


async def test_refused_renewal_leaves_the_connection_unchanged() -> None:
    async with RealtimeServer("google", resumable) as server, server.client() as speko:
        server.renewal_response = (409, {"error": "too late", "code": "LEASE_ENDED"})
        async with await speko.realtime.connect() as connection:
            await anext(connection)
            with pytest.raises(SpekoApiError, match="too late"):
                await connection.renew()
            await connection.commit()
    assert len(server.reports) == 1


@pytest.mark.parametrize("renewal", [renewed(credential=None), renewed(lease_expires_at=None)])
async def test_unreadable_renewal_is_an_error(renewal: dict[str, Any]) -> None:
    async with RealtimeServer("google", resumable) as server, server.client() as speko:
        server.renewal_response = (200, renewal)
        async with await speko.realtime.connect() as connection:
            await anext(connection)
            with pytest.raises(SpekoApiError, match="can't be read"):
                await connection.renew()


async def test_renewal_elsewhere_sends_no_token() -> None:
    async with RealtimeServer("google", resumable) as server, server.client() as speko:
        reservation = server.session()["reservation"]
        billing = {"renewalUrl": "http://10.0.0.1/renew"}
        server.changes = {"reservation": {**reservation, "billing": billing}}
        async with await speko.realtime.connect() as connection:
            await anext(connection)
            with pytest.raises(NotSupported, match="must not be sent a token"):
                await connection.renew()


@pytest.mark.parametrize("form", ["proxy", "xai"])
async def test_form_without_resumption_cannot_be_renewed(form: str) -> None:
    async with RealtimeServer(form, only_ready) as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            assert not connection.can_renew
            with pytest.raises(NotSupported, match="Make a new one"):
                await connection.renew()
