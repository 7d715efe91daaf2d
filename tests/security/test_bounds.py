"""Nothing that a service sends makes a call take more memory than its bound, or never end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from livekit.agents import APITimeoutError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko, SpekoApiError
from livekit_plugins_speko.api.limits import (
    MAX_ERROR_BYTES,
    MAX_EVENT_BYTES,
    MAX_JSON_BYTES,
    MAX_TOOLS,
)
from tests.helpers.client_calls import CALLS, Call, complete, transcribe
from tests.helpers.llm_calls import chat, make_llm
from tests.helpers.raw_server import EVENT_STREAM, RawServer, answer, events
from tests.helpers.tools_calls import filled_row
from tests.security.endless import MIB, EndlessHead, EndlessServer, Memory

JSON = {"Content-Type": "application/json"}
# Generous: what is held, some copies of it while it is read, and the server's own buffers.
SMALL_BYTES = 24 * MIB
WITHIN_S = 20.0

READERS = pytest.mark.parametrize("call", [transcribe, complete])


def client_of(server: RawServer, **options: Any) -> Speko:
    return Speko(api_key="k", base_url=server.base_url, **options)


async def list_tools(speko: Speko) -> Any:
    return await speko.agents.tools.list_chat_tools("agent-1")


async def failed(server: EndlessServer, call: Call) -> tuple[Exception, int]:
    """What a call of an endless answer raises, and the memory that it took."""
    async with server, client_of(server) as speko:
        with Memory() as memory, pytest.raises((SpekoApiError, httpx.HTTPError)) as raised:
            await asyncio.wait_for(call(speko), WITHIN_S)
        await asyncio.wait_for(server.gone.wait(), WITHIN_S)
    return raised.value, memory.peak_bytes


# Events


def sized_event(size: int) -> str:
    """A `done` event of that many bytes."""
    bare = events(("done", '{"text":""}'))
    return events(("done", '{"text":"%s"}' % ("a" * (size - len(bare)))))


@READERS
async def test_an_event_just_below_the_limit_is_read(call: Call) -> None:
    said = answer(sized_event(MAX_EVENT_BYTES - 1), headers=EVENT_STREAM)
    async with RawServer(said) as server, client_of(server) as speko:
        assert len((await call(speko)).text) > MAX_EVENT_BYTES - 100


@READERS
async def test_an_event_just_above_the_limit_is_refused(call: Call) -> None:
    said = answer(sized_event(MAX_EVENT_BYTES + 1), headers=EVENT_STREAM)
    async with RawServer(said) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError, match=f"larger than {MAX_EVENT_BYTES} bytes") as raised:
            await call(speko)
    assert (raised.value.status, raised.value.code) == (200, "MALFORMED_RESPONSE")


async def test_events_may_be_larger_together_than_one_may_be() -> None:
    """The bound is one event's; a reply has none."""
    delta = '{"text":"%s"}' % ("a" * 60_000)
    count = MAX_EVENT_BYTES // 60_000 + 2
    body = events(*[("delta", delta)] * count, ("done", '{"text":""}'))
    async with (
        RawServer(answer(body, headers=EVENT_STREAM)) as server,
        client_of(server) as speko,
    ):
        assert (await complete(speko)).text == ""


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b'event: done\ndata: {"text":"', b"a" * 65_536),
        (b"event: done\n", b"data: a\n" * 1000),
        (b"", b": keepalive\n\n" * 1000),
        (b"event: ", b"a" * 65_536),
        (b"", b"\n" * 65_536),
        (b"event: done\ndata: ", b"\xf0\x9f\x99\x82" * 10_000),
    ],
    ids=["line", "lines", "comments", "name", "blank", "wide"],
)
async def test_an_event_without_an_end_is_refused_in_bounded_memory(
    start: bytes, piece: bytes
) -> None:
    server = EndlessServer(piece, start=start, headers=EVENT_STREAM)
    error, peak_bytes = await failed(server, complete)
    assert isinstance(error, SpekoApiError) and error.code == "MALFORMED_RESPONSE"
    assert peak_bytes < 2 * SMALL_BYTES
    assert server.sent_bytes < 4 * MAX_EVENT_BYTES + SMALL_BYTES


