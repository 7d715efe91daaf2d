"""A client of the user's own: its TLS, its transport and its hooks, and its closing."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
import spekoai
from livekit.agents import APIConnectionError, APIStatusError

from livekit_plugins_speko import Speko
from livekit_plugins_speko.api.exchange import CLOSE_S
from livekit_plugins_speko.testing import Gate, LocalGateway, Refusal, Reply, Speech, Transcript
from tests.cancel.servers import TlsServer, trusting
from tests.helpers.client_calls import transcribe
from tests.helpers.llm_calls import chat, make_llm, texts
from tests.helpers.raw_server import answer
from tests.helpers.support import QUICK_RETRY, errors_of
from tests.helpers.tts_calls import PCM, joined, make_tts, speak

Hook = Callable[[httpx.Response], Awaitable[None]]


def on(gateway: LocalGateway, http_client: httpx.AsyncClient, **options: Any) -> Speko:
    return Speko(
        **{
            "base_url": gateway.base_url,
            "api_key": gateway.api_key,
            "http_client": http_client,
            **options,
        }
    )


def with_hook(hook: Hook) -> httpx.AsyncClient:
    return httpx.AsyncClient(event_hooks={"response": [hook]})


# TLS


class BreakingServer(TlsServer):
    """Sends half a response on its first connection, then bytes that are no TLS."""

    def __init__(self, half: bytes, whole: bytes) -> None:
        super().__init__(half)
        self._whole = whole

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await super().serve(reader, writer)
        if self._answered is not self._whole:
            self._answered = self._whole
            await asyncio.sleep(0.1)  # for the half to be on its way
            os.write(writer.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x20" + b"U" * 32)
            await reader.read()


async def test_tls_error_during_a_response_is_a_connection_error_and_retried() -> None:
    headers = {"Content-Type": "audio/pcm;rate=24000"}
    half = answer([PCM[:12_000]], headers=headers, whole=False)
    server = BreakingServer(half, answer([PCM], headers=headers))
    async with server.listening(), httpx.AsyncClient(verify=trusting()) as http_client:
        async with Speko(
            api_key="k", base_url=f"https://{server.address}", http_client=http_client
        ) as speko:
            voice = make_tts(speko)
            errors = errors_of(voice)
            assert joined(await speak(voice, conn_options=QUICK_RETRY)) == PCM
    assert [(type(event.error), event.recoverable) for event in errors] == [
        (APIConnectionError, True)
    ]
    assert isinstance(errors[0].error.__cause__, httpx.ReadError)


# Hooks


async def checked(response: httpx.Response) -> None:
    response.raise_for_status()


async def read_and_checked(response: httpx.Response) -> None:
    await response.aread()
    response.raise_for_status()


@pytest.mark.parametrize("hook", [checked, read_and_checked])
async def test_hook_that_checks_the_status_changes_no_error(
    gateway: LocalGateway, hook: Hook
) -> None:
    gateway.complete.script(Refusal(401, "who are you?", "UNAUTHORIZED"), Reply("Hi."))
    async with with_hook(hook) as http_client:
        model = make_llm(on(gateway, http_client))
        with pytest.raises(APIStatusError) as raised:
            await chat(model, conn_options=QUICK_RETRY)
        assert (raised.value.status_code, raised.value.retryable) == (401, False)
        assert texts(await chat(model)) == ["Hi."]


async def test_hook_of_the_official_sdks_client_may_check_the_status(
    gateway: LocalGateway,
) -> None:
    gateway.complete.script(Refusal(503, "tired", "BUSY"), Reply("Hi."))
    async with with_hook(checked) as http_client:
        client = spekoai.AsyncSpeko(base_url=gateway.base_url, api_key=gateway.api_key)
        async with client:
            client._client.event_hooks = http_client.event_hooks
            model = make_llm(client)
            errors = errors_of(model)
            assert texts(await chat(model, conn_options=QUICK_RETRY)) == ["Hi."]
    assert [event.error.status_code for event in errors] == [503]


async def test_bug_in_a_hook_keeps_its_traceback(gateway: LocalGateway) -> None:
    async def buggy(response: httpx.Response) -> None:
        raise KeyError("a bug of mine")

    gateway.transcribe.script(Transcript("hello"))
    async with with_hook(buggy) as http_client:
        with pytest.raises(KeyError) as raised:
            await transcribe(on(gateway, http_client))
    assert "in buggy" in "".join(traceback.format_exception(raised.value))


async def test_hook_may_close_its_own_client(gateway: LocalGateway) -> None:
    async def close(response: httpx.Response) -> None:
        await speko.aclose()

    gateway.transcribe.script(Transcript("hello"))
    async with with_hook(close) as http_client:
        speko = on(gateway, http_client)
        with suppress(httpx.ReadError):
            await asyncio.wait_for(transcribe(speko), 5)
        await gateway.idle(connections=1)


# Transports


class Reluctant(httpx.AsyncByteStream):
    """A response that does not end, and whose closing waits forever."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"audio"
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        await asyncio.Event().wait()


async def test_transport_that_does_not_close_delays_the_caller_only_briefly() -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "audio/pcm"}, stream=Reluctant())

    transport = httpx.MockTransport(answered)
    async with httpx.AsyncClient(transport=transport) as http_client:
        speko = Speko(api_key="sk-1", http_client=http_client)
        stream = await speko.synthesize_stream("hello", language="en")
        assert await anext(aiter(stream)) == b"audio"
        await asyncio.wait_for(stream.aclose(), CLOSE_S + 5)


# Closing


async def test_received_transcript_survives_closing_the_client(
    gateway: LocalGateway,
) -> None:
    """Its end is waited for then, so that the connection can be used again."""
    gate = Gate()

    class Unended(Transcript):
        async def write(self, writer: Any) -> None:
            await super().write(writer)
            await gate.hold()

    gateway.transcribe.script(Unended("hello"))
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        asked = asyncio.create_task(transcribe(speko))
        await gate.reached()
        await asyncio.sleep(0.02)
        await speko.aclose()
        assert (await asked).text == "hello"


# Keys


@pytest.mark.parametrize("api_key", ["1", "pcm", "event"])
async def test_key_that_is_a_plain_word_changes_no_response(api_key: str) -> None:
    async with LocalGateway(api_key=api_key) as gateway:
        gateway.synthesize.script(Speech(PCM[:16_000], content_type="audio/pcm;rate=16000"))
        gateway.complete.script(Reply("Hi."))
        async with Speko(base_url=gateway.base_url, api_key=api_key) as speko:
            spoken = await speko.synthesize("hello", language="en")
            assert spoken.content_type == "audio/pcm;rate=16000"
            assert texts(await chat(make_llm(speko))) == ["Hi."]
