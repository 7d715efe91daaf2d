"""The gateway from its start to its end: the log, the strict exit, clients that leave."""

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
from tests.gateway_requests import (
    INTENT,
    completion,
    connect,
    make_wav,
    synthesis,
    transcription,
)

T = TypeVar("T")


@pytest.fixture
async def gateway() -> AsyncIterator[LocalGateway]:
    async with LocalGateway() as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: LocalGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(gateway) as client:
        yield client


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


async def test_the_log_keeps_the_requests_in_order_of_arrival(
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    gateway.complete.always(Reply("Hi"))
    gateway.synthesize.always(Speech(b"ab"))
    await client.post(**completion())
    await client.post(**synthesis())
    await client.post(**completion())
    assert [request.route for request in gateway.requests] == ["complete", "synthesize", "complete"]
    assert len(gateway.requests_to("complete")) == 2
    assert sorted(request.received_at for request in gateway.requests) == [
        request.received_at for request in gateway.requests
    ]


async def test_a_logged_request_never_holds_the_key(
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await client.post(**completion())
    assert gateway.api_key not in repr(gateway.requests[0])


async def test_a_logged_upload_tells_its_audio_intent_constraints_and_options(
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    constraints = '{"allowedProviders":{"stt":["deepgram"]}}'
    options = '{"keywords":["Speko"],"language":"en"}'
    upload = transcription(X_Speko_Constraints=constraints, X_Speko_Stt_Options=options)
    upload["headers"]["x-session-id"] = "s1"
    await client.post(**upload)
    (request,) = gateway.requests
    assert (request.method, request.path, request.status) == ("POST", "/v1/transcribe", 200)
    assert request.audio == make_wav()
    assert (request.intent, request.session_id) == (INTENT, "s1")
    assert request.constraints == {"allowedProviders": {"stt": ["deepgram"]}}
    assert request.stt_options == {"keywords": ["Speko"], "language": "en"}


async def test_a_logged_json_request_tells_its_body_and_intent(
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await client.post(**completion(temperature=0.5))
    (request,) = gateway.requests
    assert request.json == completion(temperature=0.5)["json"]
    assert (request.intent, request.constraints) == (INTENT, None)
    assert (request.stt_options, request.session_id) == (None, None)


async def test_a_refused_request_is_logged_and_takes_no_step_of_the_script(
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await client.post(**completion(messages=[]))
    await client.post(**completion())
    assert [request.status for request in gateway.requests] == [400, 200]


async def test_a_request_that_nobody_expected_is_a_500_and_fails_the_run() -> None:
    with pytest.raises(AssertionError, match="unexpected request: POST /v1/complete"):
        async with LocalGateway() as gateway, connect(gateway) as client:
            response = await client.post(**completion())
            assert (response.status_code, response.json()["code"]) == (500, "UNSCRIPTED")


async def test_a_step_that_nobody_used_fails_the_run() -> None:
    with pytest.raises(AssertionError, match=r"unused step of transcribe: Transcript\(text='hi'"):
        async with LocalGateway() as gateway:
            gateway.transcribe.script(Transcript("hi"))


async def test_another_exception_is_not_hidden_by_the_strict_exit() -> None:
    with pytest.raises(KeyError):
        async with LocalGateway() as gateway:
            gateway.transcribe.script(Transcript("hi"))
            raise KeyError


async def test_a_gateway_that_is_not_strict_only_tells_the_problems() -> None:
    async with LocalGateway(strict=False) as gateway:
        gateway.transcribe.script(Transcript("hi"))
    (problem,) = gateway.problems()
    assert problem.startswith("unused step of transcribe")


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
    gateway: LocalGateway, client: httpx.AsyncClient
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
    assert (await client.post(**synthesis())).content == b"abab"


async def test_an_engine_that_does_not_heed_its_cancellation_reaches_nobody(
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    gate = Gate()

    async def stubborn(request: GatewayRequest) -> Reply:
        with suppress(asyncio.CancelledError):
            await gate.hold()
        return Reply("Hi")

    gateway.complete.use(stubborn)
    pending = asyncio.create_task(client.post(**completion()))
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
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    engine = Halting()
    gateway.complete.use(engine)
    async with client.stream("POST", **completion()) as response:
        await engine.gate.reached()
        assert (response.status_code, engine.closed) == (200, False)
        assert (gateway.in_flight, gateway.open_connections) == (1, 1)
    (request,) = gateway.requests
    await request.finished()
    assert (engine.closed, request.cancelled, request.done) == (True, True, True)
    await gateway.idle()


@pytest.mark.parametrize("route", ["complete", "synthesize"])
async def test_a_client_that_leaves_without_reading_ends_the_engine_too(
    gateway: LocalGateway, client: httpx.AsyncClient, route: str
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
    async with client.stream("POST", **(completion() if route == "complete" else synthesis())):
        pass
    (request,) = gateway.requests
    await request.finished()
    assert (closed, request.cancelled) == (True, True)


async def test_a_client_that_leaves_before_the_headers_cancels_the_engine(
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    gate = Gate()

    async def held(request: GatewayRequest) -> Reply:
        await gate.hold()
        return Reply("Hi")

    gateway.complete.use(held)
    pending = asyncio.create_task(client.post(**completion()))
    await gate.reached()
    pending.cancel()
    request = await gateway.arrived("complete")
    await request.finished()
    assert (request.cancelled, request.status) == (True, None)


async def test_an_answered_request_is_done_and_not_cancelled(
    gateway: LocalGateway, client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await client.post(**completion())
    request = await gateway.arrived("complete")
    await request.finished()
    assert (request.cancelled, request.done, request.failure) == (False, True, None)


async def test_an_idle_connection_stays_open_until_the_client_closes_it(
    gateway: LocalGateway,
) -> None:
    gateway.complete.always(Reply("Hi"))
    async with connect(gateway) as client:
        await client.post(**completion())
        await client.post(**completion())
        await gateway.idle(connections=1)
        assert gateway.open_connections == 1
    await gateway.idle()


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


async def test_closing_does_not_wait_for_clients_that_keep_a_connection_open() -> None:
    async with LocalGateway() as gateway:
        client = connect(gateway)
        gateway.complete.script(Reply("Hi"))
        await client.post(**completion())
        began = time.perf_counter()
        await gateway.aclose()
        assert time.perf_counter() - began < 1.0
    await client.aclose()


async def test_closing_does_not_wait_for_a_client_that_does_not_read() -> None:
    async with LocalGateway() as gateway, connect(gateway) as client:
        gateway.synthesize.script(Speech(bytes(64_000_000), chunk_bytes=1_000_000))
        async with client.stream("POST", **synthesis()):
            began = time.perf_counter()
            await gateway.aclose()
            assert time.perf_counter() - began < 1.0
            assert gateway.open_connections == 0


async def test_closing_twice_is_once() -> None:
    gateway = LocalGateway()
    await gateway.start()
    await gateway.aclose()
    await gateway.aclose()


async def test_a_closed_port_takes_no_connection() -> None:
    async with LocalGateway() as gateway:
        client = connect(gateway)
    async with client:
        with pytest.raises(httpx.ConnectError):
            await client.post(**completion())


async def test_a_gateway_starts_only_once() -> None:
    async with LocalGateway() as gateway:
        with pytest.raises(RuntimeError, match="started already"):
            await gateway.start()
    with pytest.raises(RuntimeError, match="started already"):
        await gateway.start()


def test_a_gateway_that_was_not_started_has_no_address() -> None:
    with pytest.raises(RuntimeError, match="does not listen"):
        _ = LocalGateway().base_url


@pytest.mark.parametrize("api_key", ["", " ", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused(api_key: str) -> None:
    with pytest.raises(ValueError, match="api_key"):
        LocalGateway(api_key=api_key)


async def test_waiting_for_what_does_not_come_says_what_it_was(gateway: LocalGateway) -> None:
    with pytest.raises(TimeoutError, match="request 2 to complete did not happen"):
        await gateway.arrived("complete", count=2, within_s=0.01)
    with pytest.raises(TimeoutError, match="the gateway coming to this gate did not happen"):
        await Gate().reached(within_s=0.01)
