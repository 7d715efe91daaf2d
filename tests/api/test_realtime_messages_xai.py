"""The wire to xAI, with frames fed by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from livekit_plugins_speko.api.realtime_events import (
    Audio,
    Decoded,
    Error,
    Interruption,
    Ready,
    ToolCall,
    TurnComplete,
    Usage,
)
from livekit_plugins_speko.api.realtime_messages import ProviderSession
from tests.helpers.realtime_frames import (
    SESSION,
    TOOL,
    agent,
    decoded,
    encoded,
    parsed,
    user,
    xai,
)

HEARD = "conversation.item.input_audio_transcription."
SAID = "response.output_audio_transcript."


def audio(pcm: bytes, response: str = "r1") -> dict[str, Any]:
    return {
        "type": "response.output_audio.delta",
        "response_id": response,
        "delta": encoded(pcm),
    }


def created(response: str = "r1") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": response}}


def done(**response: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": "r1", **response}}


def called(call_id: str = "c1") -> dict[str, Any]:
    return {
        "type": "response.function_call_arguments.done",
        "call_id": call_id,
        "name": "get_time",
        "arguments": "{}",
    }


SPEECH = {"type": "input_audio_buffer.speech_started"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "noon"}


def test_first_message_has_every_setting() -> None:
    (update,) = parsed(xai().opening())
    pcm = {"type": "audio/pcm", "rate": 24_000}
    assert update == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "model": "voice-1",
            "output_modalities": ["audio"],
            "voice": "eve",
            "turn_detection": {"type": "server_vad"},
            "audio": {
                "input": {"format": pcm, "transcription": {"model": "grok-transcribe"}},
                "output": {"format": pcm},
            },
            "instructions": "Be brief.",
            "tools": [{"type": "function", **TOOL}],
            "tool_choice": "auto",
        },
    }


def test_first_message_leaves_out_unset_options() -> None:
    (update,) = parsed(xai(ProviderSession(model="voice-1")).opening())
    assert not {"voice", "instructions", "tools"} & set(update["session"])


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ({"type": "session.updated"}, Ready(input_sample_rate=24_000, output_sample_rate=24_000)),
        (audio(b"\x01\x02"), Audio(pcm=b"\x01\x02", sample_rate=24_000)),
        (
            {"type": "response.audio.delta", "delta": encoded(b"\x01\x02")},
            Audio(pcm=b"\x01\x02", sample_rate=24_000),
        ),
        (called(), ToolCall(call_id="c1", name="get_time", arguments="{}")),
        (SPEECH, Interruption(at="user")),
        (
            {"type": "error", "error": {"code": "bad", "message": "no"}},
            Error(code="bad", message="no"),
        ),
        ({"type": "error", "error": None}, Error(code="UNKNOWN", message="no reason given")),
    ],
)
def test_message_becomes_its_event(frame: dict[str, Any], event: Decoded) -> None:
    assert decoded(xai(), frame) == [event]


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "session.created"},
        {"type": {"a": 1}},
        {"type": "response.output_audio.delta", "delta": "not base64!"},
        {"type": "response.output_audio.delta", "delta": 7},
        {"type": "response.function_call_arguments.done", "name": "f"},
        b"\xff\xfe",
    ],
)
def test_unknown_or_unusable_message_is_ignored(frame: dict[str, Any] | bytes) -> None:
    assert decoded(xai(), frame) == []


def test_caller_text_grows_by_pieces_is_revised_and_becomes_final() -> None:
    events = decoded(
        xai(),
        {"type": HEARD + "delta", "item_id": "i", "delta": "To"},
        {"type": HEARD + "delta", "item_id": "i", "delta": " tees"},
        {"type": HEARD + "updated", "item_id": "i", "transcript": "Two teas"},
        {"type": HEARD + "completed", "item_id": "i", "transcript": "Two teas."},
    )
    assert events == [user("To"), user("To tees"), user("Two teas"), user("Two teas.", final=True)]


def test_next_utterance_ends_the_open_one_and_a_late_end_is_ignored() -> None:
    events = decoded(
        xai(),
        {"type": HEARD + "delta", "item_id": "i", "delta": "One"},
        {"type": HEARD + "delta", "item_id": "j", "delta": "Two"},
        {"type": HEARD + "completed", "item_id": "h", "transcript": "Zero"},
        {"type": HEARD + "delta", "item_id": "j", "delta": "."},
    )
    assert events == [
        user("One"),
        user("One", final=True),
        user("Two"),
        user("Zero", final=True),
        user("Two."),
    ]


def test_reply_comes_piece_by_piece_and_ends_with_usage() -> None:
    usage = {
        "input_token_details": {"audio_tokens": 3, "text_tokens": 1},
        "output_token_details": {"audio_tokens": 4},
    }
    events = decoded(
        xai(),
        created(),
        {"type": SAID + "delta", "response_id": "r1", "delta": "It is"},
        {"type": SAID + "delta", "response_id": "r1", "delta": " noon"},
        {"type": SAID + "done", "response_id": "r1", "transcript": "It is noon."},
        done(usage=usage),
    )
    assert events == [
        agent("It is"),
        agent("It is noon"),
        agent("It is noon.", final=True),
        Usage(input_audio_tokens=3, output_audio_tokens=4, input_text_tokens=1),
        TurnComplete(),
    ]


def test_reply_is_complete_without_a_text_end_or_usage() -> None:
    events = decoded(xai(), {"type": SAID + "delta", "delta": "Hm"}, done(usage=None))
    assert events == [agent("Hm"), agent("Hm", final=True), TurnComplete()]


@pytest.mark.parametrize("end", [done(), created("r2")])
def test_text_of_a_cut_reply_has_no_final_and_is_no_part_of_the_next(end: dict[str, Any]) -> None:
    codec = xai()
    events = decoded(
        codec,
        {"type": SAID + "delta", "delta": "Once"},
        SPEECH,
        {"type": SAID + "delta", "delta": " upon"},
        end,
    )
    assert [event for event in events if event not in (TurnComplete(),)] == [
        agent("Once"),
        Interruption(at="user"),
        agent(" upon"),
    ]
    assert decoded(codec, {"type": SAID + "delta", "delta": "Noon."}) == [agent("Noon.")]


def test_failed_reply_says_why() -> None:
    error = {"code": "rate_limit", "message": "slow down"}
    events = decoded(xai(), done(status="failed", status_details={"error": error}))
    assert events == [Error(code="rate_limit", message="slow down"), TurnComplete()]


@pytest.mark.parametrize("by_us", [True, False], ids=["interrupt", "speech_started"])
def test_late_rest_of_a_cut_reply_is_dropped_and_the_next_reply_is_complete(by_us: bool) -> None:
    codec = xai()
    decoded(codec, created("r1"), audio(b"\x01\x02\x03", "r1"))
    if by_us:
        assert parsed(codec.interrupt()) == [{"type": "response.cancel"}]
    else:
        decoded(codec, SPEECH)
    late = {"type": SAID + "delta", "response_id": "r1", "delta": "late"}
    end = {"type": SAID + "done", "response_id": "r1", "transcript": "late."}
    assert decoded(codec, audio(b"\x04\x05", "r1"), late, end) == []
    assert decoded(codec, done(), created("r2"), audio(b"\x06\x07", "r2")) == [
        TurnComplete(),
        Audio(pcm=b"\x06\x07", sample_rate=24_000),
    ]


def test_last_result_requests_the_next_reply() -> None:
    codec = xai()
    decoded(codec, created(), called("c1"), called("c2"))
    item = {"type": "conversation.item.create", "item": RESULT}
    assert parsed(codec.tool_result("c1", "noon")) == [item]
    assert parsed(codec.tool_result("c2", "x"))[1:] == [{"type": "response.create"}]


def test_call_without_a_result_does_not_block_a_later_reply() -> None:
    codec = xai()
    decoded(codec, created("r1"), called("c0"), created("r2"), called("c1"))
    assert parsed(codec.tool_result("c1", "noon"))[-1] == {"type": "response.create"}


def test_instructions_of_a_reply_come_after_those_of_the_session() -> None:
    assert parsed(xai().reply("Say hello.")) == [
        {"type": "response.create", "response": {"instructions": "Be brief.\n\nSay hello."}}
    ]
    bare = xai(ProviderSession(model="voice-1"))
    assert parsed(bare.reply("Say hello."))[0]["response"] == {"instructions": "Say hello."}
    assert parsed(bare.reply(None)) == [{"type": "response.create"}]


def test_sent_frames_have_the_wires_spelling() -> None:
    codec = xai(SESSION)
    assert codec.can_take_text
    text = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    assert parsed([*codec.commit(), *codec.user_text("hi")]) == [
        {"type": "input_audio_buffer.commit"},
        {"type": "conversation.item.create", "item": text},
        {"type": "response.create"},
    ]
    assert parsed(codec.user_text("hi", "Greet."))[1:] == parsed(codec.reply("Greet."))


def test_audio_is_sent_in_base64_and_half_a_sample_waits() -> None:
    codec = xai()
    assert codec.audio(b"\x01") == []
    (frame,) = codec.audio(b"\x02\x03\x04")
    expected = {"type": "input_audio_buffer.append", "audio": encoded(b"\x01\x02\x03\x04")}
    assert json.loads(frame) == expected
