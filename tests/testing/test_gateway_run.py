"""The gateway from its start to its end: the log, the strict exit, closing."""

from __future__ import annotations

import time

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

# The log


async def test_the_log_keeps_the_requests_in_order_of_arrival(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.always(Reply("Hi"))
    gateway.synthesize.always(Speech(b"ab"))
    await http_client.post(**completion())
    await http_client.post(**synthesis())
    await http_client.post(**completion())
    assert [request.route for request in gateway.requests] == ["complete", "synthesize", "complete"]
    assert len(gateway.requests_to("complete")) == 2
    assert sorted(request.received_at for request in gateway.requests) == [
        request.received_at for request in gateway.requests
    ]


async def test_a_logged_request_never_holds_the_key(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await http_client.post(**completion())
    assert gateway.api_key not in repr(gateway.requests[0])


async def test_a_logged_upload_tells_its_audio_intent_constraints_and_options(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    constraints = '{"allowedProviders":{"stt":["deepgram"]}}'
    options = '{"keywords":["Speko"],"language":"en"}'
    upload = transcription(X_Speko_Constraints=constraints, X_Speko_Stt_Options=options)
    upload["headers"]["x-session-id"] = "s1"
    await http_client.post(**upload)
    (request,) = gateway.requests
    assert (request.method, request.path, request.status) == ("POST", "/v1/transcribe", 200)
    assert request.audio == make_wav()
    assert (request.intent, request.session_id) == (INTENT, "s1")
    assert request.constraints == {"allowedProviders": {"stt": ["deepgram"]}}
    assert request.stt_options == {"keywords": ["Speko"], "language": "en"}


async def test_a_logged_json_request_tells_its_body_and_intent(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await http_client.post(**completion(temperature=0.5))
    (request,) = gateway.requests
    assert request.json == completion(temperature=0.5)["json"]
    assert (request.intent, request.constraints) == (INTENT, None)
    assert (request.stt_options, request.session_id) == (None, None)


async def test_a_refused_request_is_logged_and_takes_no_step_of_the_script(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi"))
    await http_client.post(**completion(messages=[]))
    await http_client.post(**completion())
    assert [request.status for request in gateway.requests] == [400, 200]


# The strict exit


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


# Connections, and the end


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


async def test_it_listens_on_the_port_that_is_asked_for_again_after_its_close() -> None:
    async with LocalGateway() as first:
        address = first.base_url
        port = int(address.rpartition(":")[2])
        with pytest.raises(OSError):
            await LocalGateway(port=port).start()
    for _ in range(2):
        async with LocalGateway(port=port, strict=False) as again:
            assert again.base_url == address
            async with connect(again) as http_client:
                assert (await http_client.get("/")).status_code == 404
