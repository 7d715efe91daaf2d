"""Complete sessions whose sentences are each requested before their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from livekit.agents import Agent, CloseReason, FlushSentinel, ModelSettings, llm, vad
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko.testing import (
    Answer,
    Gate,
    Refusal,
    Reply,
    Speech,
    Transcript,
)
from tests.helpers import session_calls
from tests.helpers.session_calls import ONCE, TWICE, Call
from tests.helpers.session_faults import PCM, Broken
from tests.helpers.session_line import spoken
from tests.helpers.tts_adapter_calls import (
    EVERY,
    ONE,
    THREE,
    TWO,
    request_for,
    respond,
    voiced,
)

pytestmark = pytest.mark.usefixtures("nothing_is_lost")

QUESTION, REPLY = "Who are you?", f"{ONE} {TWO} {THREE}"
REFUSED = Refusal(401, "wrong key", "AUTH_ERROR")


@asynccontextmanager
async def calling(voice_detector: vad.VAD, prefetch: int, **options: Any) -> AsyncIterator[Call]:
    """A call whose model replies to every question with `REPLY`, in pieces."""
    ahead = {"prefetch": prefetch}
    async with session_calls.calling(voice_detector, tts_options=ahead, **options) as call:
        call.gateway.transcribe.always(Transcript(QUESTION))
        call.gateway.complete.always(Reply([REPLY[:40], REPLY[40:50], REPLY[50:]]))
        yield call


class Told(NamedTuple):
    """Errors, history and close reasons that a call has reported."""

    errors: list[tuple[str, str, bool, bool]]
    history: list[tuple[str, str]]
    closed: list[CloseReason]

    @classmethod
    def by(cls, call: Call) -> Told:
        errors = [
            (
                type(each.error).__name__,
                f"{type(each.error.error).__name__}: {each.error.error}",
                each.error.recoverable,
                each.source is call.session.tts,
            )
            for each in call.errors
        ]
        return cls(errors, call.history, [each.reason for each in call.closed])


@EVERY
async def test_reply_is_spoken_completely_and_once(voice_detector: vad.VAD, prefetch: int) -> None:
    async with calling(voice_detector, prefetch) as call:
        call.caller.speak()
        await call.turn_over()
        assert call.ear.take() == voiced(ONE, TWO, THREE)
        assert call.history == [("user", QUESTION), ("assistant", REPLY)]
        assert call.errors == []


@pytest.mark.parametrize("conn_options", [ONCE, TWICE], ids=["once", "twice"])
@pytest.mark.parametrize(
    "answer",
    [REFUSED, Refusal(503), Speech(b""), Broken(PCM, spoken(TWO)[:3_000])],
    ids=["refused", "overloaded", "empty", "cut"],
)
async def test_session_handles_a_failed_sentence_alike_with_and_without_prefetch(
    voice_detector: vad.VAD, answer: Answer, conn_options: APIConnectOptions
) -> None:
    """It speaks the sentences before, reports the same error, and continues with the next turn."""
    told: list[Told] = []
    for prefetch in (0, 1):
        async with calling(voice_detector, prefetch, conn_options=conn_options) as call:
            respond(call.gateway, {TWO: answer})
            call.caller.speak()
            await call.turn_over()
            heard = call.ear.take()
            assert heard.startswith(voiced(ONE)) and voiced(ONE, TWO).startswith(heard)
            call.told = call.history
            await call.take_a_turn("the fault")
            told.append(Told.by(call))
    assert told[0] == told[1]
    assert [recoverable for _, _, recoverable, _ in told[0].errors] == [False]


@EVERY
async def test_repeated_failures_close_the_session(voice_detector: vad.VAD, prefetch: int) -> None:
    """One error counts for each reply, however many of its sentences have failed ahead."""
    async with calling(voice_detector, prefetch, max_errors=1) as call:
        respond(call.gateway, dict.fromkeys([ONE, TWO, THREE], REFUSED))
        call.caller.speak()
        await call.turn_over()
        assert (call.final_errors, call.closed) == (1, [])
        call.caller.speak()
        await call.until(lambda: bool(call.closed), "the close")
    assert Told.by(call).closed == [CloseReason.ERROR]
    assert call.final_errors == 2


@pytest.mark.parametrize("prefetch", [1, 9])
async def test_barge_in_cancels_every_sentence(voice_detector: vad.VAD, prefetch: int) -> None:
    async with calling(voice_detector, prefetch) as call:
        gate, understood = Gate(), Gate()
        first = Speech([spoken(ONE)[:3_000], gate])
        respond(call.gateway, {ONE: first, TWO: Speech([gate]), THREE: Speech([gate])})
        call.caller.speak()
        texts = [ONE, TWO, THREE][: 1 + prefetch]
        requests = [await request_for(call.gateway, text) for text in texts]
        await call.until(lambda: call.session.agent_state == "speaking", "the agent's first words")
        call.gateway.transcribe.script(Transcript(QUESTION, interim=["Who", understood]))
        call.caller.speak()
        for request in requests:
            await request.finished()
            assert request.cancelled
        respond(call.gateway, {})
        await call.turn_over("the first words")
        understood.open()
        await call.turn_over("the barge-in")
        assert call.ear.take().endswith(voiced(ONE, TWO, THREE))
        assert call.history[-2:] == [("user", QUESTION), ("assistant", REPLY)]
        assert call.errors == []


class Slow(Agent):
    """Says something, ends the segment, and continues when a gate opens."""

    def __init__(self, gate: asyncio.Event) -> None:
        super().__init__(instructions="Help.")
        self._gate = gate

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterator[str | FlushSentinel]:
        yield "One moment."
        yield FlushSentinel()
        await self._gate.wait()
        yield ONE


@EVERY
async def test_text_before_a_flush_is_spoken_at_once(
    voice_detector: vad.VAD, prefetch: int
) -> None:
    gate = asyncio.Event()
    async with calling(voice_detector, prefetch, agent=Slow(gate)) as call:
        call.caller.speak()
        await request_for(call.gateway, "One moment.")
        await call.until(lambda: call.session.agent_state == "speaking", "the first words")
        gate.set()
        await call.turn_over()
        assert call.ear.take() == voiced("One moment.", ONE)
        assert call.errors == []
