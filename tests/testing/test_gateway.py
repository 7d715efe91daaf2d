"""The gateway as a whole: its log, its strict exit, its connections and its close."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import httpx
import pytest

from livekit_plugins_speko.testing import Gate, LocalGateway, Reply, Speech, Transcript
from tests.helpers.gateway_requests import (
    INTENT,
    completion,
    connect,
    make_wav,
    synthesis,
    transcription,
)


async def test_log_has_the_requests_in_order_of_arrival(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.always(Reply("Hi"))
    gateway.synthesize.always(Speech(b"ab"))
    for request in (completion(), synthesis(), completion()):
        await http_client.post(**request)
    logged = gateway.requests
    assert [request.route for request in logged] == ["complete", "synthesize", "complete"]
    assert gateway.requests_to("complete") == [logged[0], logged[2]]
    assert sorted(logged, key=lambda request: request.received_at) == logged
    assert [(r.cancelled, r.done, r.failure) for r in logged] == [(False, True, None)] * 3
    assert gateway.api_key not in repr(logged)


async def test_logged_transcription_has_audio_and_parsed_headers(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    upload = transcription(
        X_Speko_Constraints='{"allowedProviders":{"stt":["deepgram"]}}',
        X_Speko_Stt_Options='{"keywords":["Speko"],"language":"en","prompt":"A hotel."}',
        x_session_id="s1",
    )
    await http_client.post(**upload)
    (request,) = gateway.requests
    assert (request.method, request.path, request.status) == ("POST", "/v1/transcribe", 200)
    assert (request.audio, request.intent, request.session_id) == (make_wav(), INTENT, "s1")
    assert request.constraints == {"allowedProviders": {"stt": ["deepgram"]}}
    options = {"keywords": ["Speko"], "language": "en", "prompt": "A hotel."}
    assert request.stt_options == options


async def test_logged_json_request_has_its_body_and_intent(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await http_client.post(**completion(temperature=0.5))
    (request,) = gateway.requests
    assert request.json == completion(temperature=0.5)["json"]
    assert (request.intent, request.constraints) == (INTENT, None)
    assert (request.stt_options, request.session_id) == (None, None)


async def test_refused_request_is_logged_and_takes_no_step_of_the_script(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await http_client.post(**completion(messages=[]))
    await http_client.post(**completion())
    assert [request.status for request in gateway.requests] == [400, 200]


async def test_unexpected_request_is_a_500_and_fails_the_run() -> None:
    with pytest.raises(AssertionError, match="unexpected request: POST /v1/complete"):
        async with LocalGateway() as gateway, connect(gateway) as client:
            response = await client.post(**completion())
            assert (response.status_code, response.json()["code"]) == (500, "UNSCRIPTED")


async def test_unused_step_fails_the_run() -> None:
    with pytest.raises(AssertionError, match=r"unused step of transcribe: Transcript\(text='hi'"):
        async with LocalGateway() as gateway:
            gateway.transcribe.script(Transcript("hi"))


async def test_strict_exit_hides_no_other_exception() -> None:
    with pytest.raises(KeyError):
        async with LocalGateway() as gateway:
            gateway.transcribe.script(Transcript("hi"))
            raise KeyError


async def test_gateway_that_is_not_strict_only_lists_the_problems() -> None:
    async with LocalGateway(strict=False) as gateway:
        gateway.transcribe.script(Transcript("hi"))
    (problem,) = gateway.problems()
    assert problem.startswith("unused step of transcribe")


async def test_idle_connection_stays_open_until_the_client_closes_it(
    gateway: LocalGateway,
) -> None:
    gateway.complete.always(Reply("Hi"))
    async with connect(gateway) as client:
        for _ in range(2):
            await client.post(**completion())
        await gateway.idle(connections=1)
        assert gateway.open_connections == 1
    await gateway.idle()


async def test_close_is_quick_and_leaves_no_task_and_no_socket() -> None:
    before = asyncio.all_tasks()
    gateway, gates = LocalGateway(), [Gate(), Gate()]
    await gateway.start()
    gateway.transcribe.script(Transcript("hi"))
    gateway.complete.script(Reply(["Hi", gates[0]]))
    gateway.synthesize.script(
        Speech([b"ab", gates[1]]), Speech(bytes(64_000_000), chunk_bytes=1_000_000)
    )
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(gateway))
        # An idle connection, two responses that are held, and one that is not read.
        await client.post(**transcription())
        pending = [
            asyncio.create_task(client.post(**request)) for request in (completion(), synthesis())
        ]
        for gate in gates:
            await gate.reached()
        await stack.enter_async_context(client.stream("POST", **synthesis()))
        began = time.perf_counter()
        await gateway.aclose()
        await gateway.aclose()
        assert time.perf_counter() - began < 1.0
        assert (gateway.in_flight, gateway.open_connections) == (0, 0)
        errors = await asyncio.gather(*pending, return_exceptions=True)
        with pytest.raises(httpx.ConnectError):
            await client.post(**completion())
    assert all(isinstance(error, httpx.TransportError) for error in errors)
    assert asyncio.all_tasks() == before
    assert not any(request.cancelled for request in gateway.requests)


async def test_close_that_is_cancelled_leaves_no_socket() -> None:
    for turns in range(1, 20):
        gateway = LocalGateway(strict=False)
        await gateway.start()
        gateway.complete.script(Reply("Hi"), Reply(["Hi", gate := Gate()]))
        async with connect(gateway) as client, connect(gateway) as other:
            await other.post(**completion())
            pending = asyncio.create_task(client.post(**completion()))
            await gate.reached()
            closing = asyncio.create_task(gateway.aclose())
            for _ in range(turns):
                await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
            await gateway.idle(within_s=2)
            await asyncio.wait([pending])
            pending.exception()


async def test_gateway_starts_only_once() -> None:
    async with LocalGateway() as gateway:
        with pytest.raises(RuntimeError, match="started already"):
            await gateway.start()
    with pytest.raises(RuntimeError, match="started already"):
        await gateway.start()


def test_gateway_that_was_not_started_has_no_address() -> None:
    with pytest.raises(RuntimeError, match="does not listen"):
        _ = LocalGateway().base_url


@pytest.mark.parametrize("api_key", ["", " ", "schlüssel"])
def test_key_that_no_header_can_carry_is_refused(api_key: str) -> None:
    with pytest.raises(ValueError, match="api_key"):
        LocalGateway(api_key=api_key)


async def test_wait_that_times_out_names_what_is_missing(gateway: LocalGateway) -> None:
    with pytest.raises(TimeoutError, match="request 2 to complete did not happen"):
        await gateway.arrived("complete", count=2, within_s=0.01)
    with pytest.raises(TimeoutError, match="the gateway coming to this gate did not happen"):
        await Gate().reached(within_s=0.01)


async def test_gateway_listens_on_the_requested_port_again_after_its_close() -> None:
    async with LocalGateway() as first:
        address = first.base_url
        port = int(address.rpartition(":")[2])
        with pytest.raises(OSError):
            await LocalGateway(port=port).start()
    for _ in range(2):
        async with LocalGateway(port=port) as again, connect(again) as client:
            assert again.base_url == address
            assert (await client.get("/")).status_code == 404
