"""A session without an agent: how it closes, and what must not end or delay its call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livekit_plugins_speko.testing import (
    DropConnection,
    LocalGateway,
    MintedSession,
    RealtimeReply,
    RealtimeScript,
)
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.helpers.bare_session import bare, read
from tests.helpers.realtime_calls import speech


async def test_close_that_is_cancelled_ends_the_reply_all_the_same(gateway: LocalGateway) -> None:
    async with bare(gateway, "proxy", speech(0.2)) as call:
        event = await call.begun()
        closing = asyncio.create_task(call.session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        # Much sooner than the silence that ends a reply.
        assert (await within(read(event), 1.0, "the reply's end")).pcm == speech(0.2)


async def test_second_close_leaves_the_first_ones_work_alone(gateway: LocalGateway) -> None:
    async with bare(gateway, "proxy", speech(0.2)) as call:
        await call.begun()
        closing = asyncio.create_task(call.session.aclose())
        for _ in range(2):  # the link is told, and begins to end its connection
            await asyncio.sleep(0)
        await call.session.aclose()
        await closing
        connection = await call.connection()
        assert await within(connection.closed(), 1.0, "the connection's end") == 1000


@pytest.mark.parametrize("name", ["generation_created", "metrics_collected"])
async def test_listener_that_fails_does_not_end_the_call(
    gateway: LocalGateway, caplog: pytest.LogCaptureFixture, name: Any
) -> None:
    async with bare(gateway, "proxy", RealtimeReply("Noon.", audio=speech(0.1))) as call:
        call.session.on(name, lambda event: len(7))  # type: ignore[arg-type]
        assert (await call.reply()).text == "Noon."
    assert not call.of("error")
    assert "a listener of the realtime session failed" in caplog.text


async def test_report_that_hangs_does_not_hold_up_the_next_connection(
    gateway: LocalGateway,
) -> None:
    cut = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        cut.set()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    telemetry = {"endpoint": url, "token": "token", "flushIntervalMs": 5000}
    gateway.sessions.script(MintedSession(changes={"telemetry": telemetry}))
    gateway.realtime.always(RealtimeScript([RealtimeReply("Here again.", audio=speech(0.1))]))
    async with server, bare(gateway, "xai", DropConnection()) as call:
        assert (await call.reply()).text == "Here again."
        assert not cut.is_set()
    assert cut.is_set()
