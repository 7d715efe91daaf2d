"""The calls of `Speko`, against the gateway: requests, results and closing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from livekit_plugins_speko import Speko, SpekoApiError, __version__
from livekit_plugins_speko.testing import (
    AnswerWriter,
    EndOfStream,
    ErrorEvent,
    Gate,
    LocalGateway,
    Reply,
    ServerToolCall,
    Speech,
    ToolCall,
    Transcript,
)
from tests.helpers.client_calls import CALLS, Call, complete, stream, synthesize, transcribe
from tests.helpers.gateway_requests import HELLO, make_wav
from tests.helpers.support import ACME

INTENT = {"language": "en-US", "region": "global", "optimizeFor": "latency"}
SPOKEN: dict[str, Any] = {"language": "en-US", "region": "global", "optimize_for": "latency"}
CONSTRAINTS = {"allowedProviders": {"stt": ["deepgram:nova-3"]}}
TOOL = {"name": "get_weather", "description": "", "parameters": {"type": "object"}}


def to_camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def route_of(result: Any) -> tuple[Any, ...]:
    return result.provider, result.model, result.failover_count, result.scores_run_id


@pytest.fixture(params=[False, True], ids=["events", "json"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[LocalGateway]:
    """The current service, and the older one that responds in JSON."""
    async with LocalGateway(json_answers=request.param) as gateway:
        yield gateway


@pytest.fixture
async def client_of_either(either: LocalGateway) -> AsyncIterator[Speko]:
    async with Speko(base_url=either.base_url, api_key=either.api_key) as client:
        yield client


ROUTED: dict[str, Any] = {"constraints": CONSTRAINTS, "session_id": " s1 "}


async def test_transcription_forwards_every_option(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript("hello"))
    wav, typed = make_wav(), "audio/x-wav"
    more: dict[str, Any] = {"keywords": ("Spëko",), "stt_language": "en", "prompt": "A hotel."}
    await speko.transcribe(wav, **SPOKEN, **ROUTED, **more, content_type=typed)
    (request,) = gateway.requests
    assert (request.audio, request.headers["Content-Type"]) == (wav, typed)
    assert (request.intent, request.constraints, request.session_id) == (INTENT, CONSTRAINTS, "s1")
    assert request.stt_options == {"keywords": ["Spëko"], "language": "en", "prompt": "A hotel."}


async def test_completion_forwards_every_option() -> None:
    options: dict[str, Any] = {
        "system_prompt": "Be brief.",
        "temperature": 0.0,
        "max_tokens": 64,
        "reasoning_effort": "low",
        "voice_optimized": True,
        "tools": [TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tool_hops": 2,
    }
    bodies: list[Any] = []

    def serve(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        assert request.headers["x-session-id"] == "s1"
        return httpx.Response(200, json={"text": "Hi"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as http_client:
        speko = Speko(api_key="sk-1", http_client=http_client)
        await speko.complete(messages=[HELLO], intent=INTENT, **ROUTED, **options)
    wire = {to_camel_case(name): value for name, value in options.items()}
    assert bodies == [{"messages": [HELLO], "intent": INTENT, "constraints": CONSTRAINTS, **wire}]


async def test_synthesis_forwards_every_option(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.script(Speech(b"ab"))
    options: dict[str, Any] = {
        "voice": "ada",
        "model": "sonic-2",
        "speed": 1.5,
        "instructions": "Whisper.",
        "spoken_form": False,
    }
    await speko.synthesize("Hi.", **SPOKEN, **ROUTED, **options)
    (request,) = gateway.requests
    wire = {to_camel_case(name): value for name, value in options.items()}
    assert request.json == {"text": "Hi.", "intent": INTENT, "constraints": CONSTRAINTS, **wire}
    assert request.session_id == "s1"


async def test_message_may_have_the_official_sdks_spelling(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("It is sunny."))
    call = {"id": "c1", "name": "get_weather", "args": "{}"}
    messages: list[dict[str, Any]] = [
        HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1", "is_error": False},
    ]
    reply = await speko.complete(messages=messages, intent={"language": "en"})
    assert reply.text == "It is sunny."


@CALLS
async def test_call_sends_only_set_options(gateway: LocalGateway, speko: Speko, call: Call) -> None:
    gateway.transcribe.always(Transcript("hello"))
    gateway.complete.always(Reply("Hi"))
    gateway.synthesize.always(Speech(b"ab"))
    await call(speko, session_id=" ")
    (request,) = gateway.requests
    assert request.intent == {"language": "en"}
    assert (request.session_id, request.constraints, request.stt_options) == (None, None, None)
    assert request.headers["User-Agent"] == f"livekit-plugins-speko/{__version__}"


@CALLS
async def test_call_checks_its_constraints_before_it_sends(
    gateway: LocalGateway, speko: Speko, call: Call
) -> None:
    with pytest.raises(ValueError, match="unknown constraints key"):
        await call(speko, constraints={"providers": []})
    assert gateway.requests == []


async def test_intent_is_checked_before_anything_is_sent(
    gateway: LocalGateway, speko: Speko
) -> None:
    calls = (
        speko.transcribe(b"", language=" "),
        speko.synthesize("Hi", language=""),
        speko.complete(messages=[HELLO], intent={"language": ""}),
    )
    for call in calls:
        with pytest.raises(ValueError, match="intent.language is required"):
            await call
    assert gateway.requests == []


@pytest.mark.parametrize("confidence", [0.25, None])
async def test_transcript_comes_in_both_response_forms(
    either: LocalGateway, client_of_either: Speko, confidence: float | None
) -> None:
    said = Transcript("hello", interim=["he"], confidence=confidence, route=ACME)
    either.transcribe.script(said)
    result = await transcribe(client_of_either)
    assert (result.text, result.confidence) == ("hello", confidence)
    assert route_of(result) == ("acme", "acme-2", 1, "run-7")


async def test_interim_transcripts_come_before_the_final_one(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate, told = Gate(), asyncio.Queue[str]()
    gateway.transcribe.script(Transcript("hello there", interim=["he", gate, "hello"]))
    pending = asyncio.create_task(transcribe(speko, on_interim=told.put_nowait))
    assert await told.get() == "he"
    await gate.reached()
    gate.open()
    assert (await pending).text == "hello there"
    assert (told.get_nowait(), told.empty()) == ("hello", True)


async def test_reply_comes_in_both_response_forms(
    either: LocalGateway, client_of_either: Speko
) -> None:
    call = ToolCall("get_weather", {"city": "Paris"}, id="c1")
    reply = Reply("Hi you", tool_calls=[call], prompt_tokens=7, completion_tokens=2, route=ACME)
    either.complete.script(reply)
    result = await complete(client_of_either, tools=[TOOL])
    assert result.text == "Hi you"
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (7, 2)
    (told,) = result.tool_calls
    assert (told.id, told.name, told.args) == ("c1", "get_weather", '{"city": "Paris"}')
    assert route_of(result) == ("acme", "acme-2", 1, "run-7")


async def test_reply_of_an_older_service_is_one_done_event() -> None:
    async with LocalGateway(json_answers=True) as gateway:
        gateway.complete.script(Reply("Hi you"))
        async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
            told = [(event.type, event.text) async for event in stream(speko)]
    assert told == [("done", "Hi you")]


async def test_events_of_a_reply_come_in_order_with_their_types(
    gateway: LocalGateway, speko: Speko
) -> None:
    lookup = ServerToolCall("lookup", id="s1")
    call = ToolCall("get_weather", id="c1")
    gateway.complete.script(
        Reply("Hi you", server_tool_calls=[lookup], tool_calls=[call], route=ACME)
    )
    events = [event async for event in stream(speko, tools=[TOOL])]
    assert [event.type for event in events] == [
        "meta",
        "server_tool_call",
        "server_tool_call",
        "meta",
        "delta",
        "delta",
        "tool_call",
        "done",
    ]
    first, started, completed, second, *deltas, called, done = events
    assert route_of(first) == route_of(done) == ("acme", "acme-2", 1, "run-7")
    assert (first.hop, second.hop, first.total_failover_count) == (0, 1, 1)
    assert (started.status, completed.status, started.name) == ("started", "completed", "lookup")
    assert [delta.text for delta in deltas] == ["Hi", " you"]
    assert (called.id, called.name, called.args) == ("c1", "get_weather", "{}")


async def test_each_delta_comes_before_the_next_is_sent(
    gateway: LocalGateway, speko: Speko
) -> None:
    gates = [Gate(), Gate()]
    gateway.complete.script(Reply(["One", gates[0], " two", gates[1], " three"]))
    events = stream(speko)
    assert (await anext(events)).type == "meta"
    for expected, gate in zip(["One", " two"], gates, strict=True):
        assert (await anext(events)).text == expected
        await gate.reached()
        assert not gateway.requests[0].done
        gate.open()
    assert [event.text async for event in events] == [" three", "One two three"]


async def test_error_event_ends_a_stream(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.script(Reply(["Hi", ErrorEvent("all failed", "ALL_PROVIDERS_FAILED")]))
    *_, delta, error = [event async for event in stream(speko)]
    assert (delta.type, error.type) == ("delta", "error")
    assert (error.error, error.code) == ("all failed", "ALL_PROVIDERS_FAILED")


@pytest.mark.parametrize(
    ("end", "message", "code"),
    [
        (ErrorEvent("all failed", "ALL_PROVIDERS_FAILED"), "all failed", "ALL_PROVIDERS_FAILED"),
        (EndOfStream(), "stream ended before its `done` event", "STREAM_ENDED"),
    ],
)
async def test_response_without_done_is_an_error_with_status_200(
    gateway: LocalGateway, speko: Speko, end: Any, message: str, code: str
) -> None:
    gateway.complete.script(Reply(["Hi", end]))
    gateway.transcribe.script(Transcript("hello", interim=["he", end]))
    for call in (complete, transcribe):
        with pytest.raises(SpekoApiError, match=message) as raised:
            await call(speko)
        assert (raised.value.status, raised.value.code) == (200, code)


async def test_stream_without_done_raises_after_its_events(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply(["Hi", EndOfStream()]))
    events = stream(speko)
    assert [(await anext(events)).type for _ in range(2)] == ["meta", "delta"]
    with pytest.raises(SpekoApiError) as raised:
        await anext(events)
    assert (raised.value.status, raised.value.code) == (200, "STREAM_ENDED")


async def test_synthesis_returns_audio_format_and_route(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.synthesize.script(Speech(b"abcdef", chunk_bytes=2, route=ACME))
    result = await synthesize(speko)
    assert (result.audio, result.content_type) == (b"abcdef", "audio/pcm;rate=24000")
    assert route_of(result) == ("acme", "acme-2", 1, "run-7")


@pytest.mark.parametrize(
    ("audio_format", "expected"),
    [("audio/pcm;rate=16000", "audio/pcm;rate=16000"), ("", "application/octet-stream")],
)
async def test_audio_format_header_wins_over_the_content_type(
    gateway: LocalGateway, speko: Speko, audio_format: str, expected: str
) -> None:
    gateway.synthesize.always(
        Speech(b"ab", content_type="application/octet-stream", audio_format=audio_format)
    )
    assert (await synthesize(speko)).content_type == expected
    async with await speko.synthesize_stream("Hi", language="en") as audio:
        assert audio.content_type == expected


async def test_audio_comes_before_the_rest_is_sent(gateway: LocalGateway, speko: Speko) -> None:
    gate = Gate()
    gateway.synthesize.script(Speech([b"first", gate, b"second"], route=ACME))
    async with await speko.synthesize_stream("Hi", language="en") as audio:
        assert route_of(audio) == ("acme", "acme-2", 1, "run-7")
        chunks = aiter(audio)
        assert await anext(chunks) == b"first"
        await gate.reached()
        gate.open()
        assert b"".join([chunk async for chunk in chunks]) == b"second"


async def test_closing_a_reply_early_closes_its_connection(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate = Gate()
    gateway.complete.script(Reply(["Hi", gate]))
    events: Any = stream(speko)
    await anext(events)
    await gate.reached()
    await events.aclose()
    await gateway.idle(connections=0)
    assert gateway.requests[0].cancelled


async def test_leaving_the_audio_early_closes_its_connection(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate = Gate()
    gateway.synthesize.script(Speech([b"first", gate]))
    async with await speko.synthesize_stream("Hi", language="en"):
        await gate.reached()
    await gateway.idle(connections=0)
    assert gateway.requests[0].cancelled


async def test_options_of_a_reply_are_checked_when_it_is_requested(speko: Speko) -> None:
    """Not when the first event is awaited."""
    with pytest.raises(ValueError, match="^Speko: temperature must be a number from 0 to 2"):
        stream(speko, temperature=3)


@pytest.mark.parametrize(
    ("call", "options", "text"),
    [
        (transcribe, {"keywords": ["a"] * 201}, "keywords has 201 words"),
        (complete, {"max_tool_hops": 17}, "max_tool_hops must be a whole number"),
        (synthesize, {"speed": 5}, "speed must be a number from 0.5 to 2"),
    ],
)
async def test_invalid_option_is_refused_before_the_network(
    gateway: LocalGateway, speko: Speko, call: Call, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=f"^Speko: {text}"):
        await call(speko, **options)
    assert gateway.requests == []


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_audio_may_be_any_bytes_like_object(
    gateway: LocalGateway, speko: Speko, kind: Any
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    assert (await speko.transcribe(kind(make_wav()), language="en")).text == "hello"
    assert gateway.requests[0].body == make_wav()


class LateEnd(Transcript):
    """A transcript whose body ends a moment after its last event."""

    async def write(self, writer: AnswerWriter) -> None:
        await super().write(writer)
        await asyncio.sleep(0.02)


async def test_connection_is_reused_after_a_late_end_of_the_body(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(LateEnd("hello"), Transcript("you"))
    assert (await transcribe(speko)).text == "hello"
    await gateway.idle(connections=1)
    assert (await transcribe(speko)).text == "you"
    assert [request.cancelled for request in gateway.requests] == [False, False]
