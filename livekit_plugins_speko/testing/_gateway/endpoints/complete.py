"""`POST /v1/complete`: a conversation for the language model to continue."""

from __future__ import annotations

from typing import Any

from ..endpoint import Endpoint
from ..fields import CONSTRAINTS, INTENT, check_json_body
from ..limits import MAX_JSON_BYTES, MAX_MESSAGES, MAX_TOOL_HOPS, MAX_TOOLS
from ..request import GatewayRequest
from ..shapes import (
    InvalidRequest,
    boolean,
    json_object,
    json_text,
    list_of,
    number,
    one_of,
    record,
    string,
    text,
    whole,
    wrong,
)

_TOOL_CALL = record({"id": text, "name": text, "args": json_text}, required=("id", "name", "args"))
_MESSAGE = record(
    {
        "role": one_of("system", "user", "assistant", "tool"),
        "content": string,
        "toolCalls": list_of(_TOOL_CALL, least=1, most=MAX_TOOLS),
        "toolCallId": text,
        "isError": boolean,
    },
    required=("role", "content"),
)
_SOURCE_FIELDS = {
    "inline": (),
    "webhook": ("url", "secretRef"),
    "builtin": ("name",),
    "integration": ("installationId", "appKey", "actionKey"),
}
_KIND = one_of(*_SOURCE_FIELDS)


def _check_messages(value: Any, where: str) -> None:
    """Check the messages one by one, and that each tool result comes after its call."""
    list_of(_MESSAGE, least=1, most=MAX_MESSAGES)(value, where)
    called: set[str] = set()
    for index, message in enumerate(value):
        here, role = f"{where}[{index}]", message["role"]
        if "toolCalls" in message and role != "assistant":
            raise InvalidRequest(f'{here}.toolCalls: found on role "{role}", expected "assistant"')
        called.update(call["id"] for call in message.get("toolCalls", ()))
        if role != "tool":
            for name in ("toolCallId", "isError"):
                if name in message:
                    raise InvalidRequest(f'{here}.{name}: found on role "{role}", expected "tool"')
        elif message.get("toolCallId") not in called:
            raise wrong(
                f"{here}.toolCallId",
                message.get("toolCallId"),
                "the id of a tool call in an assistant message before it",
            )


def _check_source(value: Any, where: str) -> None:
    """Check a tool's source: its kind, and the fields without which that kind cannot run."""
    json_object(value, where)
    _KIND(value.get("kind"), f"{where}.kind")
    for name in _SOURCE_FIELDS[value["kind"]]:
        text(value.get(name), f"{where}.{name}")


_TOOL = record(
    {
        "name": text,
        "description": string,
        "parameters": json_object,
        "executionMode": _KIND,
        "source": _check_source,
        "preToolSpeech": one_of("auto", "always", "never"),
    },
    required=("name", "description", "parameters"),
)


def _check_tools(value: Any, where: str) -> None:
    """Check the tools one by one, that names differ, and that modes and sources agree."""
    list_of(_TOOL, most=MAX_TOOLS)(value, where)
    names: set[str] = set()
    for index, tool in enumerate(value):
        if tool["name"] in names:
            raise wrong(f"{where}[{index}].name", tool["name"], "a name no other tool has")
        names.add(tool["name"])
        mode = tool.get("executionMode", "inline")
        kind = tool.get("source", {}).get("kind", "inline")
        if mode != kind:
            raise wrong(f"{where}[{index}].source.kind", kind, f"its executionMode, {mode}")


_FUNCTION_CHOICE = record(
    {"type": one_of("function"), "function": record({"name": text}, required=("name",))},
    required=("type", "function"),
)


def _check_tool_choice(value: Any, where: str) -> None:
    """Check a tool choice: a word, or one function by its name."""
    if isinstance(value, dict):
        _FUNCTION_CHOICE(value, where)
    elif value not in ("auto", "none", "required"):
        raise wrong(
            where, value, 'auto, none, required or {"type": "function", "function": {"name": ..}}'
        )


_BODY = record(
    {
        "messages": _check_messages,
        "intent": INTENT,
        "systemPrompt": string,
        "temperature": number(0, 2),
        "maxTokens": whole(1),
        "reasoningEffort": one_of("none", "minimal", "low", "medium", "high", "xhigh"),
        "voiceOptimized": boolean,
        "constraints": CONSTRAINTS,
        "tools": _check_tools,
        "toolChoice": _check_tool_choice,
        "parallelToolCalls": boolean,
        "maxToolHops": whole(1, MAX_TOOL_HOPS),
    },
    required=("messages", "intent"),
)


def _check(request: GatewayRequest) -> None:
    check_json_body(request.headers, request.body, _BODY)


ENDPOINT = Endpoint("complete", "POST", "/v1/complete", check=_check, max_body_bytes=MAX_JSON_BYTES)
