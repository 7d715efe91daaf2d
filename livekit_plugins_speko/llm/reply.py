"""Convert the events of one completion to LiveKit's chunks. No I/O."""

from __future__ import annotations

from livekit.agents import llm, utils

from .._base import CompletionEvent, Done, ToolCall, Usage
from ..errors import EMPTY_COMPLETION, STREAM_ENDED, SpekoApiError


class Reply:
    """Puts one reply together. Fed by hand, event by event; used by one task."""

    def __init__(self, reply_id: str) -> None:
        """Begin a reply whose chunks all have the id `reply_id`."""
        # The id of all its chunks.
        self.id = reply_id
        # Text handed on so far.
        self._text = ""
        # Inline tool calls by id, in the order of their first sight. Some models give no ids: what
        # they call is told apart by its name and arguments.
        self._calls: dict[object, llm.FunctionToolCall] = {}
        # The event that ended the reply. None before it came.
        self.done: Done | None = None

    def push(self, event: CompletionEvent) -> list[llm.ChatChunk]:
        """Take the next event; return the chunks to hand on.

        Raises:
            SpekoApiError: The service gave up (an ``error`` event), or the reply is empty.
        """
        if event.type == "delta":
            return self._text_chunks(event.text)
        if event.type == "tool_call":
            self._add_call(event)
        elif event.type == "error":
            raise SpekoApiError(event.error, 200, event.code)
        elif event.type == "done":
            return self._end(event)
        return []

    def finish(self) -> None:
        """Say that the events are over.

        Raises:
            SpekoApiError: There was none, code ``STREAM_ENDED``.
        """
        if self.done is None:
            raise SpekoApiError("Speko's reply ended without its end.", 200, STREAM_ENDED)

    def _end(self, event: Done) -> list[llm.ChatChunk]:
        # The older service sends all of its text here; the current one, what no delta brought.
        text = event.text or ""
        chunks = self._text_chunks(text[len(self._text) :] if text.startswith(self._text) else "")
        for call in event.tool_calls or ():
            self._add_call(call)
        if not self._text and not self._calls:
            raise SpekoApiError(
                "Speko's reply has neither text nor tool calls.", 200, EMPTY_COMPLETION
            )
        self.done = event
        if self._calls:
            delta = llm.ChoiceDelta(role="assistant", tool_calls=list(self._calls.values()))
            chunks.append(llm.ChatChunk(id=self.id, delta=delta))
        chunks.append(llm.ChatChunk(id=self.id, usage=_usage(event.usage)))
        return chunks

    def _text_chunks(self, text: str) -> list[llm.ChatChunk]:
        if not text:
            return []
        self._text += text
        delta = llm.ChoiceDelta(role="assistant", content=text)
        return [llm.ChatChunk(id=self.id, delta=delta)]

    def _add_call(self, call: ToolCall) -> None:
        key = call.id or (call.name, call.args)
        if key not in self._calls:
            self._calls[key] = llm.FunctionToolCall(
                name=call.name,
                arguments=call.args,
                # The tool's result must find its call.
                call_id=call.id or utils.shortuuid("call_"),
            )


def _usage(usage: Usage) -> llm.CompletionUsage:
    return llm.CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        prompt_cached_tokens=0,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )
