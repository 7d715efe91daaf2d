"""Convert LiveKit's chat context to Speko's messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NoReturn, TypeAlias

from livekit.agents import llm

_Answered: TypeAlias = tuple[llm.FunctionCall, llm.FunctionCallOutput]
_ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}


def chat_context_to_speko(
    chat_ctx: llm.ChatContext, *, include_tool_calls: bool = False
) -> list[dict[str, Any]]:
    """Convert a chat context to the messages of ``POST /v1/complete``.

    Args:
        chat_ctx: LiveKit's context. It is not changed.
        include_tool_calls: Include function calls and their outputs. Calls side by side become
            one assistant message, followed by their outputs. An output without its call is left
            out, and so is a call without its output (the caller barged in, say): providers refuse
            a conversation with half of one. Arguments that are no JSON object are replaced by one.

    Returns:
        The messages in the context's order: ``developer`` has become ``system``; other roles,
        messages without text, handoffs and configuration updates are gone. The list may be empty.
    """
    answers = _pairs(chat_ctx) if include_tool_calls else {}
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


def _pairs(chat_ctx: llm.ChatContext) -> dict[int, _Answered]:
    """Pair each output with its call; return the pairs by the call's position.

    Some models use an id again, in the next turn or for two calls of one reply. So an output
    belongs to the latest run of calls before it that has one of its id and name without an output,
    and to the first such call in it.
    """
    pairs: dict[int, _Answered] = {}
    # Runs of calls side by side: of those without an output the position.
    runs: list[dict[int, llm.FunctionCall]] = []
    in_run = False
    for position, item in enumerate(chat_ctx.items):
        if isinstance(item, llm.FunctionCall):
            if not in_run:
                runs.append({})
            runs[-1][position] = item
        elif isinstance(item, llm.FunctionCallOutput):
            found = _call_of(item, runs)
            if found is not None:
                run, at = found
                pairs[at] = (run.pop(at), item)
        in_run = isinstance(item, llm.FunctionCall)
    return pairs


def _call_of(
    output: llm.FunctionCallOutput, runs: Sequence[dict[int, llm.FunctionCall]]
) -> tuple[dict[int, llm.FunctionCall], int] | None:
    for run in reversed(runs):
        for position, call in run.items():
            if call.call_id == output.call_id and output.name in ("", call.name):
                return run, position
    return None


def _has_text(message: llm.ChatMessage) -> bool:
    return message.role in _ROLES and bool((message.raw_text_content or "").strip())


def _tool_messages(answered: Sequence[_Answered]) -> list[dict[str, Any]]:
    if not answered:
        return []
    ids = _unlike_ids(answered)
    calls = [
        {"id": call_id, "name": call.name, "args": _json_object(call.arguments)}
        for call_id, (call, _) in zip(ids, answered, strict=True)
    ]
    request: dict[str, Any] = {"role": "assistant", "content": "", "toolCalls": calls}
    outputs = zip(ids, (output for _, output in answered), strict=True)
    return [request, *(_tool_result(call_id, output) for call_id, output in outputs)]


def _unlike_ids(answered: Sequence[_Answered]) -> list[str]:
    """Return an id for each call of one message, its own where no call before has it."""
    taken = {call.call_id for call, _ in answered}
    ids: list[str] = []
    for call, _ in answered:
        numbered = (f"{call.call_id}_{number}" for number in count(2))
        unlike = next(each for each in numbered if each not in taken)
        ids.append(unlike if call.call_id in ids else call.call_id)
        taken.add(ids[-1])
    return ids


@lru_cache(maxsize=1024)
def _json_object(arguments: str) -> str:
    """Return a call's arguments as the text of a JSON object, which is all that services take.

    What LiveKit's parser can repair is repaired as for the call itself, else they are ``{}``.
    Cached, since LiveKit logs each repair and a conversation is sent anew with every turn.
    """
    try:
        if isinstance(json.loads(arguments, parse_constant=_refuse_constant), dict):
            return arguments
    except (ValueError, RecursionError):
        pass
    try:
        repaired = llm.utils.parse_function_arguments(arguments) if arguments.strip() else {}
        return json.dumps(repaired, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return "{}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _tool_result(call_id: str, output: llm.FunctionCallOutput) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "tool",
        "content": output.output,
        "toolCallId": call_id,
    }
    if output.is_error:
        message["isError"] = True
    return message
