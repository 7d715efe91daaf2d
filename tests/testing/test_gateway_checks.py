"""What the gateway refuses, as the service does, and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from livekit_plugins_speko.testing import LocalGateway, Reply, Speech, Transcript
from livekit_plugins_speko.testing._gateway.limits import (
    MAX_AUDIO_BYTES,
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


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with LocalGateway() as gateway, connect(gateway) as client:
        gateway.transcribe.always(Transcript("hello"))
        gateway.complete.always(Reply("Hi"))
        gateway.synthesize.always(Speech(b"ab"))
        yield client


async def refusal(client: httpx.AsyncClient, request: dict[str, Any]) -> tuple[int, str, str]:
    """Sends a request that should be refused; gives the status, the code and the message."""
    response = await client.post(**request)
    body = response.json()
    assert body.keys() == {"error", "code"}
    return response.status_code, body["code"], body["error"]


@pytest.mark.parametrize("key", ["Bearer wrong", "local-gateway-key", ""])
async def test_a_wrong_key_is_unauthorized(client: httpx.AsyncClient, key: str) -> None:
    request = {**completion(), "headers": {"Authorization": key}}
    status, code, error = await refusal(client, request)
    assert (status, code) == (401, "UNAUTHORIZED")
    assert "found something else, expected Bearer" in error


async def test_no_key_at_all_is_unauthorized(client: httpx.AsyncClient) -> None:
    del client.headers["Authorization"]
    status, _, error = await refusal(client, completion())
    assert (status, "found nothing" in error) == (401, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/speak"), ("GET", "/v1/complete"), ("GET", "/v1/agents//tools"), ("POST", "/")],
)
async def test_a_path_that_does_not_exist_is_not_found(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("intent", "message"),
    [
        (None, "intent: found null, expected an object"),
        ([], "intent: found [], expected an object"),
        ({}, "intent.language: found nothing, expected a value (required)"),
        ({"language": " "}, 'intent.language: found " ", expected a non-blank string'),
        ({"language": 5}, "intent.language: found 5, expected a non-blank string"),
        ({"language": "en", "region": None}, "intent.region: found null, expected a non-blank"),
        (
            {"language": "en", "optimizeFor": "speed"},
            'intent.optimizeFor: found "speed", expected one of: balanced, accuracy, latency, cost',
        ),
        ({"language": "en", "optimize_for": "cost"}, "intent.optimize_for: unknown field"),
    ],
)
async def test_a_wrong_intent_is_refused_everywhere(
    client: httpx.AsyncClient, intent: Any, message: str
) -> None:
    for request in (completion(intent=intent), synthesis(intent=intent)):
        status, code, error = await refusal(client, request)
        assert (status, code) == (400, "VALIDATION_ERROR")
        assert f"body.{message}" in error
    upload = transcription(X_Speko_Intent=json.dumps(intent))
    status, code, error = await refusal(client, upload)
    assert (status, code) == (400, "VALIDATION_ERROR")
    assert message.replace("intent", "header X-Speko-Intent", 1) in error


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"X_Speko_Intent": None}, "header X-Speko-Intent: found null, expected JSON (required)"),
        ({"X_Speko_Intent": "{"}, 'header X-Speko-Intent: found "{", expected a JSON object'),
        ({"X_Speko_Intent": '{"language": NaN}'}, "expected a JSON object"),
        ({"X_Speko_Stt_Options": "[]"}, "header X-Speko-Stt-Options: found [], expected an object"),
        ({"X_Speko_Stt_Options": '{"keyword": []}'}, "unknown field"),
        ({"X_Speko_Stt_Options": '{"keywords": "a"}'}, 'found "a", expected a list'),
        ({"X_Speko_Stt_Options": '{"keywords": [""]}'}, 'keywords[0]: found ""'),
        (
            {"X_Speko_Stt_Options": json.dumps({"keywords": ["a"] * (MAX_KEYWORDS + 1)})},
            "found 201 items, expected 0 to 200",
        ),
        (
            {"X_Speko_Stt_Options": json.dumps({"prompt": "a" * (MAX_PROMPT_CHARS + 1)})},
            "found 2001 characters, expected <= 2000",
        ),
        ({"X_Speko_Constraints": '{"allowedProviders": {"asr": []}}'}, "asr: unknown field"),
        ({"Content_Type": "audio/mpeg"}, 'found "audio/mpeg", expected audio/wav'),
        ({"Content_Type": None}, "header Content-Type: found null, expected audio/wav"),
        ({"X_Session_Id": ""}, 'header x-session-id: found "", expected a non-blank string'),
    ],
)
async def test_a_wrong_header_of_an_upload_is_refused(
    client: httpx.AsyncClient, headers: dict[str, Any], message: str
) -> None:
    status, code, error = await refusal(client, transcription(**headers))
    assert (status, code) == (400, "VALIDATION_ERROR")
    assert message in error


async def test_a_header_beyond_ascii_is_refused(client: httpx.AsyncClient) -> None:
    upload = transcription()
    upload["headers"]["X-Speko-Stt-Options"] = '{"keywords": ["Grüße"]}'.encode()
    status, _, error = await refusal(client, upload)
    assert (status, "expected ASCII only" in error) == (400, True)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (b"", "found 0 bytes"),
        (b"\x00" * 100, "expected a RIFF/WAVE header"),
        (make_wav()[:-2], "expected 3244, as its header says"),
        (make_wav(seconds=0), "found 0 bytes of samples"),
        (make_wav()[:12], "expected 3244"),
        (b"RIFF\0\0\0\0WAVE" + make_wav()[12:36], "found no b'data' chunk"),
        (b"RIFF\0\0\0\0WAVE" + make_wav()[36:], "found no b'fmt ' chunk"),
        (b"RIFF\0\0\0\0WAVE" + make_wav()[12:-2], "found a b'data' chunk of 3200 bytes"),
        (b"RIFF\0\0\0\0WAVE" + b"fmt \x02\0\0\0\x01\0", "found a fmt chunk of 2 bytes"),
        (make_wav()[:20] + b"\x03\0" + make_wav()[22:], "found format 3 with 16 bits"),
        (make_wav()[:34] + b"\x0c\0" + make_wav()[36:], "found format 1 with 12 bits"),
        (make_wav()[:22] + b"\0\0" + make_wav()[24:], "found 0 channels at 16000 Hz"),
        (make_wav()[:22] + b"\x02\0" + make_wav()[24:], "found frames of 2 bytes"),
        (make_wav()[:28] + b"\0" * 4 + make_wav()[32:], "frames of 2 bytes and 0 bytes a second"),
        (make_wav()[:40] + b"\xff" * 4 + make_wav()[44:] + b"\0", "found 3201 bytes of samples"),
    ],
)
async def test_audio_that_is_no_wav_is_invalid(
    client: httpx.AsyncClient, audio: bytes, message: str
) -> None:
    status, code, error = await refusal(client, transcription(audio=audio))
    assert (status, code) == (400, "INVALID_AUDIO")
    assert message in error


@pytest.mark.parametrize(
    "audio",
    [
        make_wav(rate_hz=48000, channels=2),
        make_wav()[:40] + b"\xff" * 4 + make_wav()[44:],
        make_wav()[:4] + b"\0" * 4 + make_wav()[8:40] + b"\0" * 4 + make_wav()[44:],
        b"RIFF\0\0\0\0WAVE" + b"LIST\x03\0\0\0abc\0" + make_wav()[12:],
    ],
)
async def test_audio_of_any_rate_streamed_or_with_other_chunks_passes(
    client: httpx.AsyncClient, audio: bytes
) -> None:
    assert (await client.post(**transcription(audio=audio))).status_code == 200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": []}, "body.messages: found 0 items, expected 1 to 2000"),
        ({"messages": [HELLO] * (MAX_MESSAGES + 1)}, "found 2001 items"),
        ({"messages": [{"role": "developer", "content": ""}]}, "expected one of: system, user,"),
        ({"messages": [{"role": "user"}]}, "messages[0].content: found nothing"),
        ({"messages": [{**HELLO, "content": None}]}, "content: found null, expected a string"),
        ({"messages": [{**HELLO, "name": "x"}]}, "messages[0].name: unknown field"),
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
        ({"tools": [{**TOOL, "strict": True}]}, "tools[0].strict: unknown field"),
        ({"tools": [TOOL, TOOL]}, 'tools[1].name: found "f", expected a name no other tool has'),
        ({"tools": [TOOL] * (MAX_TOOLS + 1)}, "found 129 items"),
        ({"tools": [{**TOOL, "executionMode": "webhook"}]}, 'found "inline", expected its exec'),
        ({"tools": [{**TOOL, "source": {"kind": "x"}}]}, 'source.kind: found "x"'),
        ({"tools": [{**TOOL, "source": {"kind": "webhook"}}]}, "source.url: found null"),
        ({"tools": [{**TOOL, "preToolSpeech": "sometimes"}]}, "expected one of: auto, always"),
        ({"toolChoice": "any"}, 'toolChoice: found "any", expected auto, none, required or'),
        ({"toolChoice": {"type": "function"}}, "toolChoice.function: found nothing"),
        ({"temperature": True}, "temperature: found true, expected a number from 0 to 2"),
        ({"temperature": 2.5}, "temperature: found 2.5"),
        ({"maxTokens": 0}, "maxTokens: found 0, expected a whole number >= 1"),
        ({"maxTokens": 1.5}, "maxTokens: found 1.5"),
        ({"maxToolHops": "3"}, 'maxToolHops: found "3"'),
        ({"parallelToolCalls": "yes"}, 'parallelToolCalls: found "yes", expected true or false'),
        ({"systemPrompt": 5}, "systemPrompt: found 5, expected a string"),
        ({"constraints": {"allowedProviders": {"llm": "openai"}}}, "llm: found"),
        ({"system_prompt": "x"}, "body.system_prompt: unknown field, expected one of: messages"),
        ({"systemPrompt": ["a" * 100]}, '"aaaaaa'),
    ],
)
async def test_a_wrong_completion_is_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    status, code, error = await refusal(client, completion(**fields))
    assert (status, code) == (400, "VALIDATION_ERROR")
    assert message in error


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": ""}, 'body.text: found "", expected a non-blank string'),
        ({"text": "a" * (MAX_TEXT_CHARS + 1)}, "found 10001 characters, expected <= 10000"),
        ({"speed": 0}, "speed: found 0, expected a number from 0.25 to 4"),
        ({"speed": "fast"}, 'speed: found "fast"'),
        ({"voice": ""}, 'voice: found ""'),
        ({"model": 5}, "model: found 5"),
        ({"instructions": None}, "instructions: found null, expected a string"),
        ({"spokenForm": 1}, "spokenForm: found 1, expected true or false"),
        ({"constraints": []}, "constraints: found [], expected an object"),
        ({"spoken_form": True}, "body.spoken_form: unknown field"),
    ],
)
async def test_a_wrong_synthesis_is_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    status, code, error = await refusal(client, synthesis(**fields))
    assert (status, code) == (400, "VALIDATION_ERROR")
    assert message in error


@pytest.mark.parametrize(
    "tool_choice",
    ["auto", "none", "required", {"type": "function", "function": {"name": "f"}}],
)
async def test_a_completion_with_everything_in_it_passes(
    client: httpx.AsyncClient, tool_choice: Any
) -> None:
    request = completion(
        messages=[HELLO, CALLING, {**RESULT, "isError": False}, {"role": "system", "content": ""}],
        intent={"language": "en", "region": "global", "optimizeFor": "latency"},
        systemPrompt="",
        temperature=0,
        maxTokens=1,
        reasoningEffort="low",
        constraints={"allowedProviders": {"stt": [], "llm": ["openai:gpt"], "tts": []}},
        tools=[
            {**TOOL, "executionMode": "inline"},
            {**TOOL, "name": "g", "executionMode": "webhook", "source": WEBHOOK},
        ],
        toolChoice=tool_choice,
        parallelToolCalls=False,
        maxToolHops=3,
    )
    assert (await client.post(**request)).status_code == 200


async def test_a_synthesis_with_everything_in_it_passes(client: httpx.AsyncClient) -> None:
    request = synthesis(
        voice="v", model="m", speed=0.25, instructions="", spokenForm=False, constraints={}
    )
    assert (await client.post(**request)).status_code == 200


async def test_as_many_keywords_as_are_allowed_pass_escaped(client: httpx.AsyncClient) -> None:
    options = json.dumps({"keywords": ["Grüße an alle in Köln am Rhein"] * MAX_KEYWORDS})
    assert len(options) > 8190, "the usual limit of a header"
    upload = transcription(X_Speko_Stt_Options=options)
    assert (await client.post(**upload)).status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"text": Infinity}'])
async def test_a_body_that_is_no_json_object_is_refused(
    client: httpx.AsyncClient, content: bytes
) -> None:
    for url in ("/v1/complete", "/v1/synthesize"):
        headers = {"Content-Type": "application/json"}
        request = {"url": url, "content": content, "headers": headers}
        status, code, error = await refusal(client, request)
        assert (status, code) == (400, "VALIDATION_ERROR")
        assert "JSON object" in error or "expected an object" in error


async def test_a_json_body_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    request = {**completion(), "headers": {"Content-Type": "text/plain"}}
    status, _, error = await refusal(client, request)
    assert (status, 'found "text/plain", expected application/json' in error) == (400, True)


async def test_a_body_over_the_limit_is_too_large_and_not_kept_whole() -> None:
    upload = transcription(audio=bytes(MAX_AUDIO_BYTES + 100))
    huge = completion(systemPrompt="a" * MAX_JSON_BYTES)
    async with LocalGateway() as gateway, connect(gateway) as client:
        for request in (upload, huge):
            status, code, _ = await refusal(client, request)
            assert (status, code) == (413, "PAYLOAD_TOO_LARGE")
    kept = [len(request.body) for request in gateway.requests]
    assert kept == [MAX_AUDIO_BYTES + 1, MAX_JSON_BYTES + 1]


async def test_a_query_that_the_tools_route_does_not_know_is_refused(
    client: httpx.AsyncClient,
) -> None:
    for query in ("available=yes", "all=1"):
        response = await client.get(f"/v1/agents/a/tools?{query}")
        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
