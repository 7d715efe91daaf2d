"""The gateway refuses requests that the service refuses, and accepts all others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from livekit_plugins_speko.testing import LocalGateway, Reply, Speech, Transcript
from livekit_plugins_speko.testing._gateway.limits import (
    MAX_AUDIO_BYTES,
    MAX_HEADER_LINE_BYTES,
    MAX_JSON_BYTES,
    MAX_KEYWORDS,
    MAX_MESSAGES,
    MAX_PROMPT_CHARS,
    MAX_TEXT_CHARS,
    MAX_TOOLS,
)
from tests.helpers.gateway_requests import (
    HELLO,
    completion,
    connect,
    make_wav,
    synthesis,
    transcription,
)

CALL = {"id": "c1", "name": "f", "args": "{}"}
CALLING = {"role": "assistant", "content": "", "toolCalls": [CALL]}
RESULT = {"role": "tool", "content": "42", "toolCallId": "c1"}
TOOL = {"name": "f", "description": "", "parameters": {}}
WEBHOOK = {"kind": "webhook", "url": "https://example.com", "secretRef": "s"}
WAV = make_wav()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with LocalGateway() as gateway, connect(gateway) as client:
        gateway.transcribe.always(Transcript("hello"))
        gateway.complete.always(Reply("Hi"))
        gateway.synthesize.always(Speech(b"ab"))
        gateway.register_tools("a", [])
        yield client


async def assert_refused(
    client: httpx.AsyncClient,
    request: dict[str, Any],
    message: str,
    status: int = 400,
    code: str = "VALIDATION_ERROR",
) -> None:
    """Send a request that has to be refused with the service's error body."""
    response = await client.request(request.pop("method", "POST"), **request)
    body = response.json()
    assert (response.status_code, body["code"], body.keys()) == (status, code, {"error", "code"})
    assert message in body["error"]


def stt_options(**options: Any) -> dict[str, Any]:
    return transcription(X_Speko_Stt_Options=json.dumps(options))


def header_line(size: int) -> dict[str, Any]:
    """A transcription with one header line of so many bytes."""
    name = "X-Filler"
    upload = transcription()
    upload["headers"][name] = "a" * (size - len(f"{name}: "))
    return upload


