"""The calls of the official SDK, asynchronous and synchronous, against the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
import spekoai

from livekit_plugins_speko.testing import (
    Gate,
    LocalGateway,
    Refusal,
    Reply,
    ServerToolCall,
    Speech,
    ToolCall,
    Transcript,
)
from tests.helpers.gateway_requests import HELLO, make_wav

T = TypeVar("T")

TOOL = {"name": "get_weather", "description": "Weather.", "parameters": {"type": "object"}}
INTENT = {"language": "en", "region": "global", "optimizeFor": "latency"}
SPOKEN: dict[str, Any] = {"language": "en", "region": "global", "optimize_for": "latency"}
CALL = ToolCall("get_weather", {"city": "Paris"}, id="c1")


@pytest.fixture
async def speko(gateway: LocalGateway) -> AsyncIterator[spekoai.AsyncSpeko]:
    client = spekoai.AsyncSpeko(api_key=gateway.api_key, base_url=gateway.base_url)
    async with client:
        yield client


async def in_thread(gateway: LocalGateway, call: Callable[[spekoai.Speko], T]) -> T:
    """Makes a call of the synchronous SDK while the gateway's loop runs on."""

    def run() -> T:
        with spekoai.Speko(api_key=gateway.api_key, base_url=gateway.base_url) as client:
            return call(client)

    return await asyncio.to_thread(run)


