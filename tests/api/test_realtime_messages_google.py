"""The wire to Gemini Live, with frames fed by hand."""

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
    ResumptionHandle,
    ToolCall,
    TurnComplete,
    Usage,
)
from livekit_plugins_speko.api.realtime_messages import ProviderSession
from livekit_plugins_speko.api.realtime_messages.google import MAX_CALLS
from tests.helpers.realtime_frames import (
    TOOL,
    agent,
    decoded,
    encoded,
    google,
    parsed,
    user,
)


def content(**parts: Any) -> dict[str, Any]:
    return {"serverContent": parts}


def heard(text: str) -> dict[str, Any]:
    return content(inputTranscription={"text": text})


def said(text: str, **more: Any) -> dict[str, Any]:
    return content(outputTranscription={"text": text}, **more)


def audio(pcm: bytes, mime: str = "audio/pcm;rate=24000") -> dict[str, Any]:
    data = {"mimeType": mime, "data": encoded(pcm)}
    return content(
        modelTurn={"parts": [{"text": "a thought", "thought": True}, {"inlineData": data}]}
    )


def calls(*call_ids: str, args: object = None) -> dict[str, Any]:
    functions = [{"id": each, "name": f"f_{each}", "args": args} for each in call_ids]
    return {"toolCall": {"functionCalls": functions}}


TURN_COMPLETE = content(turnComplete=True)
HEARD_AUDIO = Audio(pcm=b"\x01\x02", sample_rate=24_000)


def test_setup_has_every_setting() -> None:
    (message,) = parsed(google(handle="h1").opening())
    assert message == {
        "setup": {
            "model": "models/voice-1",
            "generationConfig": {
                "responseModalities": ["AUDIO"],
                "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "eve"}}},
                "temperature": 0.0,
            },
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
            "sessionResumption": {"handle": "h1"},
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "tools": [{"functionDeclarations": [TOOL]}],
        }
    }


def test_setup_leaves_out_unset_options() -> None:
    (message,) = parsed(google(ProviderSession(model="models/voice-1")).opening())
    assert message["setup"] == {
        "model": "models/voice-1",
        "generationConfig": {"responseModalities": ["AUDIO"]},
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        "sessionResumption": {},
    }


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ({"setupComplete": {}}, Ready(input_sample_rate=16_000, output_sample_rate=24_000)),
        (audio(b"\x01\x02"), HEARD_AUDIO),
        (audio(b"\x01\x02", "audio/pcm"), HEARD_AUDIO),
        (audio(b"\x01\x02", "audio/pcm;rate=16000"), Audio(pcm=b"\x01\x02", sample_rate=16_000)),
        (content(interrupted=True), Interruption(at="assistant")),
        (TURN_COMPLETE, TurnComplete()),
        (
            {"usageMetadata": {"promptTokenCount": 5, "responseTokenCount": 6}},
            Usage(input_audio_tokens=5, output_audio_tokens=6),
        ),
        ({"sessionResumptionUpdate": {"newHandle": "h2"}}, ResumptionHandle(handle="h2")),
        (
            {"error": {"status": "NOT_FOUND", "code": 404, "message": "gone"}},
            Error(code="NOT_FOUND", message="gone"),
        ),
        ({"error": {"code": 404}}, Error(code="404", message="no reason given")),
        ({"error": {}}, Error(code="UNKNOWN", message="no reason given")),
        (
            calls("1", args={"city": "Oslo"}),
            ToolCall(call_id="1", name="f_1", arguments='{"city":"Oslo"}'),
        ),
        (calls("1"), ToolCall(call_id="1", name="f_1", arguments="{}")),
        (calls("1", args='{"a":1}'), ToolCall(call_id="1", name="f_1", arguments='{"a":1}')),
    ],
)
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_message_becomes_its_event(frame: dict[str, Any], event: Decoded, binary: bool) -> None:
    text = json.dumps(frame)
    assert google().decode(text.encode() if binary else text) == [event]


@pytest.mark.parametrize(
    "frame",
    [
        {"goAway": {"timeLeft": "10s"}},
        {"serverContent": 7, "toolCall": [], "error": "x", "usageMetadata": 1},
        {"toolCall": {"functionCalls": [7, {"name": "f"}]}},
        {"sessionResumptionUpdate": {"newHandle": "h", "resumable": False}},
        content(modelTurn={"parts": {"inlineData": 1}}),
        content(modelTurn={"parts": ["x", {"inlineData": {"data": "%%%"}}]}),
        content(interrupted="yes", turnComplete=1),
        b"\x00\xff",
    ],
)
def test_unknown_or_unusable_message_is_ignored(frame: dict[str, Any] | bytes) -> None:
    assert decoded(google(), frame) == []


@pytest.mark.parametrize(
    ("begin", "events"),
    [
        (audio(b"\x01\x02"), [HEARD_AUDIO]),
        (said("Noon"), [agent("Noon")]),
        (calls("1"), [ToolCall(call_id="1", name="f_1", arguments="{}")]),
        (TURN_COMPLETE, [TurnComplete()]),
    ],
    ids=["audio", "text", "tool_call", "turn_complete"],
)
def test_caller_line_is_final_once_a_reply_begins(
    begin: dict[str, Any], events: list[Decoded]
) -> None:
    codec = google()
    assert decoded(codec, heard("What "), heard("time?")) == [user("What "), user("What time?")]
    assert decoded(codec, begin) == [user("What time?", final=True), *events]


def test_caller_words_during_a_reply_are_one_line_at_its_end() -> None:
    frames = [audio(b"\x01\x02"), heard("And "), audio(b"\x01\x02"), heard("then?"), TURN_COMPLETE]
    finals = [user("And then?", final=True)]
    assert [event for event in decoded(google(), *frames) if event in finals] == finals


