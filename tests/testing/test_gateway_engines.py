"""The engines behind the gateway: those that fail, and clients that leave in the middle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, TypeVar, cast

import httpx
import pytest

from livekit_plugins_speko.testing import (
    Answer,
    AnswerWriter,
    Gate,
    GatewayRequest,
    LocalGateway,
    Reply,
    Speech,
    Transcript,
)
from tests.helpers.gateway_requests import completion, connect, synthesis, transcription

T = TypeVar("T")


async def answered(answer: Answer) -> Answer:
    """What an engine returns that has its answer at hand."""
    return answer


class Halting:
    """An engine whose reply comes to a gate; it notes when the gateway closes it."""

    def __init__(self) -> None:
        self.closed = False
        self.gate = Gate()
        # Kept, so that it is not the garbage collector that closes it.
        self.pieces = self._speak()

    async def __call__(self, request: GatewayRequest) -> Reply:
        return Reply(self.pieces)

    async def _speak(self) -> AsyncIterator[str | Gate]:
        try:
            yield "Hi"
            yield self.gate
        finally:
            self.closed = True


# Engines and answers that fail


async def test_a_failing_engine_is_a_500_and_the_cause_of_the_failed_run() -> None:
    async def broken(request: GatewayRequest) -> Reply:
        raise LookupError("no such voice")

    with pytest.raises(AssertionError, match="no such voice") as failure:
        async with LocalGateway() as gateway, connect(gateway) as client:
            gateway.complete.use(broken)
            response = await client.post(**completion())
            assert (response.status_code, response.json()["code"]) == (500, "ENGINE_FAILED")
    assert isinstance(failure.value.__cause__, LookupError)


async def test_an_engine_that_answers_for_another_route_fails_the_run() -> None:
    async def wrong(request: GatewayRequest) -> Speech:
        return Speech(b"ab")

    with pytest.raises(AssertionError, match="a Speech answers synthesize only"):
        async with LocalGateway() as gateway, connect(gateway) as client:
            gateway.complete.use(wrong)
            await client.post(**completion())


async def test_an_engine_that_fails_halfway_breaks_the_answer_off() -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"ab"
        raise LookupError("no more voice")

    with pytest.raises(AssertionError, match="no more voice"):
        async with LocalGateway() as gateway, connect(gateway) as client:
            gateway.synthesize.script(Speech(half()))
            with pytest.raises(httpx.TransportError):
                await client.post(**synthesis())


@pytest.mark.parametrize("calls", [("send",), ("finish",), ()])
async def test_an_answer_that_sends_no_headers_fails_the_run(calls: tuple[str, ...]) -> None:
    class Headless(Answer):
        serves = frozenset({"complete"})

        async def write(self, writer: AnswerWriter) -> None:
            if "send" in calls:
                await writer.send(b"ab")
            if "finish" in calls:
                await writer.finish()

    with pytest.raises(AssertionError, match=r"before start\(\)"):
        async with LocalGateway() as gateway, connect(gateway) as client:
            gateway.complete.script(Headless())
            response = await client.post(**completion())
            assert (response.status_code, response.json()["code"]) == (500, "ENGINE_FAILED")


async def test_a_piece_that_is_none_of_a_replys_fails_the_run() -> None:
    with pytest.raises(AssertionError, match="found a piece of type int in the content"):
        async with LocalGateway() as gateway, connect(gateway) as client:
            gateway.complete.script(Reply(cast(Any, ["Hi", 5])))
            with pytest.raises(httpx.TransportError):
                await client.post(**completion())


async def test_an_engine_may_stream_through_an_iterator_that_cannot_be_closed(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    class Countdown:
        left = 2

        def __aiter__(self) -> Countdown:
            return self

        async def __anext__(self) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return b"ab"

    gateway.synthesize.script(Speech(Countdown()))
    assert (await http_client.post(**synthesis())).content == b"abab"


# Clients that leave


async def test_an_engine_that_does_not_heed_its_cancellation_reaches_nobody(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gate = Gate()

    async def stubborn(request: GatewayRequest) -> Reply:
        with suppress(asyncio.CancelledError):
            await gate.hold()
        return Reply("Hi")

    gateway.complete.use(stubborn)
    pending = asyncio.create_task(http_client.post(**completion()))
    await gate.reached()
    pending.cancel()
    request = await gateway.arrived("complete")
    await request.finished()
    assert (request.cancelled, request.failure) == (True, None)


async def test_an_engine_that_fails_while_its_client_leaves_fails_the_run() -> None:
    async def untidy() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick "
                await asyncio.sleep(0.001)
        finally:
            raise LookupError("no such lock")

    with pytest.raises(AssertionError, match="no such lock"):
        async with LocalGateway() as gateway, connect(gateway) as client:
            gateway.complete.script(Reply(untidy()))
            async with client.stream("POST", **completion()) as response:
                await anext(response.aiter_raw())
            await gateway.requests[0].finished()


async def test_a_client_that_leaves_ends_the_answer_and_the_engine_behind_it(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    engine = Halting()
    gateway.complete.use(engine)
    async with http_client.stream("POST", **completion()) as response:
        await engine.gate.reached()
        assert (response.status_code, engine.closed) == (200, False)
        assert (gateway.in_flight, gateway.open_connections) == (1, 1)
    (request,) = gateway.requests
    await request.finished()
    assert (engine.closed, request.cancelled, request.done) == (True, True, True)
    await gateway.idle()


@pytest.mark.parametrize("route", ["complete", "synthesize"])
async def test_a_client_that_leaves_without_reading_ends_the_engine_too(
    gateway: LocalGateway, http_client: httpx.AsyncClient, route: str
) -> None:
    closed = False

    async def pour(piece: T) -> AsyncIterator[T]:
        nonlocal closed
        try:
            while True:
                yield piece
        finally:
            closed = True

    words, audio = pour("a" * 1_000_000), pour(bytes(1_000_000))
    gateway.complete.use(lambda request: answered(Reply(words)))
    gateway.synthesize.use(lambda request: answered(Speech(audio)))
    async with http_client.stream("POST", **(completion() if route == "complete" else synthesis())):
        pass
    (request,) = gateway.requests
    await request.finished()
    assert (closed, request.cancelled) == (True, True)


async def test_a_client_that_leaves_before_the_headers_cancels_the_engine(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gate = Gate()

    async def held(request: GatewayRequest) -> Reply:
        await gate.hold()
        return Reply("Hi")

    gateway.complete.use(held)
    pending = asyncio.create_task(http_client.post(**completion()))
    await gate.reached()
    pending.cancel()
    request = await gateway.arrived("complete")
    await request.finished()
    assert (request.cancelled, request.status) == (True, None)


async def test_an_answered_request_is_done_and_not_cancelled(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await http_client.post(**completion())
    request = await gateway.arrived("complete")
    await request.finished()
    assert (request.cancelled, request.done, request.failure) == (False, True, None)


# Closing in the middle


async def test_closing_is_quick_and_leaves_no_task_and_no_socket() -> None:
    before = asyncio.all_tasks()
    gateway, gate, engine = LocalGateway(), Gate(), Halting()
    await gateway.start()
    gateway.synthesize.script(Speech([b"ab", gate]))
    gateway.complete.use(engine)
    gateway.transcribe.script(Transcript("hi"))
    async with connect(gateway) as client:
        await client.post(**transcription())
        pending = [
            asyncio.create_task(client.post(**request)) for request in (synthesis(), completion())
        ]
        await gate.reached()
        await engine.gate.reached()
        began = time.perf_counter()
        await gateway.aclose()
        assert time.perf_counter() - began < 1.0
        assert (gateway.in_flight, gateway.open_connections) == (0, 0)
        failures = await asyncio.gather(*pending, return_exceptions=True)
    assert all(isinstance(failure, httpx.TransportError) for failure in failures)
    assert asyncio.all_tasks() == before
    assert [request.cancelled for request in gateway.requests] == [False, False, False]
