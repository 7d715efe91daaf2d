"""From the events of one completion to LiveKit's chunks, fed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import FlushSentinel, llm

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


def feed(*events: Any) -> list[Any]:
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


def test_each_text_delta_becomes_a_chunk_at_once() -> None:
    reply = Reply(ID)
    assert reply.push(DeltaEvent(text="It is")) == [text_chunk("It is")]
    assert reply.push(DeltaEvent(text=" noon.")) == [text_chunk(" noon.")]


def test_done_event_reports_usage_without_repeating_text() -> None:
    done = DoneEvent(text="It is noon.", usage=Usage(prompt_tokens=7, completion_tokens=3))
    assert feed(DeltaEvent(text="It is noon."), done)[1:] == [usage_chunk(7, 3)]


def test_text_only_in_the_done_event_becomes_one_chunk() -> None:
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
def test_tool_call_is_emitted_once_from_any_event(events: list[Any]) -> None:
    assert feed(*events) == [calls_chunk(A, B), usage_chunk()]


def test_tool_calls_follow_the_text() -> None:
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
def test_events_without_content_make_no_chunk(event: Any) -> None:
    assert feed(event) == []


def test_error_event_is_raised_with_its_code() -> None:
    with pytest.raises(SpekoApiError, match=r"^all tired$") as raised:
        feed(ErrorEvent(error="all tired", code="ALL_PROVIDERS_FAILED"))
    assert (raised.value.status, raised.value.code) == (200, "ALL_PROVIDERS_FAILED")


@pytest.mark.parametrize("text", ["", None])
def test_reply_with_neither_text_nor_calls_is_an_error(text: Any) -> None:
    with pytest.raises(SpekoApiError, match="neither text nor tool calls") as raised:
        feed(MetaEvent(), DoneEvent(text=text))
    assert (raised.value.status, raised.value.code) == (200, "EMPTY_COMPLETION")


def test_done_event_is_kept() -> None:
    reply, done = Reply(ID), DoneEvent(text="Hi.", provider="acme")
    assert reply.done is None
    reply.push(done)
    assert reply.done is done
    reply.finish()


@pytest.mark.parametrize("events", [[], [MetaEvent()], [DeltaEvent(text="It")], [call_event(A)]])
def test_reply_without_a_done_event_is_an_error(events: list[Any]) -> None:
    reply = Reply(ID)
    for event in events:
        reply.push(event)
    with pytest.raises(SpekoApiError) as raised:
        reply.finish()
    assert (raised.value.status, raised.value.code) == (200, "STREAM_ENDED")


def test_done_event_adds_text_that_no_delta_brought() -> None:
    chunks = feed(DeltaEvent(text="It is"), DoneEvent(text="It is noon."))
    assert chunks == [text_chunk("It is"), text_chunk(" noon."), usage_chunk()]


def test_different_text_in_the_done_event_is_not_spoken() -> None:
    """With tools that ran inside Speko the end may hold the last hop's text alone."""
    chunks = feed(DeltaEvent(text="One moment. It is noon."), DoneEvent(text="It is noon."))
    assert chunks == [text_chunk("One moment. It is noon."), usage_chunk()]


def test_calls_without_an_id_each_get_one() -> None:
    unnamed = [ToolCall(id="", name="look", args=args) for args in ("{}", '{"at": 1}')]
    (chunk, _) = feed(call_event(unnamed[0]), DoneEvent(tool_calls=tuple(unnamed)))
    assert chunk.delta is not None
    ids = [call.call_id for call in chunk.delta.tool_calls]
    assert [call.arguments for call in chunk.delta.tool_calls] == ["{}", '{"at": 1}']
    assert all(ids) and len(set(ids)) == 2


# Hops: tools that run inside the service


def texts_of(chunks: list[Any]) -> list[str]:
    return [chunk.delta.content for chunk in chunks if chunk.delta and chunk.delta.content]


def hop(before: list[str], after: list[str], done_text: str | None = None) -> list[Any]:
    """Chunks of a reply with a tool of the service in the middle."""
    return feed(
        MetaEvent(),
        *(DeltaEvent(text=text) for text in before),
        ServerToolCallEvent(id="s", name="stock", status="started"),
        ServerToolCallEvent(id="s", name="stock", status="completed"),
        MetaEvent(hop=1),
        *(DeltaEvent(text=text) for text in after),
        DoneEvent(text="".join(after) if done_text is None else done_text),
    )


def test_text_before_a_server_tool_is_flushed_once() -> None:
    chunks = hop(["One moment."], ["It is", " in stock."])
    flushes = [place for place, chunk in enumerate(chunks) if isinstance(chunk, FlushSentinel)]
    assert flushes == [1]
    assert chunks[1].id == ID and not chunks[1].has_response()


def test_nothing_is_flushed_before_the_first_text() -> None:
    assert not any(isinstance(chunk, FlushSentinel) for chunk in hop([], ["It is in stock."]))


