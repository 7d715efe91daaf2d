"""A model whose replies tell what it was given, so that a caller can see it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from livekit_plugins_speko.testing import GatewayRequest, Reply, ToolCall

Message = Mapping[str, Any]

STORY = " ".join(
    f"This is sentence {number} of a story that is long enough to be broken off."
    for number in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
)
# Words of the caller, and the tool that is called for them.
TOOLS = {"look it up": "look_up", "hand over": "hand_over", "hang up": "hang_up"}
CONTEXT = re.compile(r"\[Context from the caller's page[^\]]*\] (.*)")


async def scripted_model(request: GatewayRequest) -> Reply:
    """Answer a request."""
    body = request.json
    offered = {tool["name"] for tool in body.get("tools", [])}
    chosen = reply_to(body["messages"], offered)
    return Reply(tool_calls=[chosen]) if isinstance(chosen, ToolCall) else Reply(chosen)


def reply_to(messages: Sequence[Message], offered: set[str]) -> str | ToolCall:
    """Choose the reply to a conversation."""
    spoken = [message for message in messages if message["role"] != "system"]
    said = [each for each in spoken if not CONTEXT.match(each["content"])]
    context = new_context(spoken)
    if said and said[-1]["role"] == "tool":
        return with_context(f"The tool says: {said[-1]['content']}", context)
    words = next((each["content"] for each in reversed(said) if each["role"] == "user"), "")
    for phrase, tool in TOOLS.items():
        if phrase in words.lower() and tool in offered:
            return ToolCall(tool)
    if "story" in words:
        return STORY
    return with_context(f"You said: {words}", context)


def new_context(spoken: Sequence[Message]) -> list[str]:
    """Return what the page told since the caller's words before the last ones."""
    before: list[str] = []
    since: list[str] = []
    for message in spoken:
        if told := CONTEXT.match(message["content"]):
            since.append(told[1])
        elif message["role"] == "user":
            before, since = since, []
    return before + since


def with_context(reply: str, context: Sequence[str]) -> str:
    """Add what the page told last to a reply."""
    return " ".join([reply, *(f"The page told me: {text}" for text in context[-1:])])
