"""A call with a voice model on `LocalGateway`, and the moments in which a fault may come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from livekit.agents import Agent, AgentSession, APIError, function_tool
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice.transcription.synchronizer import TranscriptSynchronizer

from livekit_plugins_speko import Speko, SpekoRealtimeModel
from livekit_plugins_speko.realtime.session import SpekoRealtimeSession
from livekit_plugins_speko.testing import LocalGateway, ToolCall
from livekit_plugins_speko.testing._gateway.frames import FrameKind
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.faults.realtime.service import (
    CUT,
    FIRST,
    NAMES,
    NEXT,
    RATE_HZ,
    WITHIN_S,
    Service,
    agent,
    reply,
    user,
    voice,
)
from tests.helpers.realtime_calls import INSTRUCTIONS, Microphone, Speaker

QUICK = APIConnectOptions(max_retry=2, retry_interval=0.05, timeout=5.0)
TICK_S = 0.005
ENDS_WITHIN_S = 10.0  # what a caller may have to wait, after any fault
# Names of providers whose sessions have each form of the wire.
PROVIDERS = {"proxy": "inworld", "xai": "xai", "google": "google"}
# What requests a reply that no words of the caller lead to.
ASKED_BY: Mapping[str, FrameKind] = {"proxy": "commit", "xai": "instructions", "google": "text"}
# A reply that is cut off, and the word that nobody hears of it.
LONG_S = 2.0
STORY, UNHEARD = "Once upon a time there lived a king in a castle by the sea.", "sea"


def tool_call(call_id: str = "call-1", **fields: Any) -> ToolCall:
    return ToolCall(**{"name": "get_time", "args": "{}", "id": call_id, **fields})


class Tool:
    """A tool that runs until a row ends it.

    Attributes:
        started: Set with each run.
        may_end: Set to end it.
        runs: How often it was run.
        result: What it returns, or raises.
    """

    def __init__(self) -> None:
        self.started, self.may_end = asyncio.Event(), asyncio.Event()
        self.runs = 0
        self.result: str | Exception = "noon"

    def agent(self) -> Agent:
        @function_tool
        async def get_time() -> str:
            """Say the time."""
            self.runs += 1
            self.started.set()
            await self.may_end.wait()
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

        return Agent(instructions=INSTRUCTIONS, tools=[get_time])


class Call:
    """A session with a caller and a loudspeaker, and all that it reports.

    Attributes:
        form: The form of the wire.
        told: What the history must begin with: (role, text).
        silent_after_s: Time from an interruption until the reply was silent. None without one.
    """

    def __init__(
        self, session: AgentSession[None], gateway: LocalGateway, service: Service, form: str
    ) -> None:
        self.session, self.gateway, self.service = session, gateway, service
        self.form = form
        self.microphone, self.speaker, self.tool = Microphone(), Speaker(), Tool()
        self.changes = Changes()
        self.errors: list[Any] = []
        self.closed: list[Any] = []
        self.lines: list[Any] = []
        self.told: list[tuple[str, str]] = []
        self.silent_after_s: float | None = None
        for name, into in (
            ("error", self.errors),
            ("close", self.closed),
            ("user_input_transcribed", self.lines),
        ):
            session.on(name, into.append)  # type: ignore[arg-type]
        for name in (
            *("error", "close", "agent_state_changed", "user_state_changed"),
            *("conversation_item_added", "user_input_transcribed"),
        ):
            session.on(name, lambda _: self.changes.notify())  # type: ignore[arg-type]

    @property
    def realtime(self) -> SpekoRealtimeSession:
        activity = self.session._activity
        assert activity is not None
        assert isinstance(activity.realtime_llm_session, SpekoRealtimeSession)
        return activity.realtime_llm_session

    @property
    def history(self) -> list[tuple[str, str]]:
        return [(each.role, each.text_content or "") for each in self.session.history.messages()]

    @property
    def lines_said(self) -> list[str]:
        """The caller's lines, interim ones too: Gemini's have no final until the reply."""
        return [each.transcript for each in self.lines]

    @property
    def prompts(self) -> list[str]:
        """The system prompt of each session of the service."""
        requests = self.gateway.requests_to("sessions")
        return [request.json["s2s"].get("systemPrompt", "") for request in requests]

    @property
    def failure(self) -> APIError | None:
        """The last error that was reported."""
        return self.errors[-1].error.error if self.errors else None

    def heard(self) -> list[tuple[int, float]]:
        """What was played: the kinds of audio, each with its seconds."""
        samples = np.frombuffer(self.speaker.played, "<i2")
        starts = np.flatnonzero(np.diff(samples, prepend=0))
        sizes = np.diff(starts, append=samples.size)
        return [
            (int(samples[start]), round(int(size) / RATE_HZ, 3))
            for start, size in zip(starts, sizes, strict=True)
        ]

    def seconds_of(self, kind: int) -> float:
        return sum(seconds for each, seconds in self.heard() if each == kind)

    async def until(self, condition: Any, what: str = "a change") -> None:
        await within(self.changes.until(condition), WITHIN_S, what)

    async def until_state(self, state: str) -> None:
        await self.until(lambda: self.session.agent_state == state, f"state {state}")

    async def until_said(self, text: str) -> None:
        await self.until(lambda: self.history[-1:] == [("assistant", text)], f"'{text}' said")
        await self.until_state("listening")

    async def until_heard(self, kind: int, seconds: float = 0.1) -> None:
        """Wait until the caller has heard so much: the loudspeaker plays in real time."""
        await self.until_state("speaking")
        await within(
            polled(lambda: self.seconds_of(kind) >= seconds), WITHIN_S, f"{NAMES[kind]} audio"
        )

    async def take_a_turn(self, question: str, said: str, kind: int) -> None:
        """A turn without a fault: the caller's audio arrives, the reply is heard whole, once."""
        await self.service.connected()
        before = self.heard()
        connection = self.service.connections[-1]
        size = connection.audio_bytes
        self.microphone.push(voice(500, 0.1))
        await connection.audio_arrived(size + 1)
        await self.service.play(user(question), reply(said, kind))
        await self.until_said(said)
        self.told += [("user", question), ("assistant", said)]
        assert self.heard() == [*before, (kind, 0.1)], [NAMES.get(each) for each, _ in self.heard()]
        assert self.history[-2:] == self.told[-2:]

    # The moments.

    async def greet(self) -> None:
        """A first turn, of which each later session of the service must know."""
        await self.take_a_turn("What time is it?", "It is noon.", FIRST)

    async def ask(self) -> None:
        """The caller has asked, and no reply has begun."""
        await self.greet()
        await self.service.play(user("Tell me a story."))
        await self.until(lambda: "Tell me a story." in self.lines_said, "the line")

    async def hear_a_part(self, seconds: float = 0.5) -> None:
        """A reply is under way, and its beginning was heard."""
        await self.ask()
        await self.service.play(agent("Once upon"), voice(CUT, seconds))
        await self.until_heard(CUT)

    async def hear_the_last_part(self) -> None:
        """A reply is complete, and still played."""
        await self.ask()
        await self.service.play(reply("Once upon a time.", CUT, 0.5))
        await self.until_heard(CUT)

    async def hear_a_story(self) -> None:
        """A long reply is under way, of which the caller has heard the first word."""
        await self.ask()
        await self.service.play(agent(STORY), voice(CUT, LONG_S))
        await self.until_heard(CUT, 0.3)

    async def run_a_tool(self, **fields: Any) -> None:
        """A tool runs."""
        await self.greet()
        await self.service.play(user("And in Rome?"), tool_call(**fields))
        await within(self.tool.started.wait(), WITHIN_S, "the tool")

    async def have_a_result(self) -> None:
        """The model has a tool's result, and has not replied to it."""
        await self.run_a_tool()
        self.tool.may_end.set()
        await self.service.connections[-1].arrived("tool_result")

    async def until_silent(self) -> None:
        """Wait until the loudspeaker is silent."""
        await within(polled(lambda: self.speaker.is_silent), WITHIN_S, "silence")

    async def until_asked(self) -> None:
        """Wait until the latest connection is asked for a reply, in its form of the wire."""
        await self.service.connections[-1].arrived(ASKED_BY[self.form])

    async def reply_to_the_result(self) -> None:
        """The model replies to a tool's result."""
        await self.service.play(reply("Noon there too.", FIRST))
        await self.until_said("Noon there too.")

    async def settle(self, connections: int, *, closes: bool) -> None:
        """Wait until the agent listens on its last connection, or the session is closed."""

        def is_over() -> bool:
            is_new = len(self.service.connections) >= connections
            listens = is_new and self.session.agent_state == "listening"
            return bool(self.closed) or (listens and not closes)

        await within(polled(is_over), ENDS_WITHIN_S, "the end of the row")

    async def prove(self) -> None:
        """The next turn is whole."""
        await self.take_a_turn("What day is it?", "It is Monday.", NEXT)


