"""A model, its replies, and answers that the gateway does not make by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livekit.agents import llm

from livekit_plugins_speko import SpekoLLM
from livekit_plugins_speko.testing import Answer, AnswerWriter, Gate, ToolCall
from tests.helpers.support import NO_RETRY, conversation

INTENT = {"language": "en-US", "region": "global", "optimize_for": "latency"}
SOON_S = 10.0  # far below the clients' own timeouts

CALL_A = ToolCall("get_weather", {"city": "Paris"}, id="a")
CALL_B = ToolCall("get_time", {}, id="b")


class Events(Answer):
    """The given events, with none before or after them."""

    serves = frozenset({"complete"})

    def __init__(
        self,
        *events: tuple[str, Mapping[str, Any]],
        gate: Gate | None = None,
        then_break_off: bool = False,
    ):
        self.events = events
        self.gate = gate
        self.then_break_off = then_break_off

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": "text/event-stream"})
        for name, data in self.events:
            await writer.event(name, data)
        if self.gate is not None:
            await self.gate.hold()
        if self.then_break_off:
            writer.abort()


def done(**fields: Any) -> tuple[str, Mapping[str, Any]]:
    """A `done` event of which only the given fields beside the required ones are there."""
    usage = {"promptTokens": 1, "completionTokens": 1}
    return "done", {"provider": "p", "model": "m", "usage": usage, **fields}


def make_llm(speko: Any, **options: Any) -> SpekoLLM:
    return SpekoLLM(**{"speko": speko, "intent": INTENT, **options})


async def chat(model: SpekoLLM, *turns: tuple[str, str], **options: Any) -> list[llm.ChatChunk]:
    """Every chunk of one reply."""
    options = {"conn_options": NO_RETRY, **options}
    async with model.chat(chat_ctx=conversation(*turns), **options) as stream:
        return [chunk async for chunk in stream]


def texts(chunks: list[llm.ChatChunk]) -> list[str]:
    return [chunk.delta.content for chunk in chunks if chunk.delta and chunk.delta.content]


def call_ids(chunks: list[llm.ChatChunk]) -> list[str]:
    return [call.call_id for chunk in chunks if chunk.delta for call in chunk.delta.tool_calls]


def kinds(chunks: list[llm.ChatChunk]) -> list[str]:
    """The kind of content of each chunk."""
    return [
        "usage" if chunk.usage else "calls" if chunk.delta and chunk.delta.tool_calls else "text"
        for chunk in chunks
    ]
