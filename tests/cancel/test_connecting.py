"""Barge-in on the way to a connection: in TLS's handshake, in a proxy's tunnel, in nowhere."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from livekit_plugins_speko.testing import LocalGateway, Transcript
from tests.cancel.answers import DONE, Held
from tests.cancel.calls import (
    FEW_TURNS,
    SOON_S,
    Call,
    Watch,
    assert_nothing_left,
    assert_only_idle,
    cancel,
    cancel_after,
    chat,
    client_tasks,
    complete,
    later_and_later,
    new_client,
    nothing_reported,
    recognize,
    speak,
    transcribe,
)
from tests.cancel.servers import Server, TlsServer, TunnelProxy, black_hole, trusting
from tests.helpers.raw_server import EVENT_STREAM, answer
from tests.helpers.support import tone

SAID = answer(DONE, headers=EVENT_STREAM)
SPOKEN = answer([tone()], headers={"Content-Type": "audio/pcm;rate=24000"})
CALLS: dict[str, tuple[Call, bytes]] = {
    "complete": (complete, SAID),
    "recognize": (recognize, SAID),
    "chat": (chat, SAID),
    "speak": (speak, SPOKEN),
}
EACH = pytest.mark.parametrize("name", list(CALLS))
HOW = pytest.mark.parametrize("every_turn", [False, True], ids=["once", "in_every_turn"])


@HOW
@EACH
async def test_a_call_over_tls_can_be_cancelled_at_any_turn(name: str, every_turn: bool) -> None:
    call, answered = CALLS[name]
    server, tls = TlsServer(answered), trusting()
    with nothing_reported():
        async with server.listening():
            for turns in later_and_later():
                async with new_client(f"https://{server.address}", verify=tls) as speko:
                    over = await cancel_after(turns, speko, call, every_turn=every_turn)
                    await server.until_connections(0)
                    await call(speko, Watch())
                if over:
                    break


@HOW
@EACH
async def test_a_call_through_a_tunnel_can_be_cancelled_at_any_turn(
    name: str, every_turn: bool
) -> None:
    call, answered = CALLS[name]
    server, proxy, tls = TlsServer(answered), TunnelProxy(), trusting()
    with nothing_reported():
        async with server.listening(), proxy.listening():
            told = {"verify": tls, "proxy": f"http://{proxy.address}"}
            for turns in later_and_later():
                async with new_client(f"https://{server.address}", **told) as speko:
                    # The handshake inside of a tunnel has to be finished first.
                    over = await cancel_after(
                        turns, speko, call, every_turn=every_turn, at_once=False
                    )
                    await proxy.until_connections(0)
                    await call(speko, Watch())
                if over:
                    break


@EACH
async def test_a_call_whose_tunnel_is_never_ready_ends_soon(name: str) -> None:
    silent, proxy, watch = Server(), TunnelProxy(), Watch()
    with nothing_reported():
        async with silent.listening(), proxy.listening():
            told = {"verify": trusting(), "proxy": f"http://{proxy.address}"}
            async with new_client(f"https://{silent.address}", **told) as speko:
                task = asyncio.create_task(CALLS[name][0](speko, watch))
                await silent.until_connections(1)
                await asyncio.wait([task], timeout=0.05)
                await asyncio.wait_for(cancel(task), SOON_S)
                await proxy.until_connections(0)
                assert watch.errors == []


@HOW
@EACH
async def test_a_call_whose_handshake_never_ends_ends_at_once(name: str, every_turn: bool) -> None:
    server, before, watch = Server(), client_tasks(), Watch()
    with nothing_reported():
        async with server.listening():
            async with new_client(f"https://{server.address}", verify=trusting()) as speko:
                task = asyncio.create_task(CALLS[name][0](speko, watch))
                await server.until_connections(1)
                assert await cancel(task, every_turn=every_turn) <= FEW_TURNS
                await server.until_connections(0)
                await assert_nothing_left(speko, before)
                assert (watch.errors, assert_only_idle(speko)) == ([], 0)


@HOW
@EACH
async def test_a_call_whose_connection_never_comes_ends_at_once(
    name: str, every_turn: bool
) -> None:
    before, watch = client_tasks(), Watch()
    with black_hole() as address, nothing_reported():
        async with new_client(f"http://{address}") as speko:
            task = asyncio.create_task(CALLS[name][0](speko, watch))
            await asyncio.wait([task], timeout=0.05)
            assert await cancel(task, every_turn=every_turn) <= FEW_TURNS
            await assert_nothing_left(speko, before)
            assert (watch.errors, assert_only_idle(speko)) == ([], 0)


@EACH
async def test_a_call_to_a_service_that_never_accepts_closes_its_socket(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with new_client("http://{}:{}".format(*listener.getsockname())) as speko:
            task = asyncio.create_task(CALLS[name][0](speko, Watch()))
            await asyncio.wait([task], timeout=0.05)
            await cancel(task)
            with listener.accept()[0] as accepted:
                accepted.settimeout(SOON_S)
                while accepted.recv(65_536):
                    pass  # the request; TimeoutError if its end never comes


async def test_a_call_that_waits_for_a_connection_leaves_the_queue(gateway: LocalGateway) -> None:
    """Those behind it and in front of it get theirs."""
    answered = Held("text/event-stream")
    gateway.complete.always(answered)
    limits = httpx.Limits(max_connections=1)
    async with new_client(gateway.base_url, limits=limits) as speko:
        holder = asyncio.create_task(complete(speko, Watch()))
        await answered.settled()
        waiting = [asyncio.create_task(transcribe(speko, Watch())) for _ in range(3)]
        await asyncio.wait(waiting, timeout=0.05)
        gateway.transcribe.always(Transcript("hello"))
        await cancel(waiting[1])
        await cancel(holder)
        await asyncio.wait_for(asyncio.gather(waiting[0], waiting[2]), 5)
        assert assert_only_idle(speko) == 1
    assert len(gateway.requests_to("transcribe")) == 2
