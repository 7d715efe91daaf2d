"""One request in a task of its own: its bytes, its end, its faults. Cancelling: test_cancel.py."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator

import httpx
import pytest

from livekit_plugins_speko import Speko
from livekit_plugins_speko.api.exchange import Exchange
from livekit_plugins_speko.api.limits import MAX_WAITING_CHUNKS
from livekit_plugins_speko.api.pools import ClientPool
from livekit_plugins_speko.api.synthesis import SynthesizeStream
from livekit_plugins_speko.testing import Gate, LocalGateway, Speech
from tests.helpers.client_calls import transcribe
from tests.helpers.raw_server import RawServer, answer


def get(client: httpx.AsyncClient, server: RawServer) -> Exchange:
    request = client.build_request("GET", server.base_url)
    return Exchange(ClientPool(client), request, redact=str)


async def until_held_up(stream: SynthesizeStream) -> None:
    """Wait until the buffer of a response is full."""
    for _ in range(1_000):
        if len(stream._response._exchange._chunks) == MAX_WAITING_CHUNKS:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the response did not arrive")


async def test_bytes_arrive_unchanged_followed_by_the_end() -> None:
    async with RawServer(answer([b"one", b"two"])) as server, httpx.AsyncClient() as client:
        exchange = get(client, server)
        head = await exchange.send()
        assert head.status_code == 200
        assert b"".join([chunk async for chunk in exchange]) == b"onetwo"
        assert [chunk async for chunk in exchange] == []
        await exchange.aclose()


async def test_connection_is_free_once_the_end_is_read(gateway: LocalGateway) -> None:
    gateway.synthesize.always(Speech(bytes(4_800)))
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        for _ in range(3):
            await speko.synthesize("hello", language="en")
            assert gateway.open_connections == 1


async def test_bytes_before_a_fault_are_read_first() -> None:
    said = answer([b"one"], whole=False)
    async with RawServer(said) as server, httpx.AsyncClient() as client:
        exchange = get(client, server)
        await exchange.send()
        chunks = []
        with pytest.raises(httpx.RemoteProtocolError):
            async for chunk in exchange:
                chunks.append(chunk)
        assert chunks == [b"one"]


async def test_closed_exchange_is_not_a_complete_body() -> None:
    async with RawServer(answer([b"one"], whole=False), hold=True) as server:
        async with httpx.AsyncClient() as client:
            exchange = get(client, server)
            await exchange.send()
            await exchange.aclose()
            await exchange.aclose()
            with pytest.raises(httpx.ReadError):
                while True:
                    await anext(exchange)
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_exchange_that_was_never_sent_can_be_closed() -> None:
    async with httpx.AsyncClient() as client:
        request = client.build_request("GET", "http://127.0.0.1")
        await Exchange(ClientPool(client), request, redact=str).aclose()


async def test_service_faster_than_the_reader_waits(
    gateway: LocalGateway,
) -> None:
    sent = 0

    async def audio() -> object:
        nonlocal sent
        for sent in range(1, 1_001):  # noqa: B007  how far it came is what is asked
            yield bytes(64 * 1024)

    gateway.synthesize.script(Speech(audio()))  # type: ignore[arg-type]
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        async with await speko.synthesize_stream("hello", language="en") as stream:
            await until_held_up(stream)
            await asyncio.sleep(0.2)
            assert len(stream._response._exchange._chunks) == MAX_WAITING_CHUNKS
            assert sent < 1_000
            assert sum([len(chunk) async for chunk in stream]) == 1_000 * 64 * 1024
            assert sent == 1_000


async def trickle(pieces: int) -> AsyncIterator[bytes]:
    """Audio in short pieces, each a moment after the other."""
    for _ in range(pieces):
        yield bytes(960)
        await asyncio.sleep(0.005)


async def test_audio_that_arrives_in_a_pause_is_one_read(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.synthesize.script(Speech(trickle(20)))
    async with await speko.synthesize_stream("hello", language="en") as stream:
        sizes = []
        async for chunk in stream:
            sizes.append(len(chunk))
            stream.pause(0.5)
    # The first one precedes the pause.
    assert len(sizes) <= 3 and sum(sizes) == 20 * 960


class AtHand(httpx.AsyncByteStream):
    """Audio that is there already, in pieces that let other tasks run between them."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(400):
            await asyncio.sleep(0)
            yield bytes(960)


