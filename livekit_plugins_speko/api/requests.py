"""What goes out: the Speko API's headers and bodies. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from ..intent import Intent, PipelineConstraints
from .types import ChatTool

MAX_KEYWORDS = 200
"""How many keywords the service takes with one transcription."""

SPEEDS = (0.5, 2.0)
"""Slowest and fastest speech that the service takes, as factors of the voice's own."""

TEMPERATURES = (0.0, 2.0)
"""Lowest and highest temperature that the service takes."""

MAX_TOOL_HOPS = 16
"""Most rounds of tools inside the service for one completion."""

ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
REASONING_EFFORTS = get_args(ReasoningEffort)
"""How much a model may think before it replies, as the service spells it."""

MAX_PROMPT_CHARS = 2000
"""How long the context of one transcription may be, in characters."""


def build_intent(intent: Intent) -> dict[str, Any]:
    """The intent as the service spells it."""
    wire = {
        "language": intent.language,
        "region": intent.region,
        "optimizeFor": intent.optimize_for,
    }
    return _without_none(wire)


def build_constraints(constraints: PipelineConstraints | None) -> dict[str, Any] | None:
    """The constraints as the service spells them, None where there are none."""
    if constraints is None:
        return None
    allowed = {stage: list(names) for stage, names in constraints.allowed_providers.items()}
    return {"allowedProviders": allowed}


def build_session_header(session_id: str | None) -> dict[str, str]:
    """The header that books a call to a session; nothing for a blank id."""
    trimmed = (session_id or "").strip()
    return {"x-session-id": trimmed} if trimmed else {}


def build_transcribe_headers(
    *,
    intent: Intent,
    content_type: str,
    constraints: PipelineConstraints | None,
    session_id: str | None,
    keywords: Sequence[str] | None,
    stt_language: str | None,
) -> dict[str, str]:
    """The headers of ``POST /v1/transcribe``, whose body is the audio alone."""
    headers = {"Content-Type": content_type, "X-Speko-Intent": header_json(build_intent(intent))}
    if constraints is not None:
        headers["X-Speko-Constraints"] = header_json(build_constraints(constraints))
    options = _without_none({"keywords": list(keywords or ()) or None, "language": stt_language})
    if options:
        headers["X-Speko-Stt-Options"] = header_json(options)
    return headers | build_session_header(session_id)


def build_complete_body(
    *,
    messages: Sequence[Mapping[str, Any]],
    intent: Intent,
    system_prompt: str | None,
    temperature: float | None,
    max_tokens: int | None,
    constraints: PipelineConstraints | None,
    tools: Sequence[Mapping[str, Any]] | None,
    tool_choice: str | Mapping[str, Any] | None,
    parallel_tool_calls: bool | None,
    max_tool_hops: int | None,
) -> dict[str, Any]:
    """The body of ``POST /v1/complete``."""
    body = {
        "messages": list(messages),
        "intent": build_intent(intent),
        "systemPrompt": system_prompt,
        "temperature": temperature,
        "maxTokens": max_tokens,
        "constraints": build_constraints(constraints),
        "tools": None if tools is None else list(tools),
        "toolChoice": tool_choice,
        "parallelToolCalls": parallel_tool_calls,
        "maxToolHops": max_tool_hops,
    }
    return _without_none(body)


def build_synthesize_body(
    text: str,
    *,
    intent: Intent,
    voice: str | None,
    model: str | None,
    speed: float | None,
    instructions: str | None,
    spoken_form: bool | None,
    constraints: PipelineConstraints | None,
) -> dict[str, Any]:
    """The body of ``POST /v1/synthesize``."""
    body = {
        "text": text,
        "intent": build_intent(intent),
        "voice": voice,
        "model": model,
        "speed": speed,
        "instructions": instructions,
        "spokenForm": spoken_form,
        "constraints": build_constraints(constraints),
    }
    return _without_none(body)


def header_json(value: Any) -> str:
    """Compact JSON in ASCII, which is all that a header can hold."""
    return json.dumps(value, separators=(",", ":"))


def _without_none(wire: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wire.items() if value is not None}


def build_tool(tool: ChatTool) -> dict[str, Any]:
    """A tool as the service spells it."""
    wire = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
        "executionMode": tool.execution_mode,
        "source": None if tool.source is None else dict(tool.source),
        "preToolSpeech": tool.pre_tool_speech,
    }
    return _without_none(wire)
