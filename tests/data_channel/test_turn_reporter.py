"""`TurnReporter`: what is reported, when, and what a failing service costs the call."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from livekit.agents import AgentSession, ConversationItemAddedEvent, llm, vad
from livekit.agents.llm import AgentHandoff

from livekit_plugins_speko import Speko, TurnReporter
from livekit_plugins_speko.data_channel.turn_reporter import (
    CLOSE_S,
    MAX_TURN_CHARS,
    MAX_WAITING_TURNS,
    build_turn,
)
from livekit_plugins_speko.testing import (
    Gate,
    LocalGateway,
    LostAnswer,
    Refusal,
    Reply,
    Speech,
)
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.data_channel.log_events import LOGGER, told
from tests.data_channel.sessions import page_call
from tests.helpers.fake_room import user_message
from tests.helpers.raw_server import RawServer
from tests.helpers.session_calls import calling
from tests.helpers.support import tone

SESSION = "s-1"
FAILED = "reporting the conversation to Speko failed"
# A port of this machine at which nobody listens.
NOBODY = "http://127.0.0.1:9"


class Talk:
    """A session's events without the session: messages are added by hand."""

    def __init__(self, speko: Speko) -> None:
        self.session = AgentSession[None]()
        self.reporter = TurnReporter(speko=speko, session_id=SESSION)
        self.reporter.start(self.session)

    def add(self, text: str, role: Any = "user", **fields: Any) -> None:
        item = llm.ChatMessage(role=role, content=[text], **fields)
        self.session.emit("conversation_item_added", ConversationItemAddedEvent(item=item))


def source(role: str) -> str:
    """The wire's name of a role."""
    return "agent" if role == "assistant" else role


def reported(gateway: LocalGateway) -> list[tuple[int, str, str]]:
    """The turns that the gateway holds: (index, source, text)."""
    turns = gateway.session(SESSION).turns.values()
    return [(turn["index"], turn["source"], turn["text"]) for turn in turns]