@pytest.mark.parametrize("key", ["Bearer wrong", "local-gateway-key", "", None])
async def test_wrong_key_is_unauthorized(client: httpx.AsyncClient, key: str | None) -> None:
    del client.headers["Authorization"]
    found = "found nothing" if key is None else "found something else, expected Bearer"
    headers = {} if key is None else {"Authorization": key}
    for request in (completion(), {"url": "/v1/nothing"}):
        await assert_refused(client, {**request, "headers": headers}, found, 401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/speak"), ("GET", "/v1/complete"), ("GET", "/v1/agents//tools"), ("POST", "/")],
)
async def test_unknown_path_is_not_found(client: httpx.AsyncClient, method: str, path: str) -> None:
    message = f"found {method} {path}, expected one of: POST /v1/transcribe, POST /v1/complete"
    await assert_refused(client, {"method": method, "url": path}, message, 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("intent", "message"),
    [
        (None, "intent: found null, expected an object"),
        ({}, "intent.language: found nothing, expected a value (required)"),
        ({"language": 5}, "intent.language: found 5, expected a language such as"),
        ({"language": " "}, 'intent.language: found " "'),
        ({"language": "en_US"}, 'intent.language: found "en_US"'),
        ({"language": "english"}, 'intent.language: found "english"'),
        ({"language": "auto"}, 'intent.language: found "auto"'),
        ({"language": "en", "region": None}, "intent.region: found null, expected a non-blank"),
        (
            {"language": "en", "optimizeFor": "speed"},
            'intent.optimizeFor: found "speed", expected one of: balanced, accuracy, latency, cost',
        ),
        ({"language": "en", "optimize_for": "cost"}, "intent.optimize_for: unknown field"),
    ],
)
async def test_invalid_intent_is_refused_on_every_route(
    client: httpx.AsyncClient, intent: Any, message: str
) -> None:
    for request in (completion(intent=intent), synthesis(intent=intent)):
        await assert_refused(client, request, f"body.{message}")
    upload = transcription(X_Speko_Intent=json.dumps(intent))
    await assert_refused(client, upload, message.replace("intent", "header X-Speko-Intent", 1))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (transcription(X_Speko_Intent=None), "header X-Speko-Intent: found null, expected JSON"),
        (transcription(X_Speko_Intent="{"), 'X-Speko-Intent: found "{", expected a JSON object'),
        (transcription(X_Speko_Intent='{"language": NaN}'), "expected a JSON object"),
        (transcription(X_Speko_Stt_Options="[]"), "found [], expected an object"),
        (transcription(X_Speko_Stt_Options='"Grüße"'.encode()), "expected ASCII only"),
        (stt_options(keyword=[]), "keyword: unknown field"),
        (stt_options(keywords="a"), 'found "a", expected a list'),
        (stt_options(keywords=[""]), 'keywords[0]: found ""'),
        (stt_options(keywords=["a"] * (MAX_KEYWORDS + 1)), "found 201 items, expected 0 to 200"),
        (stt_options(language="xx-yy"), 'found "xx-yy", expected a language such as'),
        (stt_options(prompt="a" * (MAX_PROMPT_CHARS + 1)), "found 2001 characters, expected <= "),
        (transcription(X_Speko_Constraints='{"allowedProviders": {"asr": []}}'), "asr: unknown"),
        (transcription(Content_Type="audio/mpeg"), 'found "audio/mpeg", expected audio/wav'),
        (transcription(Content_Type=None), "Content-Type: found null, expected audio/wav"),
        (transcription(X_Session_Id=""), 'header x-session-id: found "", expected a non-blank'),
        (synthesis(text=""), 'body.text: found "", expected a non-blank string'),
        (synthesis(text="a" * (MAX_TEXT_CHARS + 1)), "found 10001 characters, expected <= 10000"),
        (synthesis(speed=0.49), "speed: found 0.49, expected a number from 0.5 to 2"),
        (synthesis(speed=2.01), "speed: found 2.01"),
        (synthesis(voice=""), 'voice: found ""'),
        (synthesis(model=5), "model: found 5"),
        (synthesis(instructions=None), "instructions: found null, expected a string"),
        (synthesis(spokenForm=1), "spokenForm: found 1, expected true or false"),
        (synthesis(constraints=[]), "constraints: found [], expected an object"),
        (synthesis(spoken_form=True), "body.spoken_form: unknown field, expected one of: text"),
        ({"method": "GET", "url": "/v1/agents/a/tools?available=yes"}, 'found "yes", expected one'),
        ({"method": "GET", "url": "/v1/agents/a/tools?all=1"}, "query.all: unknown field"),
    ],
)
async def test_invalid_transcription_synthesis_or_tools_request_is_refused(
    client: httpx.AsyncClient, request_: dict[str, Any], message: str
) -> None:
    await assert_refused(client, dict(request_), message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": []}, "body.messages: found 0 items, expected 1 to 2000"),
        ({"messages": [HELLO] * (MAX_MESSAGES + 1)}, "found 2001 items"),
        ({"messages": [{"role": "developer", "content": ""}]}, "expected one of: system, user,"),
        ({"messages": [{"role": "user"}]}, "messages[0].content: found nothing"),
        ({"messages": [{**HELLO, "content": None}]}, "content: found null, expected a string"),
        ({"messages": [{**HELLO, "tool_calls": []}]}, "messages[0].tool_calls: unknown field"),
        ({"messages": [{**HELLO, "toolCalls": [CALL]}]}, 'toolCalls: found on role "user"'),
        ({"messages": [{**HELLO, "isError": True}]}, 'isError: found on role "user"'),
        ({"messages": [{**CALLING, "toolCalls": []}]}, "toolCalls: found 0 items, expected 1"),
        ({"messages": [{**CALLING, "toolCalls": [{**CALL, "args": {}}]}]}, "args: found {}"),
        ({"messages": [{**CALLING, "toolCalls": [{**CALL, "args": "{"}]}]}, "that holds JSON"),
        ({"messages": [CALLING, {"role": "tool", "content": ""}]}, "toolCallId: found null"),
        ({"messages": [CALLING, {**RESULT, "toolCallId": "c2"}]}, 'found "c2", expected the id'),
        ({"messages": [RESULT, CALLING]}, 'messages[0].toolCallId: found "c1", expected the id'),
        ({"messages": [CALLING, {**RESULT, "isError": 1}]}, "isError: found 1, expected true or"),
        ({"tools": [{"name": "f"}]}, "tools[0].description: found nothing"),
        ({"tools": [{**TOOL, "parameters": "{}"}]}, 'parameters: found "{}", expected an object'),
        ({"tools": [TOOL, TOOL]}, 'tools[1].name: found "f", expected a name no other tool has'),
        ({"tools": [TOOL] * (MAX_TOOLS + 1)}, "found 129 items"),
        ({"tools": [{**TOOL, "executionMode": "webhook"}]}, 'found "inline", expected its exec'),
        ({"tools": [{**TOOL, "source": {"kind": "x"}}]}, 'source.kind: found "x"'),
        ({"tools": [{**TOOL, "source": {"kind": "webhook"}}]}, "source.url: found null"),
        ({"tools": [{**TOOL, "preToolSpeech": "sometimes"}]}, "expected one of: auto, always"),
        ({"toolChoice": "any"}, 'toolChoice: found "any", expected auto, none, required or'),
        ({"toolChoice": {"type": "function"}}, "toolChoice.function: found nothing"),
        ({"temperature": True}, "temperature: found true, expected a number from 0 to 2"),
        ({"temperature": 2.01}, "temperature: found 2.01"),
        ({"temperature": -0.01}, "temperature: found -0.01"),
        ({"maxTokens": 0}, "maxTokens: found 0, expected a whole number >= 1"),
        ({"maxTokens": 1.5}, "maxTokens: found 1.5"),
        ({"maxToolHops": 0}, "maxToolHops: found 0, expected a whole number 1 to 16"),
        ({"maxToolHops": 17}, "maxToolHops: found 17"),
        ({"maxToolHops": True}, "maxToolHops: found true"),
        ({"reasoningEffort": "max"}, 'found "max", expected one of: none, minimal, low, medium,'),
        ({"voiceOptimized": "yes"}, 'voiceOptimized: found "yes", expected true or false'),
        ({"constraints": {"allowedProviders": {"llm": "openai"}}}, 'llm: found "openai"'),
        ({"system_prompt": "x"}, "body.system_prompt: unknown field, expected one of: messages"),
        ({"systemPrompt": ["a" * 100]}, "aaa..., expected a string"),
    ],
)
async def test_invalid_completion_is_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    await assert_refused(client, completion(**fields), message)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"text": Infinity}'])
async def test_body_that_is_not_a_json_object_is_refused(
    client: httpx.AsyncClient, content: bytes
) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    request = {"url": "/v1/complete", "content": content, "headers": headers}
    await assert_refused(client, request, "expected a" if content != b"[1]" else "an object")


