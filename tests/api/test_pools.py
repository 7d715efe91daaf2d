"""Which connections the calls of one client use, open and close."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from livekit_plugins_speko import Speko
from livekit_plugins_speko.api.pools import (
    KEEPALIVE_EXPIRY_S,
    MAX_EXCHANGES,
    ClientPool,
    Pools,
    users_pool,
)
from livekit_plugins_speko.testing import Gate, LocalGateway, Speech
from tests.helpers.client_calls import synthesize, transcribe
from tests.helpers.raw_server import RawServer, answer
from tests.helpers.tts_calls import PCM

CROWD = 3 * MAX_EXCHANGES + 1


async def crowd(gateway: LocalGateway, speko: Speko) -> None:
    """Make `CROWD` calls at the same time."""
    gate = Gate()
    gateway.synthesize.script(*(Speech([gate, PCM]) for _ in range(CROWD)))
    tasks = [asyncio.create_task(synthesize(speko)) for _ in range(CROWD)]
    await gateway.arrived("synthesize", count=len(gateway.requests) + CROWD)
    gate.open()
    await asyncio.gather(*tasks)


def pools_of(made: list[ClientPool]) -> Pools:
    """Pools for one exchange each, noted as they are made."""

    def make() -> ClientPool:
        made.append(ClientPool(httpx.AsyncClient(), owned=True))
        return made[-1]

    return Pools(make, most=1)


class Call:
    """An exchange under way."""

    async def aclose(self) -> None:
        """End it."""


async def test_many_calls_at_once_use_their_connections_again(
    gateway: LocalGateway, speko: Speko
) -> None:
    for _ in range(3):
        await crowd(gateway, speko)
        assert gateway.open_connections == CROWD
    await speko.aclose()
    await gateway.idle()


async def test_call_alone_uses_the_first_connection_again(
    gateway: LocalGateway, speko: Speko
) -> None:
    for _ in range(3):
        gateway.synthesize.script(Speech(PCM))
        await synthesize(speko)
        assert gateway.open_connections == 1


async def test_full_pool_is_followed_by_another() -> None:
    made: list[ClientPool] = []
    pools = pools_of(made)
    first = pools.pick()
    call = Call()
    first.running.add(call)
    assert pools.pick() is not first
    first.release(call)
    assert pools.pick() is first
    await pools.aclose()
    assert [pool.is_closed for pool in made] == [True, True]


@pytest.mark.parametrize(("idle_s", "closed"), [(0.0, False), (KEEPALIVE_EXPIRY_S + 1, True)])
async def test_pool_that_was_not_used_for_long_is_closed(idle_s: float, closed: bool) -> None:
    made: list[ClientPool] = []
    pools = pools_of(made)
    call = Call()
    pools.pick().running.add(call)
    pools.pick()
    for pool in made:
        pool.release(call)
        pool.idle_since -= idle_s
    pools.pick()
    await asyncio.sleep(0)
    assert [pool.is_closed for pool in made] == [False, closed]
    await pools.aclose()


async def test_closing_waits_for_a_pool_that_is_being_closed() -> None:
    made: list[ClientPool] = []
    pools = pools_of(made)
    call = Call()
    pools.pick().running.add(call)
    pools.pick().idle_since -= KEEPALIVE_EXPIRY_S + 1
    assert len(made) == 2
    pools.pick()
    await pools.aclose()
    assert all(pool.is_closed for pool in made)


async def test_users_client_serves_every_call() -> None:
    async with httpx.AsyncClient() as client:
        pools = users_pool(client)
        only = pools.pick()
        only.running.update(Call() for _ in range(CROWD))
        assert pools.pick() is only
        await pools.aclose()
        assert not pools.is_closed
    assert pools.is_closed


async def test_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(
        answer('{"text":"hello"}', headers={"Content-Type": "application/json"})
    ) as (proxy):
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        for name in ("http_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with Speko(api_key="k", base_url="http://speko.test", allow_http=True) as speko:
            assert (await transcribe(speko)).text == "hello"
    (head,) = proxy.heads
    assert head.startswith("POST http://speko.test/v1/transcribe HTTP/1.1\r\n")