@pytest.mark.parametrize(
    ("before", "after", "reads"),
    [
        (["One moment."], ["It is noon."], "One moment. It is noon."),
        (["One moment. "], ["It is noon."], "One moment. It is noon."),
        (["One moment."], [" It is noon."], "One moment. It is noon."),
        (["One moment."], ["\n", "It is noon."], "One moment.\nIt is noon."),
        (["Einen Moment …"], ["Es ist 12 Uhr."], "Einen Moment … Es ist 12 Uhr."),
        (["Секунду."], ["Есть."], "Секунду. Есть."),
        (["잠시만요."], ["있습니다."], "잠시만요. 있습니다."),
        (["रुकिए।"], ["मिल गया।"], "रुकिए। मिल गया।"),
        (
            ["少々お待ちください。"],
            ["ございます。"],
            "少々お待ちください。ございます。",
        ),
        (["请稍等。"], ["有货。"], "请稍等。有货。"),
        (["请稍等!"], ["iPhone 有货。"], "请稍等!iPhone 有货。"),
        (["รอสักครู่"], ["มีของ"], "รอสักครู่มีของ"),
        (["សូមរង់ចាំ"], ["មាន"], "សូមរង់ចាំមាន"),
        (["One moment"], [", it is noon."], "One moment, it is noon."),
        (["One moment"], ["."], "One moment."),
        (["(One moment"], [") It is noon."], "(One moment) It is noon."),
        (["One moment."], [".5 is half."], "One moment. .5 is half."),
        (["One moment."], ["(It is noon.)"], "One moment. (It is noon.)"),
        (["Un momento."], ["¿Al mediodía?"], "Un momento. ¿Al mediodía?"),
        ([], ["It is noon."], "It is noon."),
    ],
)
def test_space_separates_hops_in_languages_with_spaces(
    before: list[str], after: list[str], reads: str
) -> None:
    assert "".join(texts_of(hop(before, after))) == reads


@pytest.mark.parametrize(
    ("before", "after", "done_text", "reads"),
    [
        (["Wait."], [], "It is noon.", "Wait. It is noon."),
        (["Wait."], [], "Wait.It is noon.", "Wait. It is noon."),
        (["Wait."], ["It is"], "It is noon.", "Wait. It is noon."),
        (["Wait."], ["It is noon."], "Wait.It is noon.", "Wait. It is noon."),
        (["Wait. "], [], "Wait.", "Wait. "),
        (["Wait."], ["It is noon."], "Wait. It is noon.", "Wait. It is noon."),
        (["Wait."], ["It is noon."], "", "Wait. It is noon."),
    ],
)
def test_text_of_done_adds_only_what_no_delta_brought(
    before: list[str], after: list[str], done_text: str, reads: str
) -> None:
    assert "".join(texts_of(hop(before, after, done_text))) == reads


# Thoughts


@pytest.mark.parametrize(
    "pieces",
    [
        ["<think>The caller asks.</think>It is noon."],
        ["<think>", "The caller", " asks.", "</think>", "It is noon."],
        ["<thi", "nk>The <b> caller</th", "ink>It is", " noon."],
        ["It is <think>hm</think>noon."],
        list("<think>a</think>It is noon."),
    ],
)
def test_thoughts_are_left_out(pieces: list[str]) -> None:
    whole = "".join(pieces)
    chunks = feed(*(DeltaEvent(text=piece) for piece in pieces), DoneEvent(text=whole))
    assert "".join(texts_of(chunks)) == "It is noon."


@pytest.mark.parametrize("text", ["a < b", "1 <th", "<thin"])
def test_text_that_only_begins_like_a_thought_is_kept(text: str) -> None:
    assert "".join(texts_of(feed(DeltaEvent(text=text), DoneEvent(text=text)))) == text


# Empty replies


@pytest.mark.parametrize(
    "pieces", [["\n"], [" ", "\n\n"], ["<think>Nothing to say.</think>"], ["<think>a</think>\n"]]
)
def test_reply_without_text_is_empty_and_forwards_nothing(pieces: list[str]) -> None:
    reply = Reply(ID)
    assert [chunk for piece in pieces for chunk in reply.push(DeltaEvent(text=piece))] == []
    with pytest.raises(SpekoApiError) as raised:
        reply.push(DoneEvent(text="".join(pieces)))
    assert raised.value.code == "EMPTY_COMPLETION"


def test_leading_white_space_is_sent_with_the_first_word() -> None:
    chunks = feed(DeltaEvent(text="\n"), DeltaEvent(text="Hi."), DoneEvent(text="\nHi."))
    assert texts_of(chunks) == ["\nHi."]


# Ids of tool calls


def calls_of(*events: Any) -> list[tuple[str, str, str]]:
    return [
        (call.call_id, call.name, call.arguments)
        for chunk in feed(*events)
        if chunk.delta
        for call in chunk.delta.tool_calls
    ]


@pytest.mark.parametrize("name", ["lock", "unlock"])
@pytest.mark.parametrize("twice", [True, False])
def test_calls_that_share_an_id_get_different_ids(name: str, twice: bool) -> None:
    front = ToolCall(id="1", name="lock", args='{"door": "front"}')
    back = ToolCall(id="1", name=name, args='{"door": "back"}')
    events = [call_event(front), call_event(back)] if twice else []
    first, second = calls_of(*events, DoneEvent(tool_calls=(front, back)))
    assert first == ("1", "lock", '{"door": "front"}')
    assert second[1:] == (name, '{"door": "back"}')
    assert second[0] not in ("", "1")


@pytest.mark.parametrize(
    ("event", "done"),
    [
        ('{"door": "front", "n": 1}', '{"door":"front","n":1}'),
        ('{"door": "front", "n": 1}', '{"n": 1, "door": "front"}'),
        ('{"city": "Zürich"}', '{"city": "Z\\u00fcrich"}'),
        ("", "{}"),
    ],
    ids=["spaces", "order", "escapes", "none at all"],
)
def test_call_that_done_writes_in_another_way_runs_once(event: str, done: str) -> None:
    calls = [ToolCall(id="1", name="lock", args=args) for args in (event, done)]
    assert calls_of(call_event(calls[0]), DoneEvent(tool_calls=(calls[1],))) == [
        ("1", "lock", event)
    ]


def test_repeated_call_is_emitted_once() -> None:
    events = (call_event(A), call_event(A), DoneEvent(tool_calls=(A, A)))
    assert calls_of(*events) == [(A.id, A.name, A.args)]