async def test_json_body_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    request = {**completion(), "headers": {"Content-Type": "text/plain"}}
    await assert_refused(client, request, 'found "text/plain", expected application/json')


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (b"", "found 0 bytes"),
        (b"\x00" * 100, "expected a RIFF/WAVE header"),
        (WAV[:-2], "expected 3244, as its header says"),
        (make_wav(seconds=0), "found 0 bytes of samples"),
        (b"RIFF\0\0\0\0WAVE" + WAV[12:36], "found no b'data' chunk"),
        (b"RIFF\0\0\0\0WAVE" + WAV[36:], "found no b'fmt ' chunk"),
        (b"RIFF\0\0\0\0WAVE" + WAV[12:-2], "found a b'data' chunk of 3200 bytes"),
        (b"RIFF\0\0\0\0WAVE" + b"fmt \x02\0\0\0\x01\0", "found a fmt chunk of 2 bytes"),
        (WAV[:20] + b"\x03\0" + WAV[22:], "found format 3 with 16 bits"),
        (WAV[:34] + b"\x0c\0" + WAV[36:], "found format 1 with 12 bits"),
        (WAV[:22] + b"\0\0" + WAV[24:], "found 0 channels at 16000 Hz"),
        (WAV[:22] + b"\x02\0" + WAV[24:], "found frames of 2 bytes"),
        (WAV[:28] + b"\0" * 4 + WAV[32:], "frames of 2 bytes and 0 bytes a second"),
        (WAV[:40] + b"\xff" * 4 + WAV[44:] + b"\0", "found 3201 bytes of samples"),
    ],
)
async def test_upload_that_is_not_a_pcm_wav_is_invalid_audio(
    client: httpx.AsyncClient, audio: bytes, message: str
) -> None:
    await assert_refused(client, transcription(audio=audio), message, 400, "INVALID_AUDIO")


