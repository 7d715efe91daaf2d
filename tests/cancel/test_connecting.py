"""Barge-in on the way to a connection: a TLS handshake, a proxy's tunnel, no connection at all."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from livekit_plugins_speko.testing import LocalGateway, Transcript
from tests.cancel.answers import DONE, Held
from tests.cancel.calls import (
    FEW_TURNS,
    SOON_S,
    Call,
    Watch,
    assert_no_task_left,
    assert_usable,
    cancel,
    cancel_after,
    client_tasks,
    complete,
    later_and_later,
    new_client,
    nothing_reported,
    speak,
    transcribe,
)
from tests.cancel.servers import Server, TlsServer, TunnelProxy, black_hole, trusting
from tests.helpers.raw_server import EVENT_STREAM, answer
from tests.helpers.support import tone

SAID = answer(DONE, headers=EVENT_STREAM)
SPOKEN = answer([tone()], headers={"Content-Type": "audio/pcm;rate=24000"})

# A call of the client alone, and one through LiveKit's streams.
EACH = pytest.mark.parametrize(
    ("call", "answered"), [(complete, SAID), (speak, SPOKEN)], ids=["complete", "speak"]
)
CALL = pytest.mark.parametrize("call", [complete, speak])
HOW = pytest.mark.parametrize("every_turn", [False, True], ids=["once", "in_every_turn"])


async def cancel_at_each_turn(call: Call, url: str, *, every_turn: bool, **options: Any) -> None:
    """Cancel a call to a TLS server at each turn, on a new client each time."""
    for turns in later_and_later():
        async with new_client(url, verify=trusting(), **options) as speko:
            # The handshake inside of a tunnel must be finished first.
            at_once = "proxy" not in options
            over = await cancel_after(turns, speko, call, every_turn=every_turn, at_once=at_once)
            await assert_usable(speko, call)
        if over:
            return


@HOW
@EACH
async def test_a_call_over_tls_can_be_cancelled_at_any_turn(
    call: Call, answered: bytes, every_turn: bool
) -> None:
    server = TlsServer(answered)
    with nothing_reported():
        async with server.listening():
            url = f"https://{server.address}"
            await cancel_at_each_turn(call, url, every_turn=every_turn)


@HOW
@EACH
async def test_a_call_through_a_proxy_s_tunnel_can_be_cancelled_at_any_turn(
    call: Call, answered: bytes, every_turn: bool
) -> None:
    server, proxy = TlsServer(answered), TunnelProxy()
    with nothing_reported():
        async with server.listening(), proxy.listening():
            url, proxy_url = f"https://{server.address}", f"http://{proxy.address}"
            await cancel_at_each_turn(call, url, every_turn=every_turn, proxy=proxy_url)


@CALL
async def test_a_call_whose_tunnel_is_never_ready_ends_soon(call: Call) -> None:
    silent, proxy, watch = Server(), TunnelProxy(), Watch()
    with nothing_reported():
        async with silent.listening(), proxy.listening():
            options = {"verify": trusting(), "proxy": f"http://{proxy.address}"}
            async with new_client(f"https://{silent.address}", **options) as speko:
                task = asyncio.create_task(call(speko, watch))
                await silent.until_connections(1)
                await asyncio.wait([task], timeout=0.05)
                await asyncio.wait_for(cancel(task), SOON_S)
                await proxy.until_connections(0)
                assert watch.errors == []


@HOW
@CALL
async def test_a_call_whose_handshake_never_ends_is_cancelled_at_once(
    call: Call, every_turn: bool
) -> None:
    server, before, watch = Server(), client_tasks(), Watch()
    with nothing_reported():
        async with server.listening():
            async with new_client(f"https://{server.address}", verify=trusting()) as speko:
                task = asyncio.create_task(call(speko, watch))
                await server.until_connections(1)
                assert await cancel(task, every_turn=every_turn) <= FEW_TURNS
                await server.until_connections(0)
                await assert_no_task_left(before)
                assert watch.errors == []


@HOW
@CALL
async def test_a_call_that_is_never_connected_is_cancelled_at_once(
    call: Call, every_turn: bool
) -> None:
    before, watch = client_tasks(), Watch()
    with black_hole() as address, nothing_reported():
        async with new_client(f"http://{address}") as speko:
            task = asyncio.create_task(call(speko, watch))
            await asyncio.wait([task], timeout=0.05)
            assert await cancel(task, every_turn=every_turn) <= FEW_TURNS
            await assert_no_task_left(before)
            assert watch.errors == []


async def test_a_call_to_a_service_that_never_accepts_closes_its_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with new_client("http://{}:{}".format(*listener.getsockname())) as speko:
            task = asyncio.create_task(complete(speko, Watch()))
            await asyncio.wait([task], timeout=0.05)
            await cancel(task)
            with listener.accept()[0] as accepted:
                accepted.settimeout(SOON_S)
                while accepted.recv(65_536):
                    pass  # the request; TimeoutError if its end never comes


async def test_a_cancelled_call_leaves_the_queue_for_a_connection(gateway: LocalGateway) -> None:
    """The calls before and after it get their connection."""
    held = Held("text/event-stream")
    gateway.complete.always(held)
    async with new_client(gateway.base_url) as speko:
        holder = asyncio.create_task(complete(speko, Watch()))
        await held.settled()
        waiting = [asyncio.create_task(transcribe(speko, Watch())) for _ in range(3)]
        await asyncio.wait(waiting, timeout=0.05)
        gateway.transcribe.always(Transcript("hello"))
        await cancel(waiting[1])
        await cancel(holder)
        await asyncio.wait_for(asyncio.gather(waiting[0], waiting[2]), SOON_S)
    assert len(gateway.requests_to("transcribe")) == 2
