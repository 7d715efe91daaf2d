"""A reply's streams, the caller's lines and the reports, each by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.agents import llm
from livekit.agents.metrics.base import Metadata

from livekit_plugins_speko import SpekoRealtimeModel
from livekit_plugins_speko._call import Calls
from livekit_plugins_speko.api.realtime_events import (
    Audio,
    ServerToolCall,
    ToolCall,
    Usage,
)
from livekit_plugins_speko.api.realtime_options import RealtimeOptions
from livekit_plugins_speko.api.timing import Timing
from livekit_plugins_speko.realtime.configuration import Configuration
from livekit_plugins_speko.realtime.connectors import require_connector
from livekit_plugins_speko.realtime.conversation import Conversation
from livekit_plugins_speko.realtime.generation import Generation, Words
from livekit_plugins_speko.realtime.history import History
from livekit_plugins_speko.realtime.outbox import Command, Outbox
from livekit_plugins_speko.realtime.reports import Reports
from livekit_plugins_speko.realtime.tool_calls import SKIPPED
from livekit_plugins_speko.realtime.transcripts import CallerLines
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.helpers.realtime_calls import WITHIN_S, calling, clock, speech
from tests.helpers.realtime_frames import agent, user
from tests.helpers.support import pitch, tone


def _generation() -> Generation:
    return Generation(user_initiated=False, timing=Timing())


async def _message(reply: Generation) -> llm.MessageGeneration:
    [message] = [each async for each in reply.event.message_stream]
    return message


class _Talk:
    """A conversation without a connection, and what it emits."""

    def __init__(self, model: SpekoRealtimeModel) -> None:
        self.events: list[tuple[str, Any]] = []
        self.outbox, self.history = Outbox(), History()
        self.reports = Reports(self._emit, Calls(model, "realtime"), "label", Metadata())
        self.conversation = Conversation(self._emit, self.outbox, self.reports, self.history)

    def _emit(self, name: Any, payload: Any) -> None:
        self.events.append((name, payload))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@pytest.fixture
async def talk() -> AsyncIterator[_Talk]:
    async with calling() as call:
        talk = _Talk(call.model)
        yield talk
        talk.conversation.close()


def test_long_word_does_not_wait_for_the_next() -> None:
    words = Words()
    assert words.update("x" * 30, final=False) == "x" * 30
    assert words.rest() == ""


async def test_audio_of_another_rate_is_converted_to_the_replys_first() -> None:
    reply = _generation()
    reply.push_audio(tone(0.2, rate=24_000), 24_000)
    for _ in range(2):
        assert reply.push_audio(tone(0.5, rate=16_000), 16_000) == pytest.approx(0.5)
    reply.close()
    message = await _message(reply)
    frames = [each async for each in message.audio_stream]
    assert {each.sample_rate for each in frames} == {24_000}
    pcm = b"".join(each.data.tobytes() for each in frames)
    assert pitch(pcm, 24_000) == pytest.approx(440, abs=15)
    assert len(pcm) / 2 / 24_000 == pytest.approx(1.2, abs=0.1)


async def test_second_utterance_of_a_reply_follows_the_first() -> None:
    reply = _generation()
    reply.push_text("One moment.", final=True)
    reply.push_text("It is noon.", final=True)
    reply.close()
    reply.close(cancelled=True)
    message = await _message(reply)
    assert "".join([each async for each in message.text_stream]) == "One moment. It is noon."
    assert not reply.cancelled


async def test_usage_without_a_reply_is_reported_by_itself(talk: _Talk) -> None:
    talk.reports.usage(Usage(input_audio_tokens=3, output_audio_tokens=4), None)
    [(name, metrics)] = talk.events
    assert name == "metrics_collected"
    assert (metrics.input_tokens, metrics.output_tokens) == (3, 4)


async def test_clock_that_was_set_back_gives_no_rate_of_tokens(talk: _Talk) -> None:
    reply = _generation()
    reply.began_at = time.time() + 60
    talk.reports.usage(Usage(input_audio_tokens=3, output_audio_tokens=4), reply)
    assert talk.events[0][1].tokens_per_second == 0


async def test_tool_of_the_service_is_no_traffic(talk: _Talk) -> None:
    assert not talk.conversation.take(ServerToolCall(id="c1", name="find", status="started"))
    assert not talk.events


async def test_empty_final_ends_the_callers_speech(talk: _Talk) -> None:
    talk.conversation.take(user("What time"))
    talk.conversation.take(user("", final=True))
    line = next(each for name, each in talk.events if "transcription" in name and each.is_final)
    assert line.transcript == "What time"
    assert talk.names[-1] == "input_speech_stopped"


async def test_empty_interim_of_the_caller_changes_nothing(talk: _Talk) -> None:
    assert talk.conversation.take(user(" "))
    assert not talk.events


async def test_commit_during_a_reply_is_refused(talk: _Talk) -> None:
    talk.conversation.take(Audio(pcm=speech(), sample_rate=24_000))
    assert not talk.conversation.commit()
    assert not talk.conversation.turn.is_committed


async def test_words_that_follow_a_commit_start_no_speech(talk: _Talk) -> None:
    assert talk.conversation.commit()
    talk.conversation.take(user("What time"))
    assert talk.names == ["input_audio_transcription_completed"]


async def test_request_that_is_cancelled_while_the_caller_speaks_needs_no_message(
    talk: _Talk,
) -> None:
    requests = talk.conversation.requests
    request = requests.add("Greet.", None)
    requests.sent(request)
    talk.conversation.take(user("Wait"))
    request.future.cancel()
    await asyncio.sleep(0)
    assert requests.pending is None
    assert not talk.outbox._items


async def test_reply_that_follows_a_cancellation_at_once_is_dropped(talk: _Talk) -> None:
    requests = talk.conversation.requests
    request = requests.add("Greet.", None)
    requests.sent(request)
    request.future.cancel()
    talk.conversation.take(Audio(pcm=speech(), sample_rate=24_000))
    assert not talk.names
    assert await talk.outbox.take() == Command(kind="interrupt")


async def test_call_after_an_interruption_is_not_skipped_with_those_before_it(talk: _Talk) -> None:
    talk.conversation.take(ToolCall(call_id="before", name="get_time", arguments="{}"))
    talk.conversation.interrupt()
    talk.conversation.take(ToolCall(call_id="after", name="get_time", arguments="{}"))
    assert await talk.outbox.take() == Command(kind="interrupt")
    result = await within(talk.outbox.take(), WITHIN_S, "the result of the first call")
    assert result == Command(kind="tool_result", call_id="before", text=SKIPPED)
    assert talk.conversation.tools.calls.is_running("after")


async def test_longer_version_of_the_last_reply_replaces_it_in_the_history(talk: _Talk) -> None:
    for event in (Audio(pcm=speech(), sample_rate=24_000), agent("It is", final=True)):
        talk.conversation.take(event)
    talk.conversation.take(Usage())
    talk.conversation.take(agent("It is noon.", final=True))
    talk.conversation.take(agent("It", final=True))
    [message] = talk.history.chat_ctx.messages()
    assert message.text_content == "It is noon."
    assert talk.names.count("generation_created") == 1


class _Lines(list[llm.InputTranscriptionCompleted]):
    """Keeps the lines that are reported."""

    def on_line(self, line: llm.InputTranscriptionCompleted) -> None:
        self.append(line)


def test_open_line_keeps_its_beginning() -> None:
    reported = _Lines()
    lines = CallerLines(reported)
    lines.begin(1.0)
    lines.take("What", final=False)
    lines.begin(5.0)
    lines.take("What time?", final=True)
    assert [each.turn_started_at for each in reported] == [1.0, 1.0]


def test_late_final_is_a_repetition_after_the_reply_began_too() -> None:
    lines = CallerLines(_Lines())
    lines.take("What time", final=False)
    lines.finish()
    lines.reply_began()
    assert lines.repeats("What time?")


async def test_late_change_of_tools_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    configuration = Configuration(RealtimeOptions(), History())
    configuration.connect_options()
    configuration.use_tools(llm.ToolContext(clock().tools).flatten())
    configuration.use_tools([])
    assert [each.message for each in caplog.records] == [
        "the model is given changed tools with its next session only"
    ]


def test_object_that_is_no_client_has_no_speech_to_speech() -> None:
    with pytest.raises(TypeError, match="object has no speech to speech"):
        require_connector(object(), RealtimeOptions())
