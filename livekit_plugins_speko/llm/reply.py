"""Convert the events of one completion to LiveKit's chunks. No I/O."""

from __future__ import annotations

import json
from typing import Literal, TypeAlias

from livekit.agents import FlushSentinel, llm, utils
from livekit.agents.llm.utils import ThinkingTokenFilter, strip_thinking_tokens

from .._base import CompletionEvent, Done, ToolCall, Usage
from .._text import with_space
from ..errors import EMPTY_COMPLETION, STREAM_ENDED, SpekoApiError


class SpeakNow(FlushSentinel):
    """Make LiveKit speak the text so far, although the reply continues.

    It has the attributes of a chunk without content, which is what LiveKit's metrics and an
    ``llm_node`` of the user's read of it.
    """

    def __init__(self, reply_id: str) -> None:
        self.id = reply_id
        self.delta: None = None
        self.usage: None = None

    def has_response(self) -> Literal[False]:
        """Return False: there is no content."""
        return False


Chunk: TypeAlias = llm.ChatChunk | SpeakNow


class Reply:
    """One reply put together. Fed by hand, event by event; used by one task."""

    def __init__(self, reply_id: str) -> None:
        """Begin a reply whose chunks all have the id `reply_id`."""
        # The id of all its chunks.
        self.id = reply_id
        # Leaves out what the model only thinks, also when a tag arrives in pieces.
        self._thoughts = ThinkingTokenFilter()
        # True once a character came with which a tag may begin: most replies have none.
        self._may_think = False
        # Text as the service sent it: of the whole reply, and since its last hop began.
        self._received = self._received_in_hop = ""
        # White space at the beginning. A reply of nothing else is empty.
        self._blank = ""
        # The end of the text forwarded so far.
        self._tail = ""
        # True when another hop began since the last text, so that a space may be missing.
        self._hopped = False
        # True when there is text that LiveKit may still hold back.
        self._unspoken = False
        # Inline tool calls in the order of their first arrival, by id, name and meaning of their
        # arguments: an event and ``done`` may write these with other spaces, or in another order.
        self._calls: dict[tuple[str, str, str], llm.FunctionToolCall] = {}
        # The event that ended the reply. None before it came.
        self.done: Done | None = None

    def push(self, event: CompletionEvent) -> list[Chunk]:
        """Take the next event; return the chunks to forward.

        Raises:
            SpekoApiError: The service gave up (an ``error`` event), or the reply is empty.
        """
        if event.type == "delta":
            return self._text_chunks(event.text)
        if event.type == "tool_call":
            self._add_call(event)
        elif event.type == "server_tool_call" or event.type == "meta":
            return self._hop()
        elif event.type == "error":
            raise SpekoApiError(event.error, 200, event.code)
        elif event.type == "done":
            return self._end(event)
        return []

    def finish(self) -> None:
        """Declare that the events are over.

        Raises:
            SpekoApiError: ``done`` was not among them, code ``STREAM_ENDED``.
        """
        if self.done is None:
            raise SpekoApiError("The reply stream ended before its done event.", 200, STREAM_ENDED)

    def _hop(self) -> list[Chunk]:
        """Begin another hop: have the words before a tool of the service spoken meanwhile."""
        self._hopped, self._received_in_hop = True, ""
        if not self._unspoken:
            return []
        self._unspoken = False
        return [SpeakNow(self.id)]

    def _end(self, event: Done) -> list[Chunk]:
        chunks = self._text_chunks(self._missing(event.text or ""), final=True)
        for call in event.tool_calls or ():
            self._add_call(call)
        if not self._tail and not self._calls:
            raise SpekoApiError(
                "Speko's reply has neither text nor tool calls.", 200, EMPTY_COMPLETION
            )
        self.done = event
        if self._calls:
            delta = llm.ChoiceDelta(role="assistant", tool_calls=list(self._calls.values()))
            chunks.append(llm.ChatChunk(id=self.id, delta=delta))
        chunks.append(llm.ChatChunk(id=self.id, usage=_usage(event.usage)))
        return chunks

    def _missing(self, text: str) -> str:
        """Return the text that no delta brought: an older service's all, or the rest of a hop's."""
        for received in (self._received, self._received_in_hop):
            if text.startswith(received) and text.strip() not in self._received:
                return text[len(received) :]
        return ""

    def _text_chunks(self, text: str, *, final: bool = False) -> list[Chunk]:
        self._received += text
        self._received_in_hop += text
        text = self._blank + self._without_thoughts(text, final=final)
        if not self._tail and not text.strip():
            self._blank = text
            return []
        self._blank = ""
        if not text:
            return []
        if self._hopped:
            text = with_space(self._tail, text)
            self._hopped = False
        self._tail = (self._tail + text)[-_TAIL_CHARS:]
        self._unspoken = True
        delta = llm.ChoiceDelta(role="assistant", content=text)
        return [llm.ChatChunk(id=self.id, delta=delta)]

    def _without_thoughts(self, text: str, *, final: bool) -> str:
        if not self._may_think and self._thoughts.start_tag[0] not in text:
            return text
        self._may_think = True
        return strip_thinking_tokens(text, self._thoughts, final=final) or ""

    def _add_call(self, call: ToolCall) -> None:
        key = (call.id, call.name, _meaning(call.args))
        if key in self._calls:
            return
        # Its result must find it: some models give no ids, others the same one to two calls.
        taken = not call.id or any(call.id == call_id for call_id, _, _ in self._calls)
        self._calls[key] = llm.FunctionToolCall(
            name=call.name,
            arguments=call.args,
            call_id=utils.shortuuid("call_") if taken else call.id,
        )


_TAIL_CHARS = 64


def _meaning(arguments: str) -> str:
    """Return arguments in one spelling. Some models write none at all for an empty object."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _usage(usage: Usage) -> llm.CompletionUsage:
    return llm.CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        prompt_cached_tokens=0,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )
