"""Many sessions at once on one client: each receives its own words and audio, complete."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from livekit.agents import Agent, stt, vad
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Intent, Speko, create_speko_components
from livekit_plugins_speko.testing import (
    Gate,
    GatewayRequest,
    LocalGateway,
    Reply,
    Speech,
    Transcript,
)
from tests.helpers.session_calls import WITHIN_S, Call, make_session
from tests.helpers.session_line import spoken
from tests.helpers.support import frame, tone

SESSIONS = 25
PATIENT = APIConnectOptions(max_retry=0, timeout=WITHIN_S)

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


def question(name: str, turn: str) -> str:
    return f"I am {name}, and this is turn {turn}."


def sentences(name: str, turn: str) -> list[str]:
    """The reply to a question. Each is long enough to be spoken by itself."""
    return [f"Sentence {each} is only for {name} in turn {turn}." for each in "AB"]


class Service:
    """Engines that respond to each session by its id and its words, a piece at a time.

    Attributes:
        gate: Where the responses stop before their last piece; None lets them run through.
    """

    def __init__(self, gateway: LocalGateway) -> None:
        self.gate: Gate | None = None
        gateway.transcribe.use(self.transcribe)
        gateway.complete.use(self.complete)
        gateway.synthesize.use(self.synthesize)

    async def transcribe(self, request: GatewayRequest, /) -> Transcript:
        words = question(str(request.session_id), "aloud")
        return Transcript(words, interim=self._woven(words.split()))

    async def complete(self, request: GatewayRequest, /) -> Reply:
        asked = re.fullmatch(r"I am (.+), .* turn (.+)\.", request.json["messages"][-1]["content"])
        assert asked is not None and asked[1] == request.session_id
        reply = " ".join(sentences(asked[1], asked[2]))
        return Reply(self._woven(re.findall(r"\s*\S+", reply)))

    async def synthesize(self, request: GatewayRequest, /) -> Speech:
        text = request.json["text"]
        assert f" {request.session_id} " in text
        pcm = spoken(text)
        return Speech(self._woven([pcm[at : at + 1_501] for at in range(0, len(pcm), 1_501)]))

    async def _woven(self, pieces: list[Any]) -> AsyncIterator[Any]:
        """Yield to the other responses between two pieces."""
        for at, piece in enumerate(pieces):
            await asyncio.sleep(0)
            if self.gate is not None and at == len(pieces) - 1:
                yield self.gate
            yield piece


@asynccontextmanager
async def many_calls(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> AsyncIterator[list[tuple[str, Call]]]:
    """The calls, each with its session id; closed in the end."""
    async with AsyncExitStack() as stack:
        calls = []
        for number in range(SESSIONS):
            name = f"caller-{number}"
            components = create_speko_components(
                speko=speko, vad=voice_detector, intent=Intent("en"), session_id=name
            )
            stack.push_async_callback(components.aclose)
            call = Call(make_session(components, voice_detector, PATIENT), gateway)
            stack.push_async_callback(call.session.aclose)
            call.session.input.audio, call.session.output.audio = call.caller, call.ear
            await call.session.start(agent=Agent(instructions="You are a concierge."))
            calls.append((name, call))
        yield calls


async def assert_answered(calls: Iterable[tuple[str, Call]], turn: str) -> None:
    """Each session heard its own reply, complete and once, and keeps it in its history."""
    for name, call in calls:
        await call.turn_over()
        own = sentences(name, turn)
        assert call.ear.take() == b"".join(spoken(each) for each in own), name
        told = [("user", question(name, turn)), ("assistant", " ".join(own))]
        assert call.history == told, name
        assert call.errors == [], name


async def test_sessions_keep_their_replies_apart(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    """Half of the callers speak and half of them type, all at the same time."""
    Service(gateway)
    async with many_calls(gateway, speko, voice_detector) as calls:
        speaking, typing = calls[::2], calls[1::2]
        for _, call in speaking:
            call.caller.speak()
        for name, call in typing:
            call.session.generate_reply(user_input=question(name, "typed"))
        await assert_answered(speaking, "aloud")
        await assert_answered(typing, "typed")


async def test_all_sessions_may_listen_think_and_speak_at_once(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    """No request waits for another session's: three of each session are in flight together."""
    service = Service(gateway)
    gate = service.gate = Gate()
    async with many_calls(gateway, speko, voice_detector) as calls:
        for name, call in calls:
            call.session.generate_reply(user_input=question(name, "typed"))
        await gateway.arrived("synthesize", count=SESSIONS, within_s=WITHIN_S)
        hearing = [asyncio.create_task(recognise(call)) for _, call in calls]
        await gateway.arrived("transcribe", count=SESSIONS, within_s=WITHIN_S)
        assert gateway.in_flight == 3 * SESSIONS
        gate.open()
        await assert_answered(calls, "typed")
        heard = await asyncio.gather(*hearing)
        assert heard == [question(name, "aloud") for name, _ in calls]


async def recognise(call: Call) -> str:
    """Let a session's own STT recognise some sound."""
    adapter = call.session.stt
    assert isinstance(adapter, stt.StreamAdapter)
    sound = frame(tone(rate=16_000))
    event = await adapter.wrapped_stt.recognize(sound, conn_options=PATIENT)
    return event.alternatives[0].text
