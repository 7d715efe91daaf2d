"""What the service demands of the messages and tools of a completion."""

from __future__ import annotations

from typing import Any

from .limits import MAX_MESSAGES, MAX_TOOLS
from .shapes import (
    InvalidRequest,
    boolean,
    json_object,
    json_text,
    list_of,
    one_of,
    record,
    string,
    text,
    wrong,
)

_TOOL_CALL = record({"id": text, "name": text, "args": json_text}, required=("id", "name", "args"))
_ROLES = ("system", "user", "assistant", "tool")
_MESSAGE = record(
    {
        "role": one_of(*_ROLES),
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


def check_messages(value: Any, where: str) -> None:
    """Checks the messages one by one, and that each tool result has its call before it.

    Args:
        value: What stands in `messages`.
        where: The name of its place.

    Raises:
        InvalidRequest: A message is not as it should be.
    """
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
    """Checks a tool's source: its kind, and the fields without which that kind cannot run."""
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


def check_tools(value: Any, where: str) -> None:
    """Checks the tools one by one, that names differ, and that modes and sources agree.

    Args:
        value: What stands in `tools`.
        where: The name of its place.

    Raises:
        InvalidRequest: A tool is not as it should be.
    """
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


def check_tool_choice(value: Any, where: str) -> None:
    """Checks the choice: a word, or one function by its name.

    Args:
        value: What stands in `toolChoice`.
        where: The name of its place.

    Raises:
        InvalidRequest: It is neither.
    """
    if isinstance(value, dict):
        function = record({"name": text}, required=("name",))
        shape = {"type": one_of("function"), "function": function}
        record(shape, required=("type", "function"))(value, where)
    elif value not in ("auto", "none", "required"):
        raise wrong(
            where, value, 'auto, none, required or {"type": "function", "function": {"name": ..}}'
        )
