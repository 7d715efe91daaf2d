"""The options of a speech-to-speech session, and the request that makes one. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._checks import check_agent_id, check_one_of, check_range, check_whole, text_or_none
from ..intent import IntentLike, validate_intent
from .options import TEMPERATURES
from .requests import HttpRequest, build_intent
from .tools import parse_chat_tool
from .types import ChatTool

SAMPLE_RATES = (16_000, 24_000)
"""Rates of audio that the service takes and gives, in Hz."""


@dataclass(frozen=True, kw_only=True)
class RealtimeOptions:
    """The options of a session, checked when they are made. Blank texts count as none given.

    Attributes:
        provider: Provider of the model, together with `model`, or neither: then `intent` or the
            agent decides.
        model: Name of the model.
        voice: Voice of the provider.
        system_prompt: Instructions for the whole session.
        temperature: The model's, 0 to 2.
        input_sample_rate: Rate of the audio to send, in Hz: 16000 or 24000.
        output_sample_rate: Rate of the audio received, in Hz: 16000 or 24000.
        tools: Tools that the model may call.
        agent_id: Hosted agent that the session belongs to.
        intent: The routing.
        metadata: Facts of the user's own, in JSON.
        ttl_seconds: Longest life of the session. 1800 at most is safe.
    """

    provider: str | None = None
    model: str | None = None
    voice: str | None = None
    system_prompt: str | None = field(default=None, repr=False)
    temperature: float | None = None
    input_sample_rate: int | None = None
    output_sample_rate: int | None = None
    tools: Sequence[ChatTool | Mapping[str, Any]] | None = field(default=None, repr=False)
    agent_id: str | None = None
    intent: IntentLike | None = None
    metadata: Mapping[str, Any] | None = field(default=None, repr=False)
    ttl_seconds: int | None = None

    def __post_init__(self) -> None:
        for name in ("provider", "model", "voice", "system_prompt", "agent_id"):
            self._set(name, text_or_none(f"Speko: {name}", getattr(self, name)))
        if (self.provider is None) != (self.model is None):
            given, missing = ("provider", "model") if self.model is None else ("model", "provider")
            raise ValueError(
                f"Speko: provider and model go together, got only {given}. Pass {missing} too, or "
                "neither of them to let the intent or the agent decide."
            )
        check_range("Speko: temperature", self.temperature, *TEMPERATURES)
        for name in ("input_sample_rate", "output_sample_rate"):
            _check_sample_rate(f"Speko: {name}", getattr(self, name))
        check_whole("Speko: ttl_seconds", self.ttl_seconds)
        if self.agent_id is not None:
            check_agent_id("Speko: agent_id", self.agent_id)
        if self.intent is not None:
            self._set("intent", validate_intent(self.intent))
        if self.tools is not None:
            self._set("tools", tuple(_to_tool(tool) for tool in self.tools))
        self._set("metadata", _copied(self.metadata))

    def _set(self, name: str, value: object) -> None:
        """Set a field of this frozen object while it is made."""
        object.__setattr__(self, name, value)

    def request(self, idempotency_key: str) -> HttpRequest:
        """Build ``POST /v1/sessions``; a repetition with the same key makes no second session."""
        model = {
            "provider": self.provider,
            "model": self.model,
            "voice": self.voice,
            "systemPrompt": self.system_prompt,
            "temperature": self.temperature,
            "inputSampleRate": self.input_sample_rate,
            "outputSampleRate": self.output_sample_rate,
            "tools": None if self.tools is None else [_tool_to_wire(each) for each in self.tools],
        }
        body = {
            "mode": "s2s",
            "agentId": self.agent_id,
            "intent": None if self.intent is None else build_intent(validate_intent(self.intent)),
            "s2s": {key: value for key, value in model.items() if value is not None},
            "metadata": self.metadata,
            "ttlSeconds": self.ttl_seconds,
        }
        given = {key: value for key, value in body.items() if value is not None}
        return HttpRequest(
            method="POST",
            path="/v1/sessions",
            headers={"Content-Type": "application/json", "Idempotency-Key": idempotency_key},
            content=json.dumps(given, separators=(",", ":"), allow_nan=False).encode(),
            said=() if self.system_prompt is None else (self.system_prompt,),
        )


def _check_sample_rate(name: str, value: int | None) -> None:
    known = tuple(str(rate) for rate in SAMPLE_RATES)
    check_one_of(name, None if value is None else str(value), known)


def _to_tool(tool: ChatTool | Mapping[str, Any]) -> ChatTool:
    return tool if isinstance(tool, ChatTool) else parse_chat_tool(tool)


def _tool_to_wire(tool: ChatTool | Mapping[str, Any]) -> dict[str, Any]:
    tool = _to_tool(tool)
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }


def _copied(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Copy the caller's mapping, so that later changes of it have no effect."""
    if metadata is None:
        return None
    try:
        copied = json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"Speko: metadata must be a JSON object: {error}.") from None
    assert isinstance(copied, dict)
    return copied