async def test_conversation_is_reported_as_it_was(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_session(SESSION)
    gateway.complete.script(Reply("Around the clock."))
    reporter = TurnReporter(speko=speko, session_id=SESSION)
    async with page_call(speko) as call:
        reporter.start(call.session)
        call.room.send(user_message())
        await call.until(2)
        await gateway.arrived("turns")
    await reporter.aclose()
    assert reported(gateway) == [(0, "user", "Are you open?"), (1, "agent", "Around the clock.")]


async def test_turns_of_one_moment_go_out_in_one_post(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_session(SESSION)
    talk = Talk(speko)
    for text in ("one", "two", "three"):
        talk.add(text)
    await gateway.arrived("turns")
    talk.add("four")
    await talk.reporter.aclose()
    sizes = [len(request.json["turns"]) for request in gateway.requests_to("turns")]
    assert sizes == [3, 1]


async def test_200_turns_at_most_go_out_in_one_post(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_session(SESSION)
    talk = Talk(speko)
    for number in range(450):
        talk.add(f"turn {number}")
    await talk.reporter.aclose()
    sizes = [len(request.json["turns"]) for request in gateway.requests_to("turns")]
    assert sizes == [200, 200, 50]
    assert [index for index, _, _ in reported(gateway)] == list(range(450))


async def test_messages_alone_are_reported(gateway: LocalGateway, speko: Speko) -> None:
    gateway.register_session(SESSION)
    talk = Talk(speko)
    handoff = AgentHandoff(old_agent_id="a", new_agent_id="b")
    talk.session.emit("conversation_item_added", ConversationItemAddedEvent(item=handoff))
    talk.add("  ")
    talk.add("Be brief.", "system")
    talk.add("x" * (MAX_TURN_CHARS + 1), "assistant")
    await talk.reporter.aclose()
    assert reported(gateway) == [
        (0, "system", "Be brief."),
        (1, "agent", "x" * MAX_TURN_CHARS),
    ]


async def test_interrupted_reply_is_reported_as_far_as_it_was_heard(
    voice_detector: vad.VAD,
) -> None:
    rest = Gate()
    async with calling(voice_detector) as call:
        call.gateway.register_session(SESSION)
        call.gateway.complete.script(Reply("Once there was a hotel. It had twelve rooms."))
        call.gateway.synthesize.script(Speech([tone(1.0), rest, tone(1.0)]))
        async with Speko(base_url=call.gateway.base_url, api_key=call.gateway.api_key) as speko:
            reporter = TurnReporter(speko=speko, session_id=SESSION)
            reporter.start(call.session)
            call.session.generate_reply(user_input="Tell me a story.")
            await call.until(lambda: call.session.agent_state == "speaking", "the story")
            await call.session.interrupt()
            await reporter.aclose()
        rest.open()
        (said,) = [each for each in call.session.history.messages() if each.role == "assistant"]
        assert said.interrupted
        assert reported(call.gateway)[-1] == (1, "agent", said.text_content)


async def test_words_that_cut_a_reply_come_after_it(voice_detector: vad.VAD) -> None:
    rest = Gate()
    async with calling(voice_detector) as call:
        call.gateway.register_session(SESSION)
        call.gateway.complete.script(Reply("Once there was a hotel."), Reply("As you wish."))
        call.gateway.synthesize.script(Speech([tone(1.0), rest, tone(1.0)]), Speech(tone(0.1)))
        async with Speko(base_url=call.gateway.base_url, api_key=call.gateway.api_key) as speko:
            reporter = TurnReporter(speko=speko, session_id=SESSION)
            reporter.start(call.session)
            call.session.generate_reply(user_input="Tell me a story.")
            await call.until(lambda: call.session.agent_state == "speaking", "the story")
            # As agents do, who do not wait until LiveKit has noted what was heard.
            call.session.interrupt()
            await call.session.generate_reply(user_input="No, stop.")
            await reporter.aclose()
        rest.open()
        history = [(source(role), text) for role, text in call.history]
        assert [(source, text) for _, source, text in reported(call.gateway)] == history
        assert [text for _, text in history][2:] == ["No, stop.", "As you wish."]


async def test_late_message_takes_its_place_among_those_not_posted_yet(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.register_session(SESSION)
    talk = Talk(speko)
    talk.add("posted", created_at=9.0)
    await gateway.arrived("turns")
    for text, created_at in (("first", 1.0), ("third", 4.0), ("fourth", 5.0), ("second", 3.0)):
        talk.add(text, created_at=created_at)
    await talk.reporter.aclose()
    texts = ["posted", "first", "second", "third", "fourth"]
    assert reported(gateway) == [(index, "user", text) for index, text in enumerate(texts)]


def test_turn_has_the_times_at_which_it_was_said() -> None:
    item = llm.ChatMessage(role="assistant", content=["Hi\ud800"], interrupted=True)
    item.metrics = {"started_speaking_at": 0.5, "stopped_speaking_at": 1.5}
    assert build_turn(item, 7) == {
        "index": 7,
        "source": "agent",
        "text": "Hi?",
        "startedAt": "1970-01-01T00:00:00.500Z",
        "endedAt": "1970-01-01T00:00:01.500Z",
    }


@pytest.mark.parametrize("fault", [Refusal(500, "down"), Refusal(429, "slow"), LostAnswer()])
async def test_failure_is_retried_and_logged_once(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture, fault: Any
) -> None:
    gateway.register_session(SESSION)
    gateway.turns.script(fault, fault)
    talk = Talk(speko)
    with caplog.at_level(logging.WARNING, LOGGER):
        talk.add("The secret of the hotel.")
        await gateway.arrived("turns", count=2)
        await talk.reporter.aclose()
    assert reported(gateway) == [(0, "user", "The secret of the hotel.")]
    assert len(caplog.records) == 1 and "secret" not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
async def test_refusal_ends_the_reporting(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    gateway.register_session(SESSION)
    gateway.turns.script(Refusal(status, "no"))
    talk = Talk(speko)
    with caplog.at_level(logging.WARNING, LOGGER):
        talk.add("one")
        await gateway.arrived("turns")
        await gateway.idle(connections=1)
        talk.add("two")
        await talk.reporter.aclose()
    assert len(gateway.requests_to("turns")) == 1
    (record,) = caplog.records
    assert (record.__dict__["status"], record.__dict__["retried"]) == (status, False)


async def test_service_that_hangs_costs_the_call_nothing_and_the_end_five_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with RawServer(b"", hold=True) as server:
        async with Speko(base_url=server.base_url, api_key="key-of-a-test") as speko:
            talk = Talk(speko)
            began = time.monotonic()
            for number in range(MAX_WAITING_TURNS + 500):
                talk.add(f"turn {number}")
            assert time.monotonic() - began < 2
            assert len(talk.reporter._waiting) == MAX_WAITING_TURNS
            began = time.monotonic()
            with caplog.at_level(logging.WARNING, LOGGER):
                await talk.reporter.aclose()
            assert time.monotonic() - began < CLOSE_S + 2
    assert [record.message for record in caplog.records] == [
        "turns of the conversation were not reported to Speko"
    ]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_service_that_fails_or_is_gone_keeps_the_newest_turns_alone(
    is_gone: bool, gateway: LocalGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Also in a call that lasts for days: their number, and the length of each, are bounded."""
    gateway.register_session(SESSION)
    gateway.turns.always(Refusal(503, "down"))
    base_url = NOBODY if is_gone else gateway.base_url
    async with Speko(base_url=base_url, api_key=gateway.api_key) as speko:
        talk = Talk(speko)
        with told(FAILED) as failed:
            talk.add("the first turn")
            await within(failed.wait(), 10.0, "the first failure")
            for number in range(MAX_WAITING_TURNS + 500):
                talk.add(f"turn {number} " + "x" * MAX_TURN_CHARS)
            waiting = talk.reporter._waiting
            assert len(waiting) == MAX_WAITING_TURNS
            assert max(len(turn.wire["text"]) for turn in waiting) == MAX_TURN_CHARS
            assert waiting[-1].wire["index"] == MAX_WAITING_TURNS + 500
            closing = asyncio.create_task(talk.reporter.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
    assert [each.message for each in caplog.records if each.name == LOGGER] == [FAILED]


async def test_closing_twice_or_before_the_start_does_nothing(speko: Speko) -> None:
    talk = Talk(speko)
    await talk.reporter.aclose()
    await talk.reporter.aclose()
    talk.add("after the end")
    unused = TurnReporter(speko=speko, session_id=SESSION)
    await unused.aclose()
    for reporter in (talk.reporter, unused):
        with pytest.raises(RuntimeError, match="started or closed already"):
            reporter.start(talk.session)


@pytest.mark.parametrize("session_id", ["", " ", None, 5, "ü"])
async def test_id_that_names_no_session_is_refused(speko: Speko, session_id: Any) -> None:
    with pytest.raises(ValueError, match="TurnReporter: session_id must be"):
        TurnReporter(speko=speko, session_id=session_id)


async def test_client_without_reports_is_refused() -> None:
    with pytest.raises(TypeError, match=r"got object, which has no sessions.report_turns"):
        TurnReporter(speko=object(), session_id=SESSION)
