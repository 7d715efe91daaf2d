"""What the gateway's answers look like on the network."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko.testing import (
    EndOfStream,
    ErrorEvent,
    Gate,
    Latency,
    LocalGateway,
    Reply,
    ServerToolCall,
    Speech,
    ToolCall,
    Transcript,
)
from livekit_plugins_speko.testing.event_answers import words
from tests.helpers.gateway_requests import (
    ROUTE,
    ROUTE_DATA,
    TOOL,
    completion,
    connect,
    read_events,
    synthesis,
    transcription,
)


async def test_a_transcript_is_meta_interim_texts_and_done(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.transcribe.script(Transcript("hello there", interim=["hello"], route=ROUTE))
    response = await http_client.post(**transcription())
    assert response.headers["Content-Type"] == "text/event-stream"
    assert read_events(response.text) == [
        ("meta", ROUTE_DATA),
        ("transcript", {"text": "hello", "isFinal": False, "confidence": 0.9}),
        ("done", {"text": "hello there", "confidence": 0.9, **ROUTE_DATA}),
    ]


async def test_a_missing_confidence_is_null(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.transcribe.script(Transcript("", confidence=None))
    response = await http_client.post(**transcription())
    assert read_events(response.text)[-1][1]["confidence"] is None


async def test_an_older_service_answers_a_transcription_with_one_json_object() -> None:
    async with LocalGateway(json_answers=True) as gateway, connect(gateway) as client:
        gateway.transcribe.script(Transcript("hello", interim=["he"], route=ROUTE))
        response = await client.post(**transcription())
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"text": "hello", "confidence": 0.9, **ROUTE_DATA}


async def test_a_reply_is_sent_word_by_word_with_its_usage(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply("Hi  you\n", prompt_tokens=7, completion_tokens=2, route=ROUTE))
    response = await http_client.post(**completion())
    usage = {"promptTokens": 7, "completionTokens": 2}
    assert read_events(response.text) == [
        ("meta", {**ROUTE_DATA, "totalFailoverCount": 1, "hop": 0}),
        ("delta", {"text": "Hi"}),
        ("delta", {"text": "  you"}),
        ("delta", {"text": "\n"}),
        ("done", {"text": "Hi  you\n", "usage": usage, **ROUTE_DATA}),
    ]


@given(st.text())
def test_words_are_the_text_when_joined(text: str) -> None:
    assert "".join(words(text)) == text


async def test_characters_beyond_ascii_go_out_as_they_are(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply(["Grüße\u2028🙂"]))
    response = await http_client.post(**completion())
    assert "Grüße\u2028🙂".encode() in response.content


async def test_tool_calls_stand_in_events_and_again_in_done(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    calls = [ToolCall("get_weather", {"city": "Paris"}, id="c1"), ToolCall("log", "{bad", id="c2")]
    gateway.complete.script(Reply(tool_calls=calls))
    events = read_events((await http_client.post(**completion(tools=[TOOL]))).text)
    wire = [
        {"id": "c1", "name": "get_weather", "args": '{"city": "Paris"}'},
        {"id": "c2", "name": "log", "args": "{bad"},
    ]
    assert events[1:3] == [("tool_call", wire[0]), ("tool_call", wire[1])]
    assert (events[3][1]["text"], events[3][1]["toolCalls"]) == ("", wire)


async def test_tool_calls_without_an_id_get_different_ones() -> None:
    assert ToolCall("a").id != ToolCall("a").id


async def test_a_server_tool_call_makes_a_second_hop(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    call = ServerToolCall("lookup", outcome="failed", id="s1")
    gateway.complete.script(Reply("Hi", server_tool_calls=[call]))
    events = read_events((await http_client.post(**completion())).text)
    told = [(name, data.get("hop"), data.get("status")) for name, data in events]
    assert told == [
        ("meta", 0, None),
        ("server_tool_call", None, "started"),
        ("server_tool_call", None, "failed"),
        ("meta", 1, None),
        ("delta", None, None),
        ("done", None, None),
    ]


async def test_one_route_alone_can_answer_in_json(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.json_answers = True
    call = ToolCall("get_weather", id="c1")
    gateway.complete.script(
        Reply("Hi you", tool_calls=[call], server_tool_calls=[ServerToolCall("x")])
    )
    gateway.transcribe.script(Transcript("hello"))
    done = (await http_client.post(**completion())).json()
    assert (done["text"], done["toolCalls"]) == ("Hi you", [call.wire()])
    assert read_events((await http_client.post(**transcription())).text)[-1][0] == "done"


@pytest.mark.parametrize("end", [ErrorEvent("all failed"), EndOfStream()])
async def test_an_early_end_leaves_out_done(
    gateway: LocalGateway, http_client: httpx.AsyncClient, end: Any
) -> None:
    gateway.complete.script(Reply(["Hi", end, " you"]))
    gateway.transcribe.script(Transcript("hello", interim=[end]))
    for request in (completion(), transcription()):
        names = [name for name, _ in read_events((await http_client.post(**request)).text)]
        assert "done" not in names
        assert ("error" in names) == isinstance(end, ErrorEvent)


async def test_an_error_event_carries_message_and_code(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.complete.script(Reply([ErrorEvent("all failed")]))
    response = await http_client.post(**completion())
    error = {"error": "all failed", "code": "ALL_PROVIDERS_FAILED"}
    assert (response.status_code, read_events(response.text)[-1]) == (200, ("error", error))


async def test_an_early_end_of_a_json_answer_is_a_500_or_an_empty_body() -> None:
    async with LocalGateway(json_answers=True) as gateway, connect(gateway) as client:
        gateway.complete.script(Reply([ErrorEvent("bad", "X")]), Reply([EndOfStream()]))
        failed = await client.post(**completion())
        empty = await client.post(**completion())
    assert (failed.status_code, failed.json()) == (500, {"error": "bad", "code": "X"})
    assert (empty.status_code, empty.content) == (200, b"")


async def test_route_headers_tell_provider_model_failovers_and_time(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.synthesize.always(Speech(b"ab"))
    headers = (await http_client.post(**synthesis())).headers
    assert headers["X-Speko-Provider"] == "local"
    assert headers["X-Speko-Model"] == "scripted"
    assert headers["X-Speko-Failover-Count"] == "0"
    assert headers["X-Speko-Scores-Run-Id"] == "run-local"
    assert int(headers["X-Speko-First-Byte-Ms"]) >= 0


async def test_a_missing_scores_run_id_leaves_its_header_out(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.synthesize.script(Speech(b"ab", route=ROUTE))
    assert "X-Speko-Scores-Run-Id" not in (await http_client.post(**synthesis())).headers


@pytest.mark.parametrize(
    ("audio_format", "header"),
    [(None, "audio/wav"), ("audio/pcm;rate=8000", "audio/pcm;rate=8000"), ("", None)],
)
async def test_the_audio_format_is_the_content_type_unless_told_otherwise(
    gateway: LocalGateway,
    http_client: httpx.AsyncClient,
    audio_format: str | None,
    header: str | None,
) -> None:
    speech = Speech(b"ab", content_type="audio/wav", audio_format=audio_format)
    gateway.synthesize.script(speech)
    headers = (await http_client.post(**synthesis())).headers
    assert (headers["Content-Type"], headers.get("X-Speko-Audio-Format")) == ("audio/wav", header)


async def test_audio_is_sent_in_chunks_that_can_be_read_before_the_rest_is_there(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gate = Gate()
    gateway.synthesize.script(Speech([b"first", gate, b"second"]))
    async with http_client.stream("POST", **synthesis()) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        await gate.reached()
        assert not gateway.requests[0].done
        gate.open()
        assert await anext(chunks) == b"second"


async def test_bytes_are_cut_to_the_size_of_a_chunk() -> None:
    sizes: list[int] = []
    async with LocalGateway() as gateway, connect(gateway) as client:
        gateway.synthesize.latency = Latency(between_s=0.02)
        gateway.synthesize.script(Speech(bytes(7), chunk_bytes=3))
        async with client.stream("POST", **synthesis()) as response:
            sizes += [len(chunk) async for chunk in response.aiter_raw()]
    assert sizes == [3, 3, 1]


async def test_no_audio_at_all_is_still_a_200(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.synthesize.script(Speech(b""))
    response = await http_client.post(**synthesis())
    assert (response.status_code, response.content) == (200, b"")


async def test_a_delta_can_be_read_while_a_gate_holds_the_next(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gate = Gate()
    gateway.complete.script(Reply(["Hi", gate, " you"]))
    async with http_client.stream("POST", **completion()) as response:
        lines = response.aiter_lines()
        while await anext(lines) != 'data: {"text":"Hi"}':
            pass
        await gate.reached()
        gate.open()
        assert 'data: {"text":" you"}' in [line async for line in lines]


async def test_a_gate_holds_a_json_answer_whole() -> None:
    gate = Gate()
    async with LocalGateway(json_answers=True) as gateway, connect(gateway) as client:
        gateway.complete.script(Reply(["Hi", gate, " you"]))
        pending = asyncio.create_task(client.post(**completion()))
        await gate.reached()
        assert gateway.requests[0].status is None
        gate.open()
        assert (await pending).json()["text"] == "Hi you"
