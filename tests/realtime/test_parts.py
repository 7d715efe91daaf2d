"""The parts of a session, each by itself."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given, strategies
from livekit.agents import APIConnectOptions, llm

from livekit_plugins_speko.realtime.connections import to_timestamp
from livekit_plugins_speko.realtime.generation import Words
from livekit_plugins_speko.realtime.history import MAX_CHARACTERS, History
from livekit_plugins_speko.realtime.lifetime import Attempts, Lifetime
from livekit_plugins_speko.realtime.microphone import Microphone
from livekit_plugins_speko.realtime.outbox import MOST_AGAIN_S, MOST_AUDIO_S, Command, Outbox
from livekit_plugins_speko.realtime.playback import cut_text
from livekit_plugins_speko.realtime.sdk_connection import SdkConnection
from tests.helpers.support import frame, int16, pitch, tone


@given(strategies.text(alphabet="ab ,é", max_size=60), strategies.data())
def test_words_come_once_however_they_grow(text: str, data: strategies.DataObject) -> None:
    ends = sorted(data.draw(strategies.lists(strategies.integers(0, len(text)), max_size=6)))
    words = Words()
    pieces = [words.update(text[:end], final=False) for end in ends]
    pieces.append(words.update(text, final=True))
    assert "".join(pieces) == text


def test_last_word_that_is_revised_comes_once_and_as_revised() -> None:
    words = Words()
    pieces = [words.update(text, final=False) for text in ("I", "I thing", "I think so")]
    assert "".join([*pieces, words.rest()]) == "I think so"


@pytest.mark.parametrize(
    ("text", "played_s", "heard"),
    [
        ("One two three.", 2.0, "One two"),
        ("One two three.", 0.1, ""),
        ("One two three.", 3.6, "One two three."),
        ("One two three.", 5.0, "One two three."),
        ("一二三四五六七八", 2.0, "一二三四"),
    ],
)
def test_text_is_cut_where_its_audio_was(text: str, played_s: float, heard: str) -> None:
    assert cut_text(text, played_s, 4.0) == heard


def test_microphone_gives_multiples_of_20_ms_of_mono() -> None:
    microphone = Microphone(16_000)
    full = microphone.push(frame(tone(0.1, rate=48_000, channels=2), rate=48_000, channels=2))
    rest = microphone.flush()
    assert full and len(full) % 640 == 0
    pcm = full + rest
    assert len(int16(pcm)) == pytest.approx(1600, abs=160)
    assert pitch(pcm, 16_000) == pytest.approx(440, abs=15)


def test_microphone_follows_a_change_of_rate() -> None:
    microphone = Microphone(16_000)
    for rate in (16_000, 24_000, 16_000):
        microphone.push(frame(tone(0.1, rate=rate), rate=rate))
        microphone.flush()
    assert microphone.push(frame(tone(0.02, rate=16_000))) == tone(0.02, rate=16_000)


def test_microphone_forgets_what_is_cleared() -> None:
    microphone = Microphone(16_000)
    microphone.push(frame(tone(0.01, rate=16_000)))
    microphone.clear()
    assert microphone.flush() == b""


async def test_outbox_keeps_the_latest_audio_and_every_command_in_order() -> None:
    outbox = Outbox()
    commit = Command(kind="commit")
    outbox.push(commit)
    frames = [frame(tone(0.125, rate=16_000, hz=200 + at)) for at in range(30)]
    for each in frames:
        outbox.push(each)
    kept = frames[-round(MOST_AUDIO_S / 0.125) :]
    taken = [await outbox.take() for _ in range(len(kept) + 1)]
    assert taken == [commit, *kept]


async def test_outbox_sends_audio_again_that_was_not_confirmed() -> None:
    outbox = Outbox()
    frames = [frame(tone(0.125, rate=16_000, hz=200 + at)) for at in range(90)]

    async def send() -> None:
        for each in frames:
            outbox.push(each)
            assert await outbox.take() is each

    await send()
    outbox.rewind(unanswered_s=3.0)
    again = frames[-round((3.0 + MOST_AUDIO_S) / 0.125) :]
    assert [await outbox.take() for _ in again] == again
    outbox.rewind(unanswered_s=MOST_AGAIN_S)
    assert await outbox.take() is again[0]
    outbox.drop_audio()
    await send()
    outbox.confirm()
    outbox.rewind(unanswered_s=3.0)
    outbox.push(frames[0])
    assert await outbox.take() is frames[0]


async def test_outbox_keeps_the_latest_audio_alone_where_no_question_is_known() -> None:
    outbox = Outbox()
    frames = [frame(tone(0.125, rate=16_000, hz=200 + at)) for at in range(90)]
    for each in frames[:-4]:
        outbox.push(each)
        await outbox.take()
    outbox.rewind(unanswered_s=0.0)
    for each in frames[-4:]:
        outbox.push(each)
    kept = frames[-round(MOST_AUDIO_S / 0.125) :]
    assert [await outbox.take() for _ in kept] == kept


async def test_outbox_waits_and_drops_what_it_is_to_drop() -> None:
    outbox = Outbox()
    waiting = asyncio.ensure_future(outbox.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    commit, audio = Command(kind="commit"), frame(tone(0.1))
    outbox.push(commit)
    assert await waiting is commit
    outbox.push(commit)
    outbox.push(audio)
    outbox.drop_audio()
    assert await outbox.take() is commit
    outbox.push(audio)
    outbox.push(commit)
    outbox.drop_commands()
    assert await outbox.take() is audio


def test_history_of_a_long_call_keeps_its_end() -> None:
    history = History()
    for at in range(1000):
        history.add(llm.ChatMessage(role="user", content=[f"Line {at} " + "x" * 50]))
    prompt = history.render("Be brief.")
    assert prompt is not None
    assert prompt.startswith("Be brief.")
    assert "Line 999 " in prompt
    assert "Line 1 " not in prompt
    assert len(prompt) < MAX_CHARACTERS * 1.2


def test_long_result_of_a_tool_leaves_room_for_the_rest_of_the_history() -> None:
    history = History()
    history.add(llm.ChatMessage(role="user", content=["Find it."]))
    long = llm.FunctionCallOutput(call_id="c1", name="find", output="x" * 50_000, is_error=False)
    history.add(long)
    prompt = history.render(None) or ""
    assert "Find it." in prompt
    assert "The result of find (c1): xxx" in prompt
    assert len(prompt) < MAX_CHARACTERS


def test_history_names_calls_results_and_errors() -> None:
    history = History()
    history.add(llm.FunctionCall(call_id="c1", name="find", arguments='{"a": 1}'))
    output = llm.FunctionCallOutput(call_id="c1", name="find", output="none", is_error=True)
    history.add(output)
    prompt = history.render(None) or ""
    assert 'find with {"a": 1} (c1)' in prompt
    assert "The error of find (c1): none" in prompt


def test_empty_history_adds_nothing() -> None:
    assert History().render("Be brief.") == "Be brief."
    assert History().render(None) is None


def test_attempts_are_counted_since_the_last_traffic() -> None:
    attempts = Attempts(APIConnectOptions(max_retry=1, retry_interval=0.5))
    assert attempts.fail() is not None
    assert attempts.fail() is None
    attempts.succeeded()
    assert attempts.fail() is not None


@pytest.mark.parametrize(("left_s", "window_s"), [(600.0, 60.0), (30.0, 10.0), (180.0, 60.0)])
def test_session_is_renewed_in_the_last_third_and_minute(left_s: float, window_s: float) -> None:
    life = Lifetime(None, time.time() + 10 * left_s, time.time() + left_s)
    assert life.until_window_s == pytest.approx(left_s - window_s, abs=0.1)
    assert not life.is_over


def test_life_without_an_end_is_never_over() -> None:
    for life in (Lifetime(None), Lifetime(time.time() - 5)):
        assert life.until_window_s is None
        assert not life.is_over


@pytest.mark.parametrize("moment", ["2030-01-01T00:00:00Z", "2030-01-01T01:00:00+01:00"])
def test_moments_are_read(moment: str) -> None:
    assert to_timestamp(moment) == 1893456000.0


@pytest.mark.parametrize("moment", [None, "", "soon", 7])
def test_what_is_no_moment_is_none(moment: Any) -> None:
    assert to_timestamp(moment) is None


class _Handle:
    """A handle of the official SDK that gives some frames."""

    session_id, expires_at = "s1", "2030-01-01T00:00:00Z"
    input_sample_rate = output_sample_rate = 24_000

    def __init__(self, *frames: dict[str, Any]) -> None:
        self._frames = frames

    async def __aiter__(self) -> Any:
        for each in self._frames:
            yield each


def _said(role: str, text: str, final: bool) -> dict[str, Any]:
    return {"type": "transcript", "role": role, "text": text, "final": final}


async def test_sdk_frames_become_events() -> None:
    connection = SdkConnection(
        _Handle(
            _said("user", "What ", True),
            _said("user", "time?", True),
            {"type": "audio", "pcm": b"\1\2\3", "sample_rate": 24_000},
            {"type": "audio", "pcm": b"\4", "sample_rate": 24_000},
            _said("assistant", "It is", False),
            _said("assistant", " noon.", False),
            _said("assistant", "It is noon.", True),
            {"type": "tool_call", "call_id": "c", "name": "n", "arguments": "{}"},
            {"type": "usage", "input_audio_tokens": 1, "output_audio_tokens": 2},
            {"type": "interruption", "at": "user"},
            {"type": "error", "code": "E", "message": "m"},
            {"type": "unknown"},
            {"type": "close", "reason": "done"},
        )
    )
    events = [event async for event in connection]
    assert [event.type for event in events] == [
        *("transcript", "transcript", "transcript", "audio", "audio"),
        *("transcript", "transcript", "transcript"),
        *("tool_call", "usage", "interruption", "error", "close"),
    ]
    texts = [(each.text, each.final) for each in events if each.type == "transcript"]
    assert texts[2:] == [
        *(("What time?", True), ("It is", False), ("It is noon.", False), ("It is noon.", True)),
    ]
    assert b"".join(each.pcm for each in events if each.type == "audio") == b"\1\2\3\4"
    assert json.dumps(connection.expires_at)


@pytest.mark.parametrize("how", ["interruption", "words"])
async def test_sdk_text_of_a_cut_reply_is_no_part_of_the_next(how: str) -> None:
    barge_in = {"interruption": {"type": "interruption", "at": "user"}}
    connection = SdkConnection(
        _Handle(
            _said("assistant", "Once ", False),
            _said("assistant", "upon", False),
            barge_in.get(how, _said("user", "St", False)),
            _said("assistant", " a time", False),
            _said("user", "Stop.", False),
            _said("assistant", "Fine.", False),
        )
    )
    texts = [each.text async for each in connection if each.type == "transcript"]
    assert texts[-1] == "Fine."


async def test_sdk_text_of_geminis_replies_which_have_no_final_is_each_replys_own() -> None:
    audio = {"type": "audio", "pcm": bytes(2), "sample_rate": 24_000}
    usage = {"type": "usage", "input_audio_tokens": 1, "output_audio_tokens": 2}
    connection = SdkConnection(
        _Handle(
            *(_said("user", "Time?", True), audio, _said("assistant", "Noon.", False), usage),
            *(_said("user", "Sure?", True), audio, _said("assistant", "Yes", False)),
            *(audio, _said("assistant", ", it is.", False), usage),
        )
    )
    events = [each async for each in connection if each.type == "transcript"]
    assert [(each.text, each.final) for each in events if each.role == "assistant"] == [
        *(("Noon.", False), ("Noon.", True), ("Yes", False), ("Yes, it is.", False)),
    ]


async def test_sdk_call_without_an_id_is_ignored() -> None:
    call = {"type": "tool_call", "call_id": "", "name": "n", "arguments": "{}"}
    assert [event async for event in SdkConnection(_Handle(call))] == []


@pytest.mark.parametrize(("reason", "code"), [("done", None), ("", 1006)])
async def test_sdk_close_without_a_reason_is_a_lost_connection(
    reason: str, code: int | None
) -> None:
    connection = SdkConnection(_Handle({"type": "close", "reason": reason}))
    [event] = [event async for event in connection]
    assert (event.type, getattr(event, "code", 0)) == ("close", code)
