"""The wire out: each request in the service's spelling."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko import ChatTool, Intent, PipelineConstraints
from livekit_plugins_speko.api.options import (
    CompleteOptions,
    SynthesizeOptions,
    TranscribeOptions,
)
from livekit_plugins_speko.api.requests import (
    build_complete,
    build_list_tools,
    build_message,
    build_synthesize,
    build_tool,
    build_transcribe,
    header_json,
)

HELLO = {"role": "user", "content": "Hello."}
CALL = {"id": "c1", "name": "book", "args": '{"nights":2}'}
# Every option that the three calls share, and the wire's spelling of them.
SHARED: dict[str, Any] = {
    "intent": Intent("en-US", "global", "latency"),
    "constraints": PipelineConstraints({"stt": ("deepgram:nova-3",), "tts": ()}),
    "session_id": " s 1 ",
}
INTENT = {"language": "en-US", "region": "global", "optimizeFor": "latency"}
CONSTRAINTS = {"allowedProviders": {"stt": ["deepgram:nova-3"], "tts": []}}
WEBHOOK = {"kind": "webhook", "url": "https://example.com", "secretRef": "s", "timeoutMs": 5}


def complete_body(messages: Any = (HELLO,), **options: Any) -> dict[str, Any]:
    request = build_complete(messages, CompleteOptions(**{"intent": Intent("en"), **options}))
    body: dict[str, Any] = json.loads(request.content or b"")
    return body


def test_transcription_sends_every_set_option() -> None:
    request = build_transcribe(
        b"RIFF",
        TranscribeOptions(
            **SHARED,
            content_type="audio/ogg",
            keywords=("Spëko", "Ada"),
            stt_language="en",
            prompt="A hotel.",
        ),
    )
    assert (request.method, request.path, request.content) == ("POST", "/v1/transcribe", b"RIFF")
    assert request.headers == {
        "Content-Type": "audio/ogg",
        "X-Speko-Intent": '{"language":"en-US","region":"global","optimizeFor":"latency"}',
        "X-Speko-Constraints": '{"allowedProviders":{"stt":["deepgram:nova-3"],"tts":[]}}',
        "X-Speko-Stt-Options": (
            '{"keywords":["Sp\\u00ebko","Ada"],"language":"en","prompt":"A hotel."}'
        ),
        "x-session-id": "s 1",
    }
    assert request.said == ("A hotel.",)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"keywords": ["Speko"]}, '{"keywords":["Speko"]}'),
        ({"keywords": [], "stt_language": "en"}, '{"language":"en"}'),
        ({"prompt": "A hotel."}, '{"prompt":"A hotel."}'),
        ({"keywords": [], "stt_language": " ", "prompt": ""}, None),
    ],
)
def test_stt_options_are_sent_when_one_is_set(options: Any, sent: str | None) -> None:
    request = build_transcribe(b"", TranscribeOptions(intent=Intent("en"), **options))
    assert request.headers.get("X-Speko-Stt-Options") == sent


def test_completion_sends_every_set_option() -> None:
    options = CompleteOptions(
        **SHARED,
        system_prompt="Be brief.",
        temperature=0.0,
        max_tokens=100,
        reasoning_effort="none",
        voice_optimized=False,
        tools=[MappingProxyType({"name": "a"}), ChatTool(name="b")],
        tool_choice={"type": "function", "function": {"name": "a"}},
        parallel_tool_calls=False,
        max_tool_hops=3,
    )
    said = {"role": "assistant", "content": "One moment.", "toolCalls": [CALL]}
    messages: list[dict[str, Any]] = [HELLO, said]
    request = build_complete(messages, options)
    assert (request.method, request.path) == ("POST", "/v1/complete")
    assert request.headers == {"Content-Type": "application/json", "x-session-id": "s 1"}
    assert json.loads(request.content or b"") == {
        "messages": messages,
        "intent": INTENT,
        "systemPrompt": "Be brief.",
        "temperature": 0.0,
        "maxTokens": 100,
        "reasoningEffort": "none",
        "voiceOptimized": False,
        "constraints": CONSTRAINTS,
        "tools": [{"name": "a"}, {"name": "b", "description": "", "parameters": {}}],
        "toolChoice": {"type": "function", "function": {"name": "a"}},
        "parallelToolCalls": False,
        "maxToolHops": 3,
    }
    assert set(request.said) == {"Be brief.", "Hello.", "One moment.", '{"nights":2}'}


def test_synthesis_sends_every_set_option() -> None:
    options = SynthesizeOptions(
        **SHARED,
        voice="ada",
        model="sonic-2",
        speed=0.5,
        instructions="Whisper.",
        spoken_form=False,
    )
    request = build_synthesize("Grüße\u2028🙂", options)
    assert (request.method, request.path) == ("POST", "/v1/synthesize")
    assert request.headers == {"Content-Type": "application/json", "x-session-id": "s 1"}
    assert json.loads(request.content or b"") == {
        "text": "Grüße\u2028🙂",
        "intent": INTENT,
        "voice": "ada",
        "model": "sonic-2",
        "speed": 0.5,
        "instructions": "Whisper.",
        "spokenForm": False,
        "constraints": CONSTRAINTS,
    }
    assert request.said == ("Grüße\u2028🙂", "Whisper.")


def test_call_sends_only_set_options() -> None:
    intent = Intent("en")
    heard = build_transcribe(b"", TranscribeOptions(intent=intent))
    spoken = build_synthesize("Hi.", SynthesizeOptions(intent=intent, session_id=" \t"))
    assert heard.headers == {"Content-Type": "audio/wav", "X-Speko-Intent": '{"language":"en"}'}
    assert complete_body() == {"messages": [HELLO], "intent": {"language": "en"}}
    assert spoken.headers == {"Content-Type": "application/json"}
    assert json.loads(spoken.content or b"") == {"text": "Hi.", "intent": {"language": "en"}}


@pytest.mark.parametrize(
    ("name", "wire_name", "value"),
    [
        ("system_prompt", "systemPrompt", ""),
        ("tools", "tools", []),
        ("constraints", "constraints", PipelineConstraints()),
    ],
)
def test_empty_option_is_sent(name: str, wire_name: str, value: Any) -> None:
    assert wire_name in complete_body(**{name: value})


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (HELLO, HELLO),
        (
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "assistant", "content": "", "toolCalls": [CALL]},
        ),
        (
            {"role": "tool", "content": "full", "tool_call_id": "c1", "is_error": True},
            {"role": "tool", "content": "full", "toolCallId": "c1", "isError": True},
        ),
        (
            {"role": "tool", "content": "ok", "toolCallId": "c1", "isError": False},
            {"role": "tool", "content": "ok", "toolCallId": "c1", "isError": False},
        ),
        ({**HELLO, "tool_calls": None, "tool_call_id": None, "isError": None}, HELLO),
        (
            {"role": "tool", "toolCallId": "c1", "tool_call_id": None},
            {"role": "tool", "toolCallId": "c1"},
        ),
    ],
)
def test_message_is_sent_in_the_wires_spelling(message: Any, wire: Any) -> None:
    before = dict(message)
    assert build_message(message) == wire
    assert message == before


def test_message_with_a_key_in_both_spellings_is_refused_by_name() -> None:
    message = {"role": "tool", "toolCallId": "a", "tool_call_id": "b"}
    with pytest.raises(ValueError, match='^Speko: a message has "toolCallId" in both spellings'):
        build_message(message)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": ["a list"]}],
        [{"role": "assistant", "content": None, "toolCalls": [{"args": 3}, {}]}],
    ],
)
def test_message_of_another_form_is_sent_unchanged(messages: Any) -> None:
    assert len(complete_body(messages)["messages"]) == 1


def test_conversation_needs_a_message() -> None:
    with pytest.raises(ValueError, match="^Speko: messages must be a list of mappings, got an emp"):
        complete_body([])


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_number_that_json_cannot_represent_is_refused_before_sending(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        complete_body(tools=[{"name": "a", "parameters": {"maximum": number}}])


def test_registered_tool_is_sent_unchanged() -> None:
    tool = ChatTool(
        name="lookup",
        description="Looks it up.",
        parameters={"type": "object"},
        execution_mode="webhook",
        source=WEBHOOK,
        pre_tool_speech="always",
    )
    assert build_tool(tool) == {
        "name": "lookup",
        "description": "Looks it up.",
        "parameters": {"type": "object"},
        "executionMode": "webhook",
        "source": WEBHOOK,
        "preToolSpeech": "always",
    }


@pytest.mark.parametrize(
    ("agent_id", "path"),
    [("a/b?c#d", "a%2Fb%3Fc%23d"), ("ü %", "%C3%BC%20%25"), ("a.b-c_d~e", "a.b-c_d~e")],
)
def test_agent_id_is_percent_encoded(agent_id: str, path: str) -> None:
    assert build_list_tools(agent_id, available=False).path == f"/v1/agents/{path}/tools"
    assert build_list_tools(agent_id, available=True).path.endswith("/tools?available=1")


@given(st.text())
def test_header_holds_any_text_as_compact_ascii(text: str) -> None:
    header = header_json({"keywords": [text], "language": "en"})
    assert header.isascii() and header.isprintable()
    assert '", "' not in header.replace(json.dumps(text), "")
    assert json.loads(header) == {"keywords": [text], "language": "en"}


def test_repr_shows_no_speech() -> None:
    request = build_synthesize("my pin is 1234", SynthesizeOptions(intent=Intent("en")))
    assert "1234" not in repr(request)