async def test_header_line_over_the_usual_limit_of_servers_is_refused(
    client: httpx.AsyncClient,
) -> None:
    keywords = stt_options(keywords=["Grüße an alle in Köln am Rhein"] * MAX_KEYWORDS)
    for upload in (header_line(MAX_HEADER_LINE_BYTES + 1), keywords):
        message = "expected 8190 at most"
        await assert_refused(client, upload, message, code="HEADER_TOO_LARGE")


async def test_body_over_the_limit_is_too_large_and_cut_in_the_log() -> None:
    async with LocalGateway() as gateway, connect(gateway) as client:
        for request, most in (
            (transcription(audio=bytes(MAX_AUDIO_BYTES + 100)), MAX_AUDIO_BYTES),
            (completion(systemPrompt="a" * MAX_JSON_BYTES), MAX_JSON_BYTES),
        ):
            message = f"body: found more than {most} bytes"
            await assert_refused(client, request, message, 413, "PAYLOAD_TOO_LARGE")
            assert len(gateway.requests[-1].body) == most + 1


@pytest.mark.parametrize(
    "request_",
    [
        completion(
            messages=[HELLO, CALLING, {**RESULT, "isError": False}, {**HELLO, "content": ""}],
            intent={"language": "en", "region": "global", "optimizeFor": "latency"},
            systemPrompt="",
            temperature=0,
            maxTokens=1,
            reasoningEffort="xhigh",
            voiceOptimized=False,
            constraints={"allowedProviders": {"stt": [], "llm": ["openai:gpt"], "tts": []}},
            tools=[
                {**TOOL, "executionMode": "inline"},
                {**TOOL, "name": "g", "executionMode": "webhook", "source": WEBHOOK},
            ],
            parallelToolCalls=False,
            maxToolHops=16,
        ),
        completion(temperature=2, maxToolHops=1, toolChoice="none"),
        completion(toolChoice={"type": "function", "function": {"name": "f"}}),
        synthesis(
            voice="v", model="m", speed=0.5, instructions="", spokenForm=False, constraints={}
        ),
        synthesis(speed=2),
        header_line(MAX_HEADER_LINE_BYTES),
        stt_options(keywords=["a"] * MAX_KEYWORDS, prompt="a" * MAX_PROMPT_CHARS, language="en-US"),
        stt_options(language="multi"),
        stt_options(language="auto"),
        transcription(X_Speko_Intent='{"language": "yue-HK"}'),
        transcription(audio=make_wav(rate_hz=48000, channels=2)),
        transcription(audio=WAV[:40] + b"\xff" * 4 + WAV[44:]),
        transcription(audio=WAV[:4] + b"\0" * 4 + WAV[8:40] + b"\0" * 4 + WAV[44:]),
        transcription(audio=b"RIFF\0\0\0\0WAVE" + b"LIST\x03\0\0\0abc\0" + WAV[12:]),
        {"method": "GET", "url": "/v1/agents/a/tools?available=0"},
    ],
)
async def test_valid_request_is_accepted(
    client: httpx.AsyncClient, request_: dict[str, Any]
) -> None:
    method = request_.get("method", "POST")
    arguments = {name: value for name, value in request_.items() if name != "method"}
    assert (await client.request(method, **arguments)).status_code == 200