async def test_audio_at_hand_is_not_read_in_a_pause_for_each_piece() -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "audio/pcm"}, stream=AtHand())

    async def read(stream: SynthesizeStream) -> int:
        size = 0
        async for chunk in stream:
            size += len(chunk)
            stream.pause(0.05)
        return size

    transport = httpx.MockTransport(answered)
    async with httpx.AsyncClient(transport=transport) as http_client:
        speko = Speko(api_key="sk-1", http_client=http_client)
        async with await speko.synthesize_stream("hello", language="en") as stream:
            assert await asyncio.wait_for(read(stream), 10) == 400 * 960


async def test_paused_response_can_be_closed(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.script(Speech(trickle(1_000)))
    async with await speko.synthesize_stream("hello", language="en") as stream:
        await anext(aiter(stream))
        stream.pause(60)
        await asyncio.sleep(0.02)
    await gateway.idle()
    assert gateway.requests[0].cancelled


async def test_client_with_another_transport_works() -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer sk-1"
        return httpx.Response(200, json={"text": "hello"})

    transport = httpx.MockTransport(answered)
    async with httpx.AsyncClient(transport=transport) as http_client:
        async with Speko(api_key="sk-1", http_client=http_client) as speko:
            assert (await transcribe(speko)).text == "hello"


async def test_network_error_has_no_frame_that_holds_the_key() -> None:
    async with RawServer() as server:
        pass
    async with Speko(api_key="sk-secret", base_url=server.base_url) as speko:
        with pytest.raises(httpx.ConnectError) as raised:
            await transcribe(speko)
    told = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    text = "".join(told.format())
    assert "_exchange.py" in text
    assert "httpcore/_async" not in text and "sk-secret" not in text


async def test_hook_of_the_users_client_may_read_the_response_first(
    gateway: LocalGateway,
) -> None:
    async def read(response: httpx.Response) -> None:
        await response.aread()

    gateway.synthesize.script(Speech(bytes(960)))
    async with httpx.AsyncClient(event_hooks={"response": [read]}) as http_client:
        async with Speko(
            api_key=gateway.api_key, base_url=gateway.base_url, http_client=http_client
        ) as speko:
            assert (await speko.synthesize("hello", language="en")).audio == bytes(960)


async def test_bug_in_a_hook_of_the_users_client_is_raised_unchanged() -> None:
    async def broken(request: httpx.Request) -> None:
        raise KeyError("a hook of mine")

    hooks = {"request": [broken]}
    async with httpx.AsyncClient(event_hooks=hooks) as http_client:
        async with Speko(api_key="sk-1", http_client=http_client) as speko:
            with pytest.raises(KeyError, match="a hook of mine"):
                await transcribe(speko)


@pytest.mark.parametrize("own", [True, False])
async def test_closing_the_client_closes_open_exchanges(gateway: LocalGateway, own: bool) -> None:
    gateway.synthesize.script(Speech([bytes(960), Gate()]))
    async with httpx.AsyncClient() as theirs:
        speko = Speko(
            base_url=gateway.base_url,
            api_key=gateway.api_key,
            http_client=None if own else theirs,
        )
        stream = await speko.synthesize_stream("hello", language="en")
        assert len(await anext(aiter(stream))) == 960
        waiting = asyncio.create_task(asyncio.wait_for(anext(aiter(stream)), 5))
        await asyncio.sleep(0)
        await speko.aclose()
        await gateway.idle()
        with pytest.raises(httpx.ReadError):
            await waiting
        with pytest.raises(httpx.ReadError):
            await anext(aiter(stream))


async def test_stalled_response_can_be_closed(gateway: LocalGateway) -> None:
    gateway.synthesize.script(Speech(bytes(64 * 1024 * 500), chunk_bytes=64 * 1024))
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        async with await speko.synthesize_stream("hello", language="en") as stream:
            await until_held_up(stream)
        await gateway.idle()
    assert gateway.requests[0].cancelled


async def test_cancelled_wait_closes_the_connection_before_it_ends() -> None:
    async with RawServer(answer([b"one"], whole=False), hold=True) as server:
        async with httpx.AsyncClient() as client:
            exchange = get(client, server)
            await exchange.send()
            assert await anext(exchange) == b"one"
            waiting = asyncio.create_task(exchange.__anext__())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert exchange._task is not None and exchange._task.done()
            assert exchange._pool.running == set()


async def test_caller_cancelled_while_closing_stays_cancelled() -> None:
    async with RawServer(answer([b"one"], whole=False), hold=True) as server:
        async with httpx.AsyncClient() as client:
            exchange = get(client, server)
            await exchange.send()
            closing = asyncio.create_task(exchange.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert exchange._task is not None and exchange._task.done()
