"""What goes out, in the service's spelling."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import ChatTool, Intent, PipelineConstraints
from livekit_plugins_speko.api.requests import (
    MAX_KEYWORDS,
    build_complete_body,
    build_constraints,
    build_intent,
    build_session_header,
    build_synthesize_body,
    build_tool,
    build_transcribe_headers,
    header_json,
)

CONSTRAINTS = PipelineConstraints({"stt": ("deepgram:nova-3",), "tts": ()})
WIRE_CONSTRAINTS = {"allowedProviders": {"stt": ["deepgram:nova-3"], "tts": []}}
HELLO = {"role": "user", "content": "Hello."}


def transcribe_headers(**overrides: Any) -> dict[str, str]:
    options: dict[str, Any] = {
        "intent": Intent("en"),
        "content_type": "audio/wav",
        "constraints": None,
        "session_id": None,
        "keywords": None,
        "stt_language": None,
    }
    return build_transcribe_headers(**options | overrides)


def complete_body(**overrides: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "messages": [HELLO],
        "intent": Intent("en"),
        "system_prompt": None,
        "temperature": None,
        "max_tokens": None,
        "constraints": None,
        "tools": None,
        "tool_choice": None,
        "parallel_tool_calls": None,
        "max_tool_hops": None,
    }
    return build_complete_body(**options | overrides)


def synthesize_body(**overrides: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "intent": Intent("en"),
        "voice": None,
        "model": None,
        "speed": None,
        "instructions": None,
        "spoken_form": None,
        "constraints": None,
    }
    return build_synthesize_body("Hi.", **options | overrides)


@pytest.mark.parametrize(
    ("intent", "wire"),
    [
        (Intent("en"), {"language": "en"}),
        (Intent("en", region="global"), {"language": "en", "region": "global"}),
        (Intent("en", optimize_for="cost"), {"language": "en", "optimizeFor": "cost"}),
        (
            Intent("en-US", "us-east4", "latency"),
            {"language": "en-US", "region": "us-east4", "optimizeFor": "latency"},
        ),
    ],
)
def test_an_intent_leaves_out_what_is_unset(intent: Intent, wire: dict[str, str]) -> None:
    assert build_intent(intent) == wire


@pytest.mark.parametrize(
    ("constraints", "wire"),
    [
        (None, None),
        (CONSTRAINTS, WIRE_CONSTRAINTS),
        (PipelineConstraints(), {"allowedProviders": {}}),
    ],
)
def test_constraints_are_in_the_wire_s_spelling(constraints: Any, wire: Any) -> None:
    assert build_constraints(constraints) == wire


@pytest.mark.parametrize(
    ("session_id", "headers"),
    [
        (None, {}),
        ("", {}),
        (" \t", {}),
        ("s1", {"x-session-id": "s1"}),
        (" s 1 ", {"x-session-id": "s 1"}),
    ],
)
def test_a_session_id_is_trimmed_and_a_blank_one_left_out(
    session_id: str | None, headers: dict[str, str]
) -> None:
    assert build_session_header(session_id) == headers
    assert ("x-session-id" in transcribe_headers(session_id=session_id)) == bool(headers)


def test_a_transcription_needs_no_more_than_its_type_and_intent() -> None:
    assert transcribe_headers() == {
        "Content-Type": "audio/wav",
        "X-Speko-Intent": '{"language":"en"}',
    }


def test_a_transcription_tells_all_that_is_set() -> None:
    headers = transcribe_headers(
        intent=Intent("en-US", "global", "latency"),
        content_type="audio/ogg",
        constraints=CONSTRAINTS,
        session_id="s1",
        keywords=("Speko", "Ada"),
        stt_language="en",
    )
    assert headers == {
        "Content-Type": "audio/ogg",
        "X-Speko-Intent": '{"language":"en-US","region":"global","optimizeFor":"latency"}',
        "X-Speko-Constraints": '{"allowedProviders":{"stt":["deepgram:nova-3"],"tts":[]}}',
        "X-Speko-Stt-Options": '{"keywords":["Speko","Ada"],"language":"en"}',
        "x-session-id": "s1",
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"keywords": ["Speko"]}, '{"keywords":["Speko"]}'),
        ({"stt_language": "en"}, '{"language":"en"}'),
        ({"keywords": [], "stt_language": "en"}, '{"language":"en"}'),
        ({"keywords": []}, None),
    ],
)
def test_stt_options_are_told_when_either_is_set(options: Any, told: str | None) -> None:
    assert transcribe_headers(**options).get("X-Speko-Stt-Options") == told


def test_the_service_takes_200_keywords() -> None:
    assert MAX_KEYWORDS == 200


@given(st.text())
def test_a_header_holds_any_text_as_compact_ascii(text: str) -> None:
    told = header_json({"keywords": [text], "language": "en"})
    assert told.isascii() and told.isprintable()
    assert '", "' not in told.replace(json.dumps(text), "")
    assert json.loads(told) == {"keywords": [text], "language": "en"}


def test_a_completion_needs_no_more_than_messages_and_intent() -> None:
    assert complete_body() == {"messages": [HELLO], "intent": {"language": "en"}}


def test_a_completion_tells_all_that_is_set() -> None:
    body = complete_body(
        intent=Intent("en", optimize_for="latency"),
        system_prompt="Be brief.",
        temperature=0.7,
        max_tokens=100,
        constraints=CONSTRAINTS,
        tools=[{"name": "a"}],
        tool_choice={"type": "function", "function": {"name": "a"}},
        parallel_tool_calls=True,
        max_tool_hops=3,
    )
    assert body == {
        "messages": [HELLO],
        "intent": {"language": "en", "optimizeFor": "latency"},
        "systemPrompt": "Be brief.",
        "temperature": 0.7,
        "maxTokens": 100,
        "constraints": WIRE_CONSTRAINTS,
        "tools": [{"name": "a"}],
        "toolChoice": {"type": "function", "function": {"name": "a"}},
        "parallelToolCalls": True,
        "maxToolHops": 3,
    }


@pytest.mark.parametrize(
    ("name", "wire_name", "value"),
    [
        ("temperature", "temperature", 0.0),
        ("parallel_tool_calls", "parallelToolCalls", False),
        ("max_tool_hops", "maxToolHops", 0),
        ("system_prompt", "systemPrompt", ""),
        ("tools", "tools", []),
    ],
)
def test_what_is_set_to_nothing_is_still_set(name: str, wire_name: str, value: Any) -> None:
    assert complete_body(**{name: value})[wire_name] == value


def test_a_synthesis_needs_no_more_than_text_and_intent() -> None:
    assert synthesize_body() == {"text": "Hi.", "intent": {"language": "en"}}


def test_a_synthesis_tells_all_that_is_set() -> None:
    body = synthesize_body(
        voice="ada",
        model="sonic-2",
        speed=0.5,
        instructions="Whisper.",
        spoken_form=False,
        constraints=CONSTRAINTS,
    )
    assert body == {
        "text": "Hi.",
        "intent": {"language": "en"},
        "voice": "ada",
        "model": "sonic-2",
        "speed": 0.5,
        "instructions": "Whisper.",
        "spokenForm": False,
        "constraints": WIRE_CONSTRAINTS,
    }


def test_a_tool_of_the_call_is_its_name_description_and_parameters() -> None:
    assert build_tool(ChatTool(name="a")) == {"name": "a", "description": "", "parameters": {}}


def test_a_registered_tool_is_told_as_it_came() -> None:
    source = {"kind": "webhook", "url": "https://example.com", "secretRef": "s", "timeoutMs": 5}
    tool = ChatTool(
        name="lookup",
        description="Looks it up.",
        parameters={"type": "object"},
        execution_mode="webhook",
        source=source,
        pre_tool_speech="always",
    )
    assert build_tool(tool) == {
        "name": "lookup",
        "description": "Looks it up.",
        "parameters": {"type": "object"},
        "executionMode": "webhook",
        "source": source,
        "preToolSpeech": "always",
    }


def test_nothing_of_the_caller_s_is_kept() -> None:
    messages, tools, keywords = [HELLO], [{"name": "a"}], ["Speko"]
    body = complete_body(messages=messages, tools=tools)
    body["messages"].append(HELLO)
    body["tools"].append({"name": "b"})
    transcribe_headers(keywords=keywords)
    assert (messages, tools, keywords) == ([HELLO], [{"name": "a"}], ["Speko"])
