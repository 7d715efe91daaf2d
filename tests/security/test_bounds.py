"""No response makes a call take more memory than its bounds, or run for ever.

The bounds are small here: what holds for kilobytes holds for megabytes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
import pytest
from livekit.agents import APITimeoutError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko, SpekoApiError
from tests.helpers.client_calls import Call, complete, synthesize, transcribe
from tests.helpers.llm_calls import chat, make_llm
from tests.helpers.raw_server import EVENT_STREAM, RawServer, answer, events
from tests.helpers.tools_calls import filled_row
from tests.security.endless import MIB, EndlessHead, EndlessServer, Memory

JSON = {"Content-Type": "application/json"}
KIB = 1024
BOUNDS = {
    "MAX_EVENT_BYTES": 64 * KIB,
    "MAX_JSON_BYTES": 64 * KIB,
    "MAX_ERROR_BYTES": 4 * KIB,
    "MAX_TOOLS": 10,
    "MAX_WAITING_CHUNKS": 4,
}
# What is held, the reads that wait, and the server's own buffers.
SMALL_BYTES = 2 * MIB
WITHIN_S = 10.0


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the bounds wherever the package reads them."""
    modules = [each for name, each in sys.modules.items() if name.startswith("livekit_plugins_sp")]
    for name, bound in BOUNDS.items():
        readers = [module for module in modules if hasattr(module, name)]
        assert readers, f"the package has no {name}"
        for module in readers:
            monkeypatch.setattr(module, name, bound)


def client_of(server: RawServer) -> Speko:
    return Speko(api_key="k", base_url=server.base_url)


async def list_tools(speko: Speko) -> Any:
    return await speko.agents.tools.list_chat_tools("agent-1")


async def failed(server: EndlessServer, call: Call) -> Exception:
    """The error of a call whose response never ends, within the bounds."""
    async with server, client_of(server) as speko:
        with Memory() as memory, pytest.raises((SpekoApiError, httpx.HTTPError)) as raised:
            await asyncio.wait_for(call(speko), WITHIN_S)
        await asyncio.wait_for(server.gone.wait(), WITHIN_S)
    assert memory.peak_bytes < SMALL_BYTES
    return raised.value


async def read(call: Call, said: bytes) -> Any:
    """Return what a call makes of a response, or the message of its error."""
    async with RawServer(said) as server, client_of(server) as speko:
        try:
            return await call(speko)
        except SpekoApiError as error:
            return error.message


def padded(text: str, size: int) -> str:
    """Put so many letters in place of the dots that the text has this size."""
    return text.replace("...", "a" * (size - len(text) + 3))


# Events

DONE = events(("done", '{"text":"..."}'))


@pytest.mark.parametrize("call", [transcribe, complete])
async def test_an_event_is_read_up_to_its_limit(call: Call) -> None:
    limit = BOUNDS["MAX_EVENT_BYTES"]
    below = await read(call, answer(padded(DONE, limit - 1), headers=EVENT_STREAM))
    assert len(below.text) > limit - 100
    above = await read(call, answer(padded(DONE, limit + 1), headers=EVENT_STREAM))
    assert f"larger than {limit} bytes" in above


async def test_events_may_together_be_larger_than_one_may_be() -> None:
    delta = ("delta", '{"text":"%s"}' % ("a" * 10 * KIB))
    body = events(*[delta] * 10, ("done", '{"text":""}'))
    assert (await read(complete, answer(body, headers=EVENT_STREAM))).text == ""


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b'event: done\ndata: {"text":"', b"a" * 4096),
        (b"event: done\n", b"data: a\n" * 500),
        (b"", b": keepalive\n\n" * 300),
        (b"", b"\n" * 4096),
        (b"event: done\ndata: ", b"\xf0\x9f\x99\x82" * 1000),
    ],
    ids=["line", "lines", "comments", "blank", "wide"],
)
async def test_an_endless_event_is_refused(start: bytes, piece: bytes) -> None:
    error = await failed(EndlessServer(piece, start=start, headers=EVENT_STREAM), complete)
    assert isinstance(error, SpekoApiError) and error.code == "MALFORMED_RESPONSE"


async def test_endless_unknown_events_count_as_silence() -> None:
    soon = APIConnectOptions(max_retry=0, timeout=0.3)
    server = EndlessServer(b"event: ping\ndata: 1\n\n" * 100, headers=EVENT_STREAM)
    async with server, client_of(server) as speko:
        with Memory() as memory, pytest.raises(APITimeoutError):
            await asyncio.wait_for(chat(make_llm(speko), conn_options=soon), WITHIN_S)
        await asyncio.wait_for(server.gone.wait(), WITHIN_S)
    assert memory.peak_bytes < SMALL_BYTES


# Errors and headers


@pytest.mark.parametrize(("over", "message"), [(0, "too much"), (1, "HTTP status 503")])
async def test_an_error_body_is_read_up_to_its_limit(over: int, message: str) -> None:
    body = padded('{"error":"too much","more":"..."}', BOUNDS["MAX_ERROR_BYTES"] + over)
    assert await read(complete, answer(body, status=503)) == message


@pytest.mark.parametrize(
    ("call", "status"), [(complete, 401), (synthesize, 503), (list_tools, 302)]
)
async def test_an_endless_error_keeps_its_status(call: Call, status: int) -> None:
    server = EndlessServer(b'{"error":"' + b"a" * 4096, status=status, headers=JSON)
    error = await failed(server, call)
    assert isinstance(error, SpekoApiError) and error.status == status
    assert len(str(error)) < 100


async def test_endless_headers_are_refused() -> None:
    error = await failed(EndlessHead(b"X-More: " + b"a" * 1000 + b"\r\n"), complete)
    assert isinstance(error, httpx.RemoteProtocolError)


# JSON and tools


@pytest.mark.parametrize("call", [transcribe, complete, list_tools])
@pytest.mark.parametrize("piece", [b"[" * 4096, b'{"a":' * 800, b"{}," * 1300], ids=len)
async def test_endless_json_is_refused(call: Call, piece: bytes) -> None:
    error = await failed(EndlessServer(piece, start=b"[", headers=JSON), call)
    assert isinstance(error, SpekoApiError) and error.code == "MALFORMED_RESPONSE"
    assert f"larger than {BOUNDS['MAX_JSON_BYTES']} bytes" in error.message


async def test_json_that_is_nested_too_deep_is_refused() -> None:
    body = b"[" * 30 * KIB + b"]" * 30 * KIB
    assert "is not JSON" in await read(list_tools, answer(body, headers=JSON))


async def test_tools_are_listed_up_to_their_limit() -> None:
    limit = BOUNDS["MAX_TOOLS"]
    rows = [filled_row(f"tool-{number}") for number in range(limit + 1)]
    below = await read(list_tools, answer(json.dumps(rows[:limit]), headers=JSON))
    assert len(below) == limit
    above = await read(list_tools, answer(json.dumps(rows), headers=JSON))
    assert f"{limit + 1} rows, expected {limit}" in above
