"""From the events of one completion to LiveKit's chunks, fed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import llm

from livekit_plugins_speko import SpekoApiError
from livekit_plugins_speko.api.types import (
    DeltaEvent,
    DoneEvent,
    ErrorEvent,
    MetaEvent,
    ServerToolCallEvent,
    ToolCall,
    ToolCallEvent,
    Usage,
)
from livekit_plugins_speko.llm.reply import Reply

ID = "reply-1"
A = ToolCall(id="a", name="get_weather", args='{"city":"Paris"}')
B = ToolCall(id="b", name="get_time", args="{}")


def feed(*events: Any) -> list[llm.ChatChunk]:
    """Every chunk that a new reply makes of these events."""
    reply = Reply(ID)
    return [chunk for event in events for chunk in reply.push(event)]


def call_event(call: ToolCall) -> ToolCallEvent:
    return ToolCallEvent(id=call.id, name=call.name, args=call.args)


def text_chunk(text: str) -> llm.ChatChunk:
    return llm.ChatChunk(id=ID, delta=llm.ChoiceDelta(role="assistant", content=text))


def calls_chunk(*calls: ToolCall) -> llm.ChatChunk:
    tool_calls = [llm.FunctionToolCall(name=c.name, arguments=c.args, call_id=c.id) for c in calls]
    return llm.ChatChunk(id=ID, delta=llm.ChoiceDelta(role="assistant", tool_calls=tool_calls))


def usage_chunk(prompt: int = 0, completion: int = 0) -> llm.ChatChunk:
    usage = llm.CompletionUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_cached_tokens=0,
        total_tokens=prompt + completion,
    )
    return llm.ChatChunk(id=ID, usage=usage)


def test_each_piece_of_text_is_a_chunk_at_once() -> None:
    reply = Reply(ID)
    assert reply.push(DeltaEvent(text="It is")) == [text_chunk("It is")]
    assert reply.push(DeltaEvent(text=" noon.")) == [text_chunk(" noon.")]


def test_the_end_of_a_reply_tells_its_usage_and_not_its_text_again() -> None:
    done = DoneEvent(text="It is noon.", usage=Usage(prompt_tokens=7, completion_tokens=3))
    assert feed(DeltaEvent(text="It is noon."), done)[1:] == [usage_chunk(7, 3)]


def test_text_that_only_the_end_has_becomes_one_chunk() -> None:
    """The older service sends nothing before its end."""
    assert feed(DoneEvent(text="It is noon.")) == [text_chunk("It is noon."), usage_chunk()]


@pytest.mark.parametrize(
    "events",
    [
        [call_event(A), call_event(B), DoneEvent(tool_calls=(A, B))],
        [call_event(A), call_event(B), DoneEvent()],
        [DoneEvent(tool_calls=(A, B))],
        [call_event(A), DoneEvent(tool_calls=(A, B))],
        [call_event(A), DoneEvent(tool_calls=(B, A))],
        [call_event(A), call_event(A), DoneEvent(tool_calls=(B,))],
    ],
    ids=["in both places", "as events", "in done", "one in done", "turned around", "twice"],
)
def test_a_tool_call_comes_out_once_wherever_it_stands(events: list[Any]) -> None:
    assert feed(*events) == [calls_chunk(A, B), usage_chunk()]


def test_tool_calls_wait_for_the_text_to_end() -> None:
    events = [call_event(A), DeltaEvent(text="One moment."), DoneEvent(text="One moment.")]
    assert feed(*events) == [text_chunk("One moment."), calls_chunk(A), usage_chunk()]


@pytest.mark.parametrize(
    "event",
    [
        MetaEvent(hop=1),
        ServerToolCallEvent(id="s", name="search", status="started"),
        DeltaEvent(text=""),
    ],
    ids=["meta", "server tool call", "empty delta"],
)
def test_what_says_nothing_makes_no_chunk(event: Any) -> None:
    assert feed(event) == []


def test_an_error_event_is_raised_with_its_code() -> None:
    with pytest.raises(SpekoApiError, match=r"^all tired$") as raised:
        feed(ErrorEvent(error="all tired", code="ALL_PROVIDERS_FAILED"))
    assert (raised.value.status, raised.value.code) == (200, "ALL_PROVIDERS_FAILED")


@pytest.mark.parametrize("text", ["", None])
def test_a_reply_with_neither_text_nor_calls_is_an_error(text: Any) -> None:
    with pytest.raises(SpekoApiError, match="neither text nor tool calls") as raised:
        feed(MetaEvent(), DoneEvent(text=text))
    assert (raised.value.status, raised.value.code) == (200, "EMPTY_COMPLETION")


def test_the_end_is_kept() -> None:
    reply, done = Reply(ID), DoneEvent(text="Hi.", provider="acme")
    assert reply.done is None
    reply.push(done)
    assert reply.done is done
    reply.finish()


@pytest.mark.parametrize("events", [[], [MetaEvent()], [DeltaEvent(text="It")], [call_event(A)]])
def test_a_reply_that_ends_without_its_end_is_an_error(events: list[Any]) -> None:
    reply = Reply(ID)
    for event in events:
        reply.push(event)
    with pytest.raises(SpekoApiError) as raised:
        reply.finish()
    assert (raised.value.status, raised.value.code) == (200, "STREAM_ENDED")


def test_the_end_hands_on_what_no_delta_brought() -> None:
    chunks = feed(DeltaEvent(text="It is"), DoneEvent(text="It is noon."))
    assert chunks == [text_chunk("It is"), text_chunk(" noon."), usage_chunk()]


def test_an_end_with_other_words_is_not_said_after_the_first() -> None:
    """With tools that ran inside Speko the end may hold the last hop's text alone."""
    chunks = feed(DeltaEvent(text="One moment. It is noon."), DoneEvent(text="It is noon."))
    assert chunks == [text_chunk("One moment. It is noon."), usage_chunk()]


def test_calls_without_an_id_are_told_apart_and_get_one() -> None:
    unnamed = [ToolCall(id="", name="look", args=args) for args in ("{}", '{"at": 1}')]
    (chunk, _) = feed(call_event(unnamed[0]), DoneEvent(tool_calls=tuple(unnamed)))
    assert chunk.delta is not None
    ids = [call.call_id for call in chunk.delta.tool_calls]
    assert [call.arguments for call in chunk.delta.tool_calls] == ["{}", '{"at": 1}']
    assert all(ids) and len(set(ids)) == 2