async def polled(condition: Callable[[], bool]) -> None:
    """Wait for something of which no event tells, as a loudspeaker's position."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


class Lateness:
    """How late the event loop is: on a busy machine it is not run in time."""

    def __init__(self) -> None:
        # Sum of it since the beginning, in seconds.
        self.total_s = 0.0

    async def __aenter__(self) -> Lateness:
        self._task = asyncio.create_task(self._watch(), name="lateness")
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_S)
            self.total_s += max(0.0, time.perf_counter() - began - TICK_S)


@asynccontextmanager
async def calling(
    gateway: LocalGateway,
    service: Service,
    *,
    form: str,
    options: Mapping[str, Any],
    synchronized: bool = True,
) -> AsyncIterator[Call]:
    """A session with a voice model; after it no connection is left.

    Args:
        gateway: The service.
        service: What plays on its connections.
        form: The form of the wire.
        options: Options of the model.
        synchronized: True if its words follow the audio, as in a room.
    """
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        settings = {"provider": PROVIDERS[form], "model": "voice-1", "conn_options": QUICK}
        model = SpekoRealtimeModel(speko=speko, **{**settings, **options})
        session = AgentSession[None](llm=model, aec_warmup_duration=None)
        call = Call(session, gateway, service, form)
        synchronizer = TranscriptSynchronizer(
            next_in_chain_audio=call.speaker, next_in_chain_text=None
        )
        session.input.audio = call.microphone
        session.output.audio = synchronizer.audio_output if synchronized else call.speaker
        session.output.transcription = synchronizer.text_output if synchronized else None
        await session.start(agent=call.tool.agent())
        try:
            yield call
        finally:
            call.tool.may_end.set()  # LiveKit waits for it
            await session.aclose()
            await model.aclose()
            await synchronizer.aclose()
        await gateway.idle(connections=100)  # idle ones are the client's to keep
    await gateway.idle()