def test_usage_during_a_reply_waits_for_its_end_and_the_latest_counts() -> None:
    codec = google()
    spent = [{"usageMetadata": {"promptTokenCount": count}} for count in (1, 2)]
    assert decoded(codec, said("It is"), *spent) == [agent("It is")]
    assert decoded(codec, said(" noon.", turnComplete=True)) == [
        agent("It is noon."),
        agent("It is noon.", final=True),
        Usage(input_audio_tokens=2),
        TurnComplete(),
    ]
    assert decoded(codec, spent[0]) == [Usage(input_audio_tokens=1)]


def test_reply_has_its_final_and_usage_before_its_end() -> None:
    last = {**said(" noon.", turnComplete=True), "usageMetadata": {"promptTokenCount": 1}}
    assert decoded(google(), said("It is"), last) == [
        agent("It is"),
        agent("It is noon."),
        agent("It is noon.", final=True),
        Usage(input_audio_tokens=1),
        TurnComplete(),
    ]


def test_words_after_an_interruption_belong_to_no_reply_until_the_next_begins() -> None:
    codec = google()
    decoded(codec, said("It is"), audio(b"\x01\x02\x03"))
    assert decoded(codec, content(interrupted=True), said(" noon")) == [
        agent("It is", final=True),
        Interruption(at="assistant"),
    ]
    assert decoded(codec, audio(b"\x01\x02"), said("Sure")) == [HEARD_AUDIO, agent("Sure")]


def test_words_of_the_caller_during_a_tool_call_end_with_the_reply_to_its_result() -> None:
    codec = google()
    decoded(codec, audio(b"\x01\x02"), calls("c1"), heard("Hello?"))
    codec.tool_result("c1", "noon")
    assert decoded(codec, audio(b"\x01\x02"))[0] == user("Hello?", final=True)


def test_words_of_the_caller_during_a_reply_end_with_its_interruption() -> None:
    codec = google()
    events = decoded(codec, audio(b"\x01\x02"), heard("Wait"), content(interrupted=True))
    assert events[-2:] == [user("Wait", final=True), Interruption(at="assistant")]
    assert decoded(codec, heard(" a bit.")) == [user(" a bit.")]


@pytest.mark.parametrize("with_audio", [True, False])
def test_words_before_a_tool_call_are_no_part_of_the_reply_to_its_result(
    with_audio: bool,
) -> None:
    codec = google()
    decoded(codec, audio(b"\x01\x02"), said("One "), calls("c1"))
    assert decoded(codec, said("moment.")) == [agent("One moment.")]
    codec.tool_result("c1", "noon")
    reply = [audio(b"\x01\x02")] * with_audio
    assert decoded(codec, *reply, said("It is "), said("noon.")) == [
        agent("One moment.", final=True),
        *[HEARD_AUDIO] * with_audio,
        agent("It is "),
        agent("It is noon."),
    ]


def test_half_a_sample_waits_for_its_other_half_within_its_reply() -> None:
    events = decoded(
        google(), audio(b"\x01"), audio(b"\x02\x03"), TURN_COMPLETE, audio(b"\x01\x02")
    )
    assert events == [HEARD_AUDIO, TurnComplete(), HEARD_AUDIO]


@pytest.mark.parametrize(
    ("output", "response"),
    [
        ('{"time":"noon"}', {"time": "noon"}),
        ("noon", {"result": "noon"}),
        ("[1]", {"result": "[1]"}),
        ('{"a":NaN}', {"result": '{"a":NaN}'}),
        ("[" * 100_000, {"result": "[" * 100_000}),
    ],
    ids=["object", "text", "array", "not_a_number", "deep"],
)
def test_result_names_its_function_and_is_an_object(output: str, response: object) -> None:
    codec = google()
    decoded(codec, calls("1"))
    result = {"id": "1", "name": "f_1", "response": response}
    assert parsed(codec.tool_result("1", output)) == [
        {"toolResponse": {"functionResponses": [result]}}
    ]


def test_names_of_calls_without_a_result_are_bounded() -> None:
    codec = google()
    decoded(codec, calls(*(str(number) for number in range(MAX_CALLS + 1))))
    names = [
        parsed(codec.tool_result(call_id, ""))[0]["toolResponse"]["functionResponses"][0]["name"]
        for call_id in ("0", "1")
    ]
    assert names == ["", "f_1"]


def test_sent_frames_have_the_wires_spelling() -> None:
    codec = google()
    text = {
        "clientContent": {
            "turns": [{"role": "user", "parts": [{"text": "hi"}]}],
            "turnComplete": True,
        }
    }
    assert parsed([*codec.commit(), *codec.interrupt(), *codec.user_text("hi")]) == [
        {"realtimeInput": {"audioStreamEnd": True}},
        {"realtimeInput": {"activityEnd": {}}},
        text,
    ]
    assert parsed(codec.reply("hi")) == [text]
    [both] = parsed(codec.user_text("hi", "Greet."))
    assert both["clientContent"]["turns"][0]["parts"] == [{"text": "Greet."}, {"text": "hi"}]
    assert codec.reply(None) == [] and codec.can_take_text


def test_audio_is_sent_in_base64_and_half_a_sample_waits() -> None:
    codec = google()
    assert codec.audio(b"\x01") == []
    assert parsed(codec.audio(b"\x02")) == [
        {
            "realtimeInput": {
                "audio": {"mimeType": "audio/pcm;rate=16000", "data": encoded(b"\x01\x02")}
            }
        }
    ]