async def test_unknown_events_without_an_end_are_silence() -> None:
    """Nothing comes of them, and they are no sign of work."""
    soon = APIConnectOptions(max_retry=0, timeout=0.3)
    server = EndlessServer(b"event: ping\ndata: 1\n\n" * 100, headers=EVENT_STREAM)
    async with server, client_of(server) as speko:
        with Memory() as memory, pytest.raises(APITimeoutError):
            await asyncio.wait_for(chat(make_llm(speko), conn_options=soon), WITHIN_S)
        await asyncio.wait_for(server.gone.wait(), WITHIN_S)
    assert memory.peak_bytes < SMALL_BYTES


# Errors


@pytest.mark.parametrize(
    ("size", "message"), [(MAX_ERROR_BYTES, "too much"), (MAX_ERROR_BYTES + 1, "HTTP status 503")]
)
@CALLS
async def test_an_error_s_body_is_read_up_to_the_limit(call: Call, size: int, message: str) -> None:
    bare = json.dumps({"error": "too much", "more": ""})
    told = json.dumps({"error": "too much", "more": "a" * (size - len(bare))})
    async with RawServer(answer(told, status=503)) as server, client_of(server) as speko:
        with pytest.raises(SpekoApiError) as raised:
            await call(speko)
    assert (raised.value.message, raised.value.status) == (message, 503)


@CALLS
@pytest.mark.parametrize("status", [302, 401, 503])
async def test_an_error_without_an_end_keeps_its_status_in_bounded_memory(
    call: Call, status: int
) -> None:
    server = EndlessServer(b'{"error":"' + b"a" * 65_526, status=status, headers=JSON)
    error, peak_bytes = await failed(server, call)
    assert isinstance(error, SpekoApiError) and error.status == status
    assert len(str(error)) < 100 and peak_bytes < SMALL_BYTES
    assert server.sent_bytes < SMALL_BYTES


@CALLS
async def test_headers_without_an_end_are_refused_in_bounded_memory(call: Call) -> None:
    server = EndlessHead(b"X-More: " + b"a" * 1000 + b"\r\n")
    error, peak_bytes = await failed(server, call)
    assert isinstance(error, httpx.RemoteProtocolError) and peak_bytes < SMALL_BYTES


# JSON and tools


@pytest.mark.parametrize("call", [transcribe, complete, list_tools])
@pytest.mark.parametrize("piece", [b"[" * 65_536, b'{"a":' * 10_000, b"{}," * 9000], ids=len)
async def test_json_without_an_end_is_refused_in_bounded_memory(call: Call, piece: bytes) -> None:
    server = EndlessServer(piece, start=b"[", headers=JSON)
    error, peak_bytes = await failed(server, call)
    assert isinstance(error, SpekoApiError) and error.code == "MALFORMED_RESPONSE"
    assert f"larger than {MAX_JSON_BYTES} bytes" in str(error)
    assert peak_bytes < SMALL_BYTES


@pytest.mark.parametrize(("count", "read"), [(MAX_TOOLS, True), (MAX_TOOLS + 1, False)])
async def test_tools_are_listed_up_to_the_limit(count: int, read: bool) -> None:
    rows = json.dumps([filled_row(f"tool-{number}") for number in range(count)])
    said = answer(rows, headers=JSON)
    async with RawServer(said) as server, client_of(server) as speko:
        if read:
            assert len(await list_tools(speko)) == count
            return
        with pytest.raises(SpekoApiError, match=f"{count} rows, expected {MAX_TOOLS}") as raised:
            await list_tools(speko)
    assert raised.value.code == "MALFORMED_RESPONSE"


async def test_the_most_rows_that_fit_are_refused_in_bounded_memory() -> None:
    """Read as objects they take some 25 times their size, for as long as they are counted."""
    rows = b"[" + b"{}," * ((MAX_JSON_BYTES - 4) // 3) + b"{}]"
    said = answer(rows, headers=JSON)
    async with RawServer(said) as server, client_of(server) as speko:
        with Memory() as memory, pytest.raises(SpekoApiError, match="rows, expected"):
            await list_tools(speko)
    assert memory.peak_bytes < 50 * MAX_JSON_BYTES
