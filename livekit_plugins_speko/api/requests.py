"""The wire out: the Speko API's requests, built from typed options. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ..intent import Intent, PipelineConstraints
from .options import CallOptions, CompleteOptions, SynthesizeOptions, TranscribeOptions
from .types import ChatTool

_SDK_SPELLING = {"tool_calls": "toolCalls", "tool_call_id": "toolCallId", "is_error": "isError"}
_OPTIONAL = frozenset(_SDK_SPELLING.values())


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """One request, without the key.

    Attributes:
        method: The HTTP method.
        path: Path below the base URL, with its query.
        headers: Headers beside those of every request.
        content: The body, or None.
        said: Texts in it that people said, or that were said to them: no error may show them.
        url: Address to send it to in place of the service's own, without the API key. None for the
            service's.
        bearer: Token to send in place of the API key, or None.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)
    said: tuple[str, ...] = field(default=(), repr=False)
    url: str | None = None
    bearer: str | None = field(default=None, repr=False)


def build_transcribe(audio: bytes, options: TranscribeOptions) -> HttpRequest:
    """Build ``POST /v1/transcribe``, whose body is the audio alone."""
    options = options.fitted()
    headers = {
        "Content-Type": options.content_type,
        "X-Speko-Intent": header_json(build_intent(options.intent)),
        **_session_header(options),
    }
    if options.constraints is not None:
        headers["X-Speko-Constraints"] = header_json(build_constraints(options.constraints))
    stt_options = {
        "keywords": options.keywords,
        "language": options.stt_language,
        "prompt": options.prompt,
    }
    if given := _without_none(stt_options):
        headers["X-Speko-Stt-Options"] = header_json(given)
    said = () if options.prompt is None else (options.prompt,)
    return HttpRequest(
        method="POST", path="/v1/transcribe", headers=headers, content=audio, said=said
    )


def build_complete(messages: Sequence[Mapping[str, Any]], options: CompleteOptions) -> HttpRequest:
    """Build ``POST /v1/complete``.

    Raises:
        ValueError: No message, one with a key in both spellings, or a tool that is no JSON.
    """
    if not messages:
        raise ValueError("Speko: messages must be a list of mappings, got an empty one.")
    wire = [build_message(message) for message in messages]
    body = {
        "messages": wire,
        "intent": build_intent(options.intent),
        "systemPrompt": options.system_prompt,
        "temperature": options.temperature,
        "maxTokens": options.max_tokens,
        "reasoningEffort": options.reasoning_effort,
        "voiceOptimized": options.voice_optimized,
        "constraints": build_constraints(options.constraints),
        "tools": build_tools(options.tools),
        "toolChoice": options.tool_choice,
        "parallelToolCalls": options.parallel_tool_calls,
        "maxToolHops": options.max_tool_hops,
    }
    said = (options.system_prompt or "", *(text for each in wire for text in _texts(each)))
    return _post("/v1/complete", body, options, said)


def build_synthesize(text: str, options: SynthesizeOptions) -> HttpRequest:
    """Build ``POST /v1/synthesize``."""
    body = {
        "text": text,
        "intent": build_intent(options.intent),
        "voice": options.voice,
        "model": options.model,
        "speed": options.speed,
        "instructions": options.instructions,
        "spokenForm": options.spoken_form,
        "constraints": build_constraints(options.constraints),
    }
    return _post("/v1/synthesize", body, options, (text, options.instructions or ""))


def build_list_tools(agent_id: str, *, available: bool) -> HttpRequest:
    """Build ``GET /v1/agents/{agentId}/tools``."""
    query = "?available=1" if available else ""
    return HttpRequest(method="GET", path=f"/v1/agents/{quote(agent_id, safe='')}/tools{query}")


def build_intent(intent: Intent) -> dict[str, Any]:
    """Spell an intent as the service does."""
    wire = {
        "language": intent.language,
        "region": intent.region,
        "optimizeFor": intent.optimize_for,
    }
    return _without_none(wire)


def build_constraints(constraints: PipelineConstraints | None) -> dict[str, Any] | None:
    """Spell constraints as the service does; None where there are none."""
    if constraints is None:
        return None
    allowed = {stage: list(names) for stage, names in constraints.allowed_providers.items()}
    return {"allowedProviders": allowed}


def build_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Spell a message as the service does.

    Args:
        message: In the service's spelling, or in the official SDK's (``tool_calls``,
            ``tool_call_id``, ``is_error``). One of these that is None counts as left out.

    Raises:
        ValueError: It has a key in both spellings.
    """
    wire: dict[str, Any] = {}
    for key, value in message.items():
        name = _SDK_SPELLING.get(key, key)
        if value is None and name in _OPTIONAL:
            continue
        if name in wire:
            raise ValueError(f'Speko: a message has "{name}" in both spellings. Keep one of them.')
        wire[name] = value
    return wire


def build_tools(
    tools: Sequence[ChatTool | Mapping[str, Any]] | None,
) -> list[dict[str, Any]] | None:
    """Spell tools as the service does; None where there are none."""
    if tools is None:
        return None
    return [build_tool(tool) if isinstance(tool, ChatTool) else dict(tool) for tool in tools]


def build_tool(tool: ChatTool) -> dict[str, Any]:
    """Spell a tool as the service does."""
    wire = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
        "executionMode": tool.execution_mode,
        "source": None if tool.source is None else dict(tool.source),
        "preToolSpeech": tool.pre_tool_speech,
    }
    return _without_none(wire)


def header_json(value: object) -> str:
    """Write compact JSON in ASCII, all that a header can hold."""
    return json.dumps(value, separators=(",", ":"))


def _post(
    path: str, body: Mapping[str, Any], options: CallOptions, said: tuple[str, ...]
) -> HttpRequest:
    content = json.dumps(_without_none(body), separators=(",", ":"), allow_nan=False).encode()
    headers = {"Content-Type": "application/json", **_session_header(options)}
    return HttpRequest(method="POST", path=path, headers=headers, content=content, said=said)


def _session_header(options: CallOptions) -> dict[str, str]:
    """Build the header that books a call to a session."""
    return {} if options.session_id is None else {"x-session-id": options.session_id.strip()}


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message's content, in the wire's spelling, and its tool calls' arguments."""
    calls = message.get("toolCalls") or ()
    for text in (message.get("content"), *(call.get("args") for call in calls)):
        if isinstance(text, str):
            yield text


def _without_none(wire: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wire.items() if value is not None}
