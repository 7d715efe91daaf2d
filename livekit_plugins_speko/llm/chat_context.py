"""From LiveKit's chat context and tools to Speko's messages and tools."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, TypeAlias

from livekit.agents import llm

from ..api.types import ChatTool

_Answered: TypeAlias = tuple[llm.FunctionCall, llm.FunctionCallOutput]
_ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}


def chat_context_to_speko(
    chat_ctx: llm.ChatContext, *, include_tool_calls: bool = False
) -> list[dict[str, Any]]:
    """Convert a chat context to the messages of ``POST /v1/complete``.

    Args:
        chat_ctx: LiveKit's context. It is not changed.
        include_tool_calls: Whether function calls and their outputs take part. Calls that stand
            side by side become one assistant message, followed by their outputs. An output
            without its call is left out, and so is a call without its output (the caller barged
            in, say): providers refuse a conversation with half of one.

    Returns:
        The messages in the context's order: ``developer`` has become ``system``; other roles,
        messages without text, handoffs and configuration updates are gone. The list may be empty.
    """
    answers = _answers(chat_ctx) if include_tool_calls else {}
    messages: list[dict[str, Any]] = []
    answered: list[_Answered] = []
    for position, item in enumerate(chat_ctx.items):
        if position in answers:
            answered.append(answers[position])
        elif isinstance(item, llm.ChatMessage) and _has_text(item):
            messages += _tool_messages(answered)
            messages.append({"role": _ROLES[item.role], "content": item.raw_text_content})
            answered = []
        elif isinstance(item, llm.FunctionCallOutput):
            messages += _tool_messages(answered)
            answered = []
    return messages + _tool_messages(answered)


def _answers(chat_ctx: llm.ChatContext) -> dict[int, _Answered]:
    """The calls that have an output, by their position in the context.

    Some models begin to count anew in each turn, so an id may stand for several calls: the first
    has the first output, the second the second.
    """
    outputs: dict[str, deque[llm.FunctionCallOutput]] = defaultdict(deque)
    for item in chat_ctx.items:
        if isinstance(item, llm.FunctionCallOutput):
            outputs[item.call_id].append(item)
    return {
        position: (item, outputs[item.call_id].popleft())
        for position, item in enumerate(chat_ctx.items)
        if isinstance(item, llm.FunctionCall) and outputs[item.call_id]
    }


def _has_text(message: llm.ChatMessage) -> bool:
    return message.role in _ROLES and bool((message.raw_text_content or "").strip())


def _tool_messages(answered: Sequence[_Answered]) -> list[dict[str, Any]]:
    if not answered:
        return []
    calls = [
        {"id": call.call_id, "name": call.name, "args": call.arguments or "{}"}
        for call, _ in answered
    ]
    asked: dict[str, Any] = {"role": "assistant", "content": "", "toolCalls": calls}
    return [asked, *(_tool_result(output) for _, output in answered)]


def _tool_result(output: llm.FunctionCallOutput) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "tool",
        "content": output.output,
        "toolCallId": output.call_id,
    }
    if output.is_error:
        message["isError"] = True
    return message


def function_tools_to_speko(tools: Sequence[llm.Tool | llm.Toolset] | None) -> list[ChatTool]:
    """Convert LiveKit's tools to inline tools.

    Args:
        tools: Function tools, raw function tools and sets of them. Tools of a provider have no
            function to call, and are left out.

    Returns:
        One tool for each function, its parameters as plain JSON Schema (not strict).
    """
    schemas = llm.ToolContext(tools or []).parse_function_tools("openai", strict=False)
    functions = [schema["function"] for schema in schemas]
    return [
        ChatTool(
            name=function["name"],
            description=function.get("description") or "",
            parameters=function.get("parameters") or {"type": "object", "properties": {}},
        )
        for function in functions
    ]