async def test_transcribe_gives_the_text_and_sends_every_option(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    gateway.transcribe.script(Transcript("hello", interim=["he"], confidence=None))
    result = await speko.transcribe(
        make_wav(),
        **SPOKEN,
        constraints={"allowed_providers": {"stt": ["deepgram:nova-3"]}},
        session_id=" s1 ",
        keywords=["Spëko"],
        stt_language="en-GB",
    )
    assert (result.text, result.confidence, result.provider) == ("hello", None, "local")
    (request,) = gateway.requests
    assert (request.intent, request.session_id) == (INTENT, "s1")
    assert request.constraints == {"allowedProviders": {"stt": ["deepgram:nova-3"]}}
    assert request.stt_options == {"keywords": ["Spëko"], "language": "en-GB"}


async def test_transcribe_stream_gives_meta_interim_texts_and_done(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    gateway.transcribe.script(Transcript("hello", interim=["he"]))
    events = [event async for event in speko.transcribe_stream(make_wav(), language="en")]
    assert [event.type for event in events] == ["meta", "transcript", "done"]


async def test_complete_gives_the_text_the_tool_calls_and_the_usage(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    gateway.complete.script(Reply("One moment.", tool_calls=[CALL], prompt_tokens=7))
    result = await speko.complete(
        messages=[HELLO],
        intent=SPOKEN,
        system_prompt="Be brief.",
        temperature=0.0,
        max_tokens=50,
        reasoning_effort="low",
        constraints={"allowed_providers": {"llm": ["openai"]}},
        tools=[TOOL],
        tool_choice="auto",
        parallel_tool_calls=False,
        max_tool_hops=2,
        session_id="s1",
    )
    assert result.text == "One moment."
    assert [call.model_dump() for call in result.tool_calls or ()] == [CALL.wire()]
    assert result.usage.prompt_tokens == 7
    assert gateway.requests[0].intent == INTENT


async def test_complete_takes_a_tool_result_back(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    gateway.complete.script(Reply("It is sunny."))
    messages: list[Any] = [
        HELLO,
        {"role": "assistant", "content": "", "tool_calls": [CALL.wire()]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1", "is_error": False},
    ]
    assert (await speko.complete(messages=messages, intent=INTENT)).text == "It is sunny."


async def test_complete_stream_gives_every_event_as_it_comes(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    gate = Gate()
    gateway.complete.script(
        Reply(["Hi", gate, " you"], tool_calls=[CALL], server_tool_calls=[ServerToolCall("look")])
    )
    seen: list[str] = []
    async for event in speko.complete_stream(messages=[HELLO], intent=INTENT):
        seen.append(event.type)
        if event.type == "delta" and event.text == "Hi":
            await gate.reached()
            gate.open()
    assert seen == [
        "meta",
        "server_tool_call",
        "server_tool_call",
        "meta",
        "delta",
        "delta",
        "tool_call",
        "done",
    ]


async def test_synthesize_gives_the_audio_and_sends_every_option(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    gateway.synthesize.script(Speech(b"ab" * 5000, content_type="audio/pcm;rate=16000"))
    result = await speko.synthesize(
        "Hello.",
        **SPOKEN,
        voice="joe",
        model="m",
        speed=1.5,
        instructions="calm",
        spoken_form=False,
        constraints={"allowed_providers": {"tts": ["acme"]}},
        session_id="s1",
    )
    assert (result.audio, result.content_type) == (b"ab" * 5000, "audio/pcm;rate=16000")
    assert gateway.requests[0].json["spokenForm"] is False


async def test_synthesize_stream_gives_the_first_chunk_before_the_second_is_there(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    gate = Gate()
    gateway.synthesize.script(Speech([b"first", gate, b"second"]))
    async with await speko.synthesize_stream("Hello.", language="en") as stream:
        chunks = aiter(stream)
        assert await anext(chunks) == b"first"
        await gate.reached()
        gate.open()
        assert [chunk async for chunk in chunks] == [b"second"]
    assert (stream.provider, stream.scores_run_id) == ("local", "run-local")


async def test_list_chat_tools_gives_the_tools_of_an_agent(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    webhook = {"kind": "webhook", "url": "https://example.com", "secretRef": "s"}
    rows = [TOOL, {**TOOL, "name": "order", "source": webhook, "preToolSpeech": "never"}]
    gateway.register_tools("agent/1", rows, unavailable=[{**TOOL, "name": "down"}])
    # The SDK's annotation of the result is one that type checkers cannot follow.
    available: Any = await speko.agents.tools.list_chat_tools("agent/1", available=True)
    everything: Any = await speko.agents.tools.list_chat_tools("agent/1")
    assert [(t.name, t.execution_mode) for t in available] == [
        ("get_weather", "inline"),
        ("order", "webhook"),
    ]
    assert [t.name for t in everything] == ["get_weather", "order", "down"]


async def test_listed_tools_can_be_sent_with_a_completion(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    source = {"kind": "integration", "installationId": "i", "appKey": "a", "actionKey": "b"}
    gateway.register_tools("agent-1", [{**TOOL, "source": source}])
    gateway.complete.script(Reply("Hi"))
    tools: Any = await speko.agents.tools.list_chat_tools("agent-1", available=True)
    await speko.complete(messages=[HELLO], intent=INTENT, tools=list(tools))
    assert gateway.requests[-1].json["tools"][0]["executionMode"] == "integration"


async def test_a_wrong_key_is_an_auth_error(gateway: LocalGateway) -> None:
    async with spekoai.AsyncSpeko(api_key="wrong", base_url=gateway.base_url) as speko:
        with pytest.raises(spekoai.SpekoAuthError):
            await speko.complete(messages=[HELLO], intent=INTENT)


async def test_a_refusal_is_the_error_of_its_status(
    gateway: LocalGateway, speko: spekoai.AsyncSpeko
) -> None:
    gateway.synthesize.script(
        Refusal(429, "slow down", "RATE_LIMITED", headers={"Retry-After": "3"}),
        Refusal(500, "all failed", "ALL_PROVIDERS_FAILED"),
    )
    with pytest.raises(spekoai.SpekoRateLimitError) as limited:
        await speko.synthesize("Hello.", language="en")
    with pytest.raises(spekoai.SpekoApiError) as failed:
        await speko.synthesize("Hello.", language="en")
    assert limited.value.retry_after == 3
    assert (failed.value.status, failed.value.code) == (500, "ALL_PROVIDERS_FAILED")


async def test_the_synchronous_transcribe_and_its_stream_work(gateway: LocalGateway) -> None:
    gateway.transcribe.always(Transcript("hello", interim=["he"]))
    result = await in_thread(gateway, lambda s: s.transcribe(make_wav(), language="en"))
    events = await in_thread(
        gateway, lambda s: list(s.transcribe_stream(make_wav(), language="en", keywords=["x"]))
    )
    assert result.text == "hello"
    assert [event.type for event in events] == ["meta", "transcript", "done"]


async def test_the_synchronous_complete_and_its_stream_work(gateway: LocalGateway) -> None:
    gateway.complete.always(Reply("Hi you", tool_calls=[CALL]))
    result = await in_thread(gateway, lambda s: s.complete(messages=[HELLO], intent=INTENT))
    events = await in_thread(
        gateway, lambda s: list(s.complete_stream(messages=[HELLO], intent=INTENT))
    )
    assert result.text == "Hi you"
    assert [event.type for event in events] == ["meta", "delta", "delta", "tool_call", "done"]


async def test_the_synchronous_synthesize_and_its_stream_work(gateway: LocalGateway) -> None:
    gateway.synthesize.always(Speech(b"ab" * 5000))

    def read(speko: spekoai.Speko) -> bytes:
        with speko.synthesize_stream("Hello.", language="en") as stream:
            return stream.read()

    result = await in_thread(gateway, lambda s: s.synthesize("Hello.", language="en"))
    assert result.audio == await in_thread(gateway, read) == b"ab" * 5000


async def test_the_synchronous_list_chat_tools_works(gateway: LocalGateway) -> None:
    gateway.register_tools("agent-1", [TOOL])
    tools: Any = await in_thread(
        gateway, lambda s: s.agents.tools.list_chat_tools("agent-1", available=True)
    )
    assert [tool.name for tool in tools] == ["get_weather"]
