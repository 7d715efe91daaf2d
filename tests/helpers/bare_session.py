"""A realtime session without an agent, on `LocalGateway`, as LiveKit's own checks use one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import function_tool, llm

from livekit_plugins_speko import Speko, SpekoRealtimeModel
from livekit_plugins_speko.testing import LocalGateway, RealtimeConnection, RealtimeScript
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.realtime_calls import INSTRUCTIONS, QUICK, WITHIN_S

# Names of providers whose sessions have each form of the wire.
PROVIDERS = {"proxy": "inworld", "xai": "xai", "google": "google"}
EVENTS = (
    *("input_speech_started", "input_speech_stopped", "input_audio_transcription_completed"),
    *("generation_created", "error"),
)


@function_tool
async def weather(city: str) -> str:
    """Say the weather of a city."""
    return f"rain in {city}"


@dataclass
class HeardReply:
    """All that came of one reply."""

    text: str
    frames: list[rtc.AudioFrame]
    calls: list[llm.FunctionCall]

    @property
    def pcm(self) -> bytes:
        return b"".join(each.data.tobytes() for each in self.frames)


class BareCall:
    """A session without an agent, and what it emits."""

    def __init__(self, session: llm.RealtimeSession[Any], gateway: LocalGateway) -> None:
        self.session, self.gateway = session, gateway
        self.events: list[tuple[str, Any]] = []
        self._changes = Changes()
        self._taken = 0
        for name in EVENTS:
            session.on(name, self._noting(name))

    def _noting(self, name: str) -> Any:
        def note(event: Any) -> None:
            self.events.append((name, event))
            self._changes.notify()

        return note

    def of(self, name: str) -> list[Any]:
        return [event for each, event in self.events if each == name]

    @property
    def names(self) -> list[str]:
        """The names of the events, without repetitions in a row."""
        names = [name for name, _ in self.events]
        return [each for at, each in enumerate(names) if names[at - 1 : at] != [each]]

    @property
    def settings(self) -> dict[str, Any]:
        [request] = self.gateway.requests_to("sessions")
        settings: dict[str, Any] = request.json["s2s"]
        return settings

    async def connection(self) -> RealtimeConnection:
        return await self.gateway.realtime.connected()

    async def until(self, condition: Any, what: str) -> None:
        await within(self._changes.until(condition), WITHIN_S, what)

    async def begun(self) -> llm.GenerationCreatedEvent:
        """The next reply, which has begun."""
        self._taken += 1
        name = "generation_created"
        await self.until(lambda: len(self.of(name)) >= self._taken, f"reply {self._taken}")
        event: llm.GenerationCreatedEvent = self.of(name)[self._taken - 1]
        return event

    async def reply(self) -> HeardReply:
        """The next reply, once it is complete."""
        return await within(read(await self.begun()), WITHIN_S, "the reply's end")


async def read(event: llm.GenerationCreatedEvent) -> HeardReply:
    reply = HeardReply("", [], [])
    async for message in event.message_stream:
        assert await message.modalities == ["audio", "text"]
        reply.frames += [each async for each in message.audio_stream]
        reply.text += "".join([str(each) async for each in message.text_stream])
    reply.calls += [each async for each in event.function_stream]
    return reply


@asynccontextmanager
async def bare(
    gateway: LocalGateway, form: str, *steps: Any, chat_ctx: llm.ChatContext | None = None
) -> AsyncIterator[BareCall]:
    """A bare session that is configured, and connects."""
    gateway.realtime.script(RealtimeScript(steps))
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        model = SpekoRealtimeModel(
            speko=speko, provider=PROVIDERS[form], model="voice-1", conn_options=QUICK
        )
        session = model.session()
        given = BareCall(session, gateway)
        await session._update_session(
            instructions=INSTRUCTIONS, chat_ctx=chat_ctx or llm.ChatContext(), tools=[weather]
        )
        yield given
        await session.aclose()
        await model.aclose()
