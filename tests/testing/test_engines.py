"""Engines and answers that fail, and clients that go away in the middle of a response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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
)
from tests.helpers.gateway_requests import completion, connect, synthesis

T = TypeVar("T")


class Halting:
    """An engine whose reply stops at a gate.

    Attributes:
        closed: True once the gateway has closed the reply.
    """

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


class Pouring:
    """Content without end.

    Attributes:
        closed: True once the gateway has closed it.
    """

    def __init__(self) -> None:
        self.closed = False

    async def pour(self, piece: T) -> AsyncIterator[T]:
        try:
            while True:
                yield piece
        finally:
            self.closed = True


class Headless(Answer):
    """An answer that makes only some calls of its writer, and never `start`."""

    serves = frozenset({"complete"})

    def __init__(self, *calls: str) -> None:
        self.calls = calls

    async def write(self, writer: AnswerWriter) -> None:
        if "send" in self.calls:
            await writer.send(b"ab")
        if "finish" in self.calls:
            await writer.finish()


async def raise_error(request: GatewayRequest) -> Reply:
    raise LookupError("no such voice")


async def answer_another_route(request: GatewayRequest) -> Answer:
    return Speech(b"ab")


def script(answer: Answer) -> Callable[[GatewayRequest], Awaitable[Answer]]:
    """An engine that has one answer."""

    async def engine(request: GatewayRequest) -> Answer:
        return answer

    return engine


@pytest.mark.parametrize(
    ("engine", "problem", "cause"),
    [
        (raise_error, "no such voice", LookupError),
        (answer_another_route, "a Speech answers synthesize only", TypeError),
        (script(Headless()), r"before start\(\)", RuntimeError),
        (script(Headless("send")), r"before start\(\)", RuntimeError),
        (script(Headless("finish")), r"before start\(\)", RuntimeError),
    ],
)
async def test_failure_before_the_headers_is_a_500_and_fails_the_run(
    engine: Any, problem: str, cause: type[Exception]
) -> None:
    with pytest.raises(AssertionError, match=problem) as failure:
        async with LocalGateway() as gateway, connect(gateway) as client:
            gateway.complete.use(engine)
            response = await client.post(**completion())
            assert (response.status_code, response.json()["code"]) == (500, "ENGINE_FAILED")
    assert isinstance(failure.value.__cause__, cause)


async def fail_halfway() -> AsyncIterator[str]:
    yield "Hi"
    raise ConnectionError("no more words")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (fail_halfway(), "no more words"),
        (cast(Any, ["Hi", 5]), "found a piece of type int in the content"),
    ],
)
async def test_failure_in_the_middle_cuts_the_response_and_fails_the_run(
    content: Any, problem: str
) -> None:
    with pytest.raises(AssertionError, match=problem):
        async with LocalGateway() as gateway, connect(gateway) as client:
            gateway.complete.script(Reply(content))
            with pytest.raises(httpx.TransportError):
                await client.post(**completion())


async def test_content_may_be_an_iterator_that_cannot_be_closed(
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


async def test_client_that_leaves_in_the_middle_closes_the_engine(
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
async def test_client_that_leaves_without_reading_closes_the_engine(
    gateway: LocalGateway, http_client: httpx.AsyncClient, route: str
) -> None:
    source = Pouring()
    if route == "complete":
        gateway.complete.script(Reply(source.pour("a" * 1_000_000)))
    else:
        gateway.synthesize.script(Speech(source.pour(bytes(1_000_000))))
    async with http_client.stream("POST", **(completion() if route == "complete" else synthesis())):
        pass
    (request,) = gateway.requests
    await request.finished()
    assert (source.closed, request.cancelled) == (True, True)


@pytest.mark.parametrize("stubborn", [False, True])
async def test_client_that_leaves_before_the_headers_cancels_the_engine(
    gateway: LocalGateway, http_client: httpx.AsyncClient, stubborn: bool
) -> None:
    gate = Gate()

    async def held(request: GatewayRequest) -> Reply:
        with suppress(*([asyncio.CancelledError] if stubborn else [])):
            await gate.hold()
        return Reply("Hi")

    gateway.complete.use(held)
    pending = asyncio.create_task(http_client.post(**completion()))
    await gate.reached()
    pending.cancel()
    request = await gateway.arrived("complete")
    await request.finished()
    assert (request.cancelled, request.failure) == (True, None)
    assert stubborn or request.status is None


async def test_engine_that_fails_while_its_client_leaves_fails_the_run() -> None:
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
