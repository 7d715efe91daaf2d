"""Calls of each kind, whose caller asks, interrupts, types, transfers and hangs up at random."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from livekit.agents import Agent, AgentSession, function_tool, vad
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice.agent_session import SessionConnectOptions

from livekit_plugins_speko import Speko, SpekoRealtimeModel, create_speko_components
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.bad_lines.voice_model import pause, utterance
from tests.helpers.eager_sessions import LEAD, PAUSE, REST, WORDS
from tests.helpers.realtime_calls import Microphone, Speaker
from tests.helpers.session_line import Caller
from tests.helpers.streaming_sessions import LiveCaller

CONN_OPTIONS = APIConnectOptions(max_retry=2, retry_interval=0.05, timeout=0.5)
WAIT_S, CLOSES_WITHIN_S = 3.0, 20.0
MOST_TURNS = 5
FORMS = {"proxy": "inworld", "xai": "xai", "google": "google"}


class Concierge(Agent):
    """An agent that can hand the caller over to another one."""

    def __init__(self) -> None:
        super().__init__(instructions="You are a concierge.")

    @function_tool
    async def transfer(self) -> Agent:
        """Hand the caller over."""
        return Concierge()


class Call:
    """One call: a session with its caller. Each kind says how it is made, and how one speaks.

    Attributes:
        counts: Replies and errors, counted for all calls.
    """

    types = False

    def __init__(self, speko: Speko, detector: vad.VAD, chance: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self.speko, self.detector, self.chance = speko, detector, chance
        self.changes = Changes()
        # True once the session has closed by itself, or the caller has hung up.
        self.is_over = False

    def make(self) -> tuple[AgentSession[None], Any, Callable[[], Awaitable[None]]]:
        """The session, its microphone, and what closes its models."""
        raise NotImplementedError

    def speak(self) -> None:
        """Say an utterance."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """End the call, whatever is under way."""
        self.is_over = True
        self.changes.notify()

    async def hold(self) -> None:
        """Hold the call to its end."""
        self.session, self.microphone, close_models = self.make()
        self.session.input.audio, self.session.output.audio = self.microphone, Speaker()
        self.session.on("error", self._note_error)
        self.session.on("close", self._note_close)
        self.session.on("conversation_item_added", self._note_item)
        self.session.on("agent_state_changed", lambda _: self.changes.notify())
        try:
            await self.session.start(agent=Concierge())
            for _ in range(self.chance.randint(1, MOST_TURNS)):
                if self.is_over:
                    break
                await self._turn()
        finally:
            await asyncio.wait_for(self.session.aclose(), CLOSES_WITHIN_S)
            await asyncio.wait_for(close_models(), CLOSES_WITHIN_S)

    async def _turn(self) -> None:
        """Take a turn of a kind that chance chooses."""
        kinds = [self._ask, self._ask, self._interrupt, self._hand_over, self._hurry]
        await self.chance.choice([*kinds, self._type] if self.types else kinds)()

    async def _ask(self) -> None:
        replies = self.counts["replies"]
        self.speak()
        await self._until(lambda: self.counts["replies"] > replies and self._listens)

    async def _interrupt(self) -> None:
        self.speak()
        await self._until(lambda: self.session.agent_state == "speaking")
        if self.chance.random() < 0.5:
            await self._ask()
        elif not self.is_over:
            await self.session.interrupt()

    async def _hand_over(self) -> None:
        self.session.update_agent(Concierge())
        await self._ask()

    async def _hurry(self) -> None:
        """Speak, and wait for nothing: what comes next finds the turn under way."""
        self.speak()
        await asyncio.sleep(self.chance.random() * 0.3)

    async def _type(self) -> None:
        replies = self.counts["replies"]
        try:
            self.session.generate_reply(user_input="A table for two, please.")
        except RuntimeError:  # LiveKit takes nothing while an agent leaves
            self.counts["refused"] += 1
            return
        await self._until(lambda: self.counts["replies"] > replies and self._listens)

    @property
    def _listens(self) -> bool:
        return self.session.agent_state == "listening"

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait, but not for what a fault may have made impossible."""
        try:
            over = self.changes.until(lambda: condition() or self.is_over)
            await within(over, WAIT_S, "a change")
        except TimeoutError:
            self.counts["given up"] += 1

    def _note_error(self, event: Any) -> None:
        self.counts["errors"] += 1

    def _note_close(self, event: Any) -> None:
        self.hang_up()

    def _note_item(self, event: Any) -> None:
        self.counts["replies"] += getattr(event.item, "role", "") == "assistant"
        self.changes.notify()


class Cascade(Call):
    """Recognition, model and synthesis over HTTP, faster than real time."""

    types = True
    stt_options: dict[str, Any] = {}

    def make(self) -> tuple[AgentSession[None], Any, Callable[[], Awaitable[None]]]:
        components = create_speko_components(
            speko=self.speko,
            vad=self.detector,
            intent={"language": "en"},
            stt_options={**self.stt_options, "eager": self.chance.random() < 0.5},
        )
        session = AgentSession[None](
            stt=components.stt,
            llm=components.llm,
            tts=components.tts,
            vad=self.detector,
            turn_handling={
                "turn_detection": "vad",
                "endpointing": {"min_delay": 0.0, "max_delay": 0.0},
                "interruption": {"mode": "vad", "resume_false_interruption": False},
            },
            aec_warmup_duration=None,
            session_close_transcript_timeout=0.0,
            conn_options=SessionConnectOptions(CONN_OPTIONS, CONN_OPTIONS, CONN_OPTIONS, 3),
        )
        return session, self._caller(), components.aclose

    def _caller(self) -> Caller:
        return Caller()

    def speak(self) -> None:
        self.microphone.speak()


class Streaming(Cascade):
    """The same with recognition that streams, in real time."""

    stt_options = {"streaming": True}

    def _caller(self) -> Caller:
        return LiveCaller()

    def speak(self) -> None:
        self.microphone.say(LEAD, WORDS, PAUSE, REST)


class Realtime(Call):
    """A voice model, in one of its forms."""

    form = "proxy"

    def make(self) -> tuple[AgentSession[None], Any, Callable[[], Awaitable[None]]]:
        model = SpekoRealtimeModel(
            speko=self.speko, provider=FORMS[self.form], model="m", conn_options=CONN_OPTIONS
        )
        session = AgentSession[None](llm=model, aec_warmup_duration=None)
        return session, Microphone(), model.aclose

    def speak(self) -> None:
        self.microphone.push(utterance(self.chance.randint(1, 5)) + pause())


class Xai(Realtime):
    """xAI's wire."""

    form = "xai"


class Google(Realtime):
    """Gemini's wire."""

    form = "google"


KINDS: tuple[type[Call], ...] = (Cascade, Streaming, Realtime, Xai, Google)
