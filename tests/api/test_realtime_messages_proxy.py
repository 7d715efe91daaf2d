"""The wire through Speko's proxy, with frames fed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from livekit_plugins_speko.api.realtime_events import (
    Audio,
    Close,
    Decoded,
    Error,
    Interruption,
    Ready,
    ServerToolCall,
    ToolCall,
    Usage,
)
from livekit_plugins_speko.api.realtime_messages import NotSupported
from tests.helpers.realtime_frames import agent, decoded, parsed, proxy, user


def says(text: str, *, role: str = "user", final: bool = False) -> dict[str, Any]:
    return {"t": "transcript", "role": role, "text": text, "final": final}


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (
            {"t": "tool_call", "callId": "c1", "name": "f", "arguments": '{"a":1}'},
            ToolCall(call_id="c1", name="f", arguments='{"a":1}'),
        ),
        (
            {"t": "server_tool_call", "id": "s1", "name": "search", "status": "started"},
            ServerToolCall(id="s1", name="search", status="started"),
        ),
        (
            {"t": "usage", "inputAudioTokens": 7, "outputAudioTokens": 9},
            Usage(input_audio_tokens=7, output_audio_tokens=9),
        ),
        ({"t": "usage", "inputAudioTokens": -1, "outputAudioTokens": "9"}, Usage()),
        ({"t": "interruption", "at": "assistant"}, Interruption(at="assistant")),
        ({"t": "interruption"}, Interruption(at="user")),
        ({"t": "error", "code": "X", "message": "m"}, Error(code="X", message="m")),
        ({"t": "error"}, Error(code="UNKNOWN", message="no reason given")),
        ({"t": "end", "reason": "hung up"}, Close(code=None, reason="hung up")),
    ],
)
def test_message_becomes_its_event(frame: dict[str, Any], event: Decoded) -> None:
    assert decoded(proxy(), frame) == [event]


@pytest.mark.parametrize(
    "frame",
    [
        {"t": "news"},
        {"t": ["ready"]},
        {},
        {"t": "transcript", "role": "narrator", "text": "hm"},
        {"t": "tool_call", "name": "f"},
    ],
)
def test_unknown_or_unusable_message_is_ignored(frame: dict[str, Any]) -> None:
    assert decoded(proxy(), frame) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"ready"', "[" * 100_000, "9" * 5_000, "\x00"]
)
def test_text_other_than_a_json_object_is_ignored(text: str) -> None:
    assert proxy().decode(text) == []


def test_ready_sets_the_rates_that_it_names() -> None:
    codec = proxy()
    ready = {"t": "ready", "inputSampleRate": 16_000, "outputSampleRate": 16_000}
    assert decoded(codec, ready) == [Ready(input_sample_rate=16_000, output_sample_rate=16_000)]
    assert (codec.input_sample_rate, codec.output_sample_rate) == (16_000, 16_000)
    assert decoded(codec, b"\x01\x02") == [Audio(pcm=b"\x01\x02", sample_rate=16_000)]


@pytest.mark.parametrize("rate", [8_000, "16000", None, 16_000.5, True])
def test_ready_with_an_unsupported_rate_keeps_the_credentials_rate(rate: object) -> None:
    codec = proxy()
    assert decoded(codec, {"t": "ready", "inputSampleRate": rate}) == [Ready()]
    assert (codec.input_sample_rate, codec.output_sample_rate) == (24_000, 24_000)


def test_half_a_sample_received_waits_for_its_other_half() -> None:
    events = decoded(proxy(), b"\x01\x02\x03", b"\x04", b"\x05", b"", b"\x06")
    assert [event.pcm for event in events if isinstance(event, Audio)] == [
        b"\x01\x02",
        b"\x03\x04",
        b"\x05\x06",
    ]


@pytest.mark.parametrize("end", [{"t": "interruption"}, {"t": "usage"}])
def test_half_a_sample_of_a_reply_does_not_shift_the_next_reply(end: dict[str, Any]) -> None:
    assert decoded(proxy(), b"\x01\x02\x03", end, b"\x04\x05")[-1] == Audio(
        pcm=b"\x04\x05", sample_rate=24_000
    )


def test_pieces_are_joined() -> None:
    events = decoded(proxy(), says("Good "), says("morning"), says("!", final=True))
    assert events == [user("Good "), user("Good morning"), user("Good morning!", final=True)]


def test_text_that_extends_the_one_before_replaces_it() -> None:
    events = decoded(proxy(), says("Good"), says("Good morning"), says("Good morning!", final=True))
    assert events == [user("Good"), user("Good morning"), user("Good morning!", final=True)]


def test_cumulative_texts_may_be_revised_for_the_rest_of_the_connection() -> None:
    codec = proxy()
    decoded(codec, says("I'd"), says("I'd like"), says("I'd like tea", final=True))
    assert decoded(codec, says("To"), says("Two please"), says("2, please", final=True)) == [
        user("To"),
        user("Two please"),
        user("2, please", final=True),
    ]


def test_first_cumulative_text_repairs_an_earlier_revision() -> None:
    events = decoded(proxy(), says("Good word"), says("Good world"), says("Good world, hi"))
    assert events[-1] == user("Good world, hi")


def test_one_role_may_be_cumulative_and_the_other_in_pieces() -> None:
    codec = proxy()
    decoded(codec, says("a"), says("a b"))
    events = decoded(codec, says("c", role="assistant"), says("d", role="assistant"))
    assert events == [agent("c"), agent("cd")]


def test_interruption_ends_the_agents_text_whose_late_rest_is_no_ones() -> None:
    codec = proxy()
    decoded(codec, says("Once ", role="assistant"), says("upon", role="assistant"))
    assert decoded(codec, {"t": "interruption"}, says(" a time", role="assistant")) == [
        Interruption(at="user"),
        agent(" a time"),
    ]
    decoded(codec, says("What time?", final=True))
    assert decoded(codec, says("Noon.", role="assistant")) == [agent("Noon.")]


@pytest.mark.parametrize("end", [{"t": "usage"}, {"t": "tool_call", "callId": "c1"}])
def test_interrupt_ends_the_agents_text_and_its_rest_ends_with_the_reply(
    end: dict[str, Any],
) -> None:
    codec = proxy()
    decoded(codec, says("Once ", role="assistant"))
    codec.interrupt()
    decoded(codec, says("upon", role="assistant"), end)
    assert decoded(codec, says("Noon.", role="assistant")) == [agent("Noon.")]


def test_rest_of_a_reply_that_was_cut_before_its_words_is_no_part_of_the_next() -> None:
    codec = proxy()
    decoded(codec, b"\x01\x02", {"t": "interruption"}, says("Once", role="assistant"))
    decoded(codec, {"t": "usage"}, says("Stop.", final=True))
    assert decoded(codec, says("Fine.", role="assistant")) == [agent("Fine.")]


@pytest.mark.parametrize("end", [{"t": "usage"}, {"t": "tool_call", "callId": "c1"}])
def test_utterance_without_a_final_ends_with_the_audio_of_the_next_reply(
    end: dict[str, Any],
) -> None:
    codec = proxy()
    decoded(codec, b"\x01\x02", says("It is ", role="assistant"), end)
    late = decoded(codec, says("noon.", role="assistant"))
    assert late == [agent("It is noon.")]
    assert decoded(codec, b"\x01\x02", says("Bye.", role="assistant"), b"\x01\x02") == [
        agent("It is noon.", final=True),
        Audio(pcm=b"\x01\x02", sample_rate=24_000),
        agent("Bye."),
        Audio(pcm=b"\x01\x02", sample_rate=24_000),
    ]


@pytest.mark.parametrize("led_on_by", ["words", "result"])
def test_utterance_without_a_final_ends_with_words_that_follow_from_something_else(
    led_on_by: str,
) -> None:
    codec = proxy()
    decoded(codec, says("One moment.", role="assistant"), {"t": "tool_call", "callId": "c1"})
    if led_on_by == "words":
        decoded(codec, says("And then?", final=True))
    else:
        codec.tool_result("c1", "noon")
    assert decoded(codec, says("It is ", role="assistant"), says("noon.", role="assistant")) == [
        agent("One moment.", final=True),
        agent("It is "),
        agent("It is noon."),
    ]


def test_first_words_of_the_caller_end_the_agents_text() -> None:
    codec = proxy()
    decoded(codec, says("Once ", role="assistant"), says("Stop"))
    assert decoded(codec, says("Fine.", role="assistant", final=True))[-1] == agent(
        "Fine.", final=True
    )


@pytest.mark.parametrize("due", ["interruption", "commit"])
def test_words_of_the_caller_that_come_late_leave_the_agents_text(due: str) -> None:
    codec = proxy()
    if due == "commit":
        codec.commit()
    else:
        decoded(codec, {"t": "interruption"})
    decoded(codec, says("It is", role="assistant"))
    decoded(codec, says("What"), says("What time?", final=True))
    assert decoded(codec, says(" noon.", role="assistant", final=True)) == [
        agent("It is noon.", final=True)
    ]


@pytest.mark.parametrize("end", [{"t": "usage"}, {"t": "interruption"}])
def test_line_without_a_final_ends_after_its_reply(end: dict[str, Any]) -> None:
    codec = proxy()
    decoded(codec, says("What time?"), b"\x01\x02", says("Noon.", role="assistant"), end)
    assert decoded(codec, says("And "), says("then?")) == [user("And "), user("And then?")]


def test_whole_final_of_a_line_may_follow_its_reply() -> None:
    codec = proxy()
    decoded(codec, says("What"), b"\x01\x02", {"t": "usage"})
    assert decoded(codec, says("What time?", final=True)) == [user("What time?", final=True)]


@pytest.mark.parametrize("by_us", [True, False])
def test_rest_of_a_reply_that_was_cut_is_no_reply_to_what_is_said_since(by_us: bool) -> None:
    codec = proxy()
    decoded(codec, b"\x01\x02")
    if by_us:
        codec.interrupt()
    else:
        decoded(codec, {"t": "interruption"})
    decoded(codec, says("Wait "), b"\x01\x02", {"t": "usage"})
    assert decoded(codec, says("a bit.")) == [user("Wait a bit.")]


def test_final_that_repeats_its_pieces_is_not_joined_to_them() -> None:
    codec = proxy()
    events = decoded(codec, says("Good "), says("day"), says("Good day.", final=True))
    assert events[-1] == user("Good day.", final=True)
    # It is no proof that the texts are cumulative.
    assert decoded(codec, says("How "), says("are you"))[-1] == user("How are you")


def test_empty_final_ends_the_utterance_with_what_came_before() -> None:
    codec = proxy()
    assert decoded(codec, says("Good day"), says("", final=True)) == [
        user("Good day"),
        user("Good day", final=True),
    ]
    assert decoded(codec, says("", final=True), says("  ", final=True), says("")) == []


def test_lone_surrogate_is_replaced() -> None:
    frame = '{"t":"transcript","role":"user","text":"hi \\ud83d","final":true}'
    assert proxy().decode(frame) == [user("hi ?", final=True)]


def test_audio_is_sent_in_frames_of_20_ms_and_half_a_sample_waits() -> None:
    codec = proxy()
    assert [len(frame) for frame in codec.audio(bytes(2 * 960 + 101))] == [960, 960, 100]
    assert codec.audio(b"") == []
    assert codec.audio(b"\x07") == [b"\x00\x07"]


def test_sent_frames_have_the_wires_spelling() -> None:
    codec = proxy()
    assert codec.opening() == []
    frames = [*codec.commit(), *codec.interrupt(), *codec.tool_result("c1", "12:00")]
    assert parsed(frames) == [
        {"t": "control", "action": "commit"},
        {"t": "interrupt"},
        {"t": "tool_result", "callId": "c1", "output": "12:00"},
    ]


def test_text_and_instructions_are_refused_and_a_bare_reply_needs_no_message() -> None:
    codec = proxy()
    assert codec.reply(None) == [] and not codec.can_take_text
    with pytest.raises(NotSupported, match="no instructions"):
        codec.reply("Say hello.")
    with pytest.raises(NotSupported, match="no typed text") as refused:
        codec.user_text("hello")
    assert (refused.value.code, refused.value.status) == ("NOT_SUPPORTED", 0)
