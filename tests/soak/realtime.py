"""Calls with voice models in each form of the wire, several at a time, and what they leave."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko, SpekoRealtimeModel
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.gateway_realtime import FORMS
from tests.helpers.realtime_calls import Microphone, Speaker, speech
from tests.soak.sample import Sample

TURNS_A_CALL = 10
AT_ONCE = len(FORMS)
TURN_WITHIN_S = 12.0
# Names of providers whose sessions have each form of the wire.
PROVIDERS = {"proxy": "inworld", "xai": "xai", "google": "google"}
CONN_OPTIONS = APIConnectOptions(max_retry=3, retry_interval=0.02, timeout=5.0)


@function_tool
async def get_time() -> str:
    """Say the time."""
    await asyncio.sleep(0.01)
    return "noon"


class _Call:
    """One caller's session, and a count of the times that its turn was over."""

    def __init__(self, model: SpekoRealtimeModel) -> None:
        self.session = AgentSession[None](llm=model, aec_warmup_duration=None)
        self.microphone, self.speaker = Microphone(), Speaker()
        self.is_closed = False
        self._changes = Changes()
        # How often the agent began to listen, or a session of the service began anew.
        self._ends = 0
        self.session.input.audio, self.session.output.audio = self.microphone, self.speaker
        self.session.on("agent_state_changed", self._on_state)
        self.session.on("close", self._on_close)

    async def start(self) -> None:
        await self.session.start(agent=Agent(instructions="Be brief.", tools=[get_time]))
        activity = self.session._activity
        assert activity is not None and activity.realtime_llm_session is not None
        activity.realtime_llm_session.on("session_reconnected", self._note_end)

    async def take_a_turn(self, interrupt_after_s: float | None) -> None:
        """Speak, and wait until the agent listens again; perhaps cut it off first."""
        ends = self._ends
        self.microphone.push(speech(0.1))
        if interrupt_after_s is not None:
            await asyncio.sleep(interrupt_after_s)
            await self.session.interrupt()
            return

        def is_over() -> bool:
            listens = self.session.agent_state == "listening" and self._ends > ends
            return listens or self.is_closed

        await within(self._changes.until(is_over), TURN_WITHIN_S, "the end of a turn")

    def _on_state(self, event: Any) -> None:
        if event.new_state == "listening":
            self._note_end()
        self._changes.notify()

    def _on_close(self, event: Any) -> None:
        self.is_closed = True
        self._changes.notify()

    def _note_end(self, *_: Any) -> None:
        self._ends += 1
        self._changes.notify()


class RealtimeSoak:
    """Rounds of calls on one client: one call in each form of the wire at a time.

    Attributes:
        ends: How often calls were left in which way.
    """

    def __init__(self, speko: Speko, seed: int) -> None:
        """Prepare calls whose turns are chosen by the service, and interruptions by `seed`."""
        self.ends: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._reports = 0
        self._threads = threading.active_count()
        self._models = [
            SpekoRealtimeModel(
                speko=speko, provider=PROVIDERS[form], model="m", conn_options=CONN_OPTIONS
            )
            for form in FORMS
        ]

    async def run(self, turns: int) -> AsyncIterator[Sample]:
        """Yield a sample after each round."""
        asyncio.get_running_loop().set_exception_handler(self._report)
        a_round = AT_ONCE * TURNS_A_CALL
        for number in range(1, -(-turns // a_round) + 1):
            await asyncio.gather(*(self._call(model) for model in self._models))
            await self._settle()
            yield Sample.take(number * a_round, self._reports)

    async def aclose(self) -> None:
        """Close the models."""
        for model in self._models:
            await model.aclose()

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._reports += 1

    async def _call(self, model: SpekoRealtimeModel) -> None:
        call = _Call(model)
        await call.start()
        for _ in range(TURNS_A_CALL):
            cut = self._chance.random() < 0.15
            await call.take_a_turn(self._chance.random() * 0.3 if cut else None)
            self.ends["cut" if cut else "listened"] += 1
        if self._chance.random() < 0.5:  # the caller leaves in the middle of a turn
            call.microphone.push(speech(0.1))
            await asyncio.sleep(self._chance.random() * 0.1)
        self.ends["closed" if call.is_closed else "left"] += 1
        await call.session.aclose()

    async def _settle(self) -> None:
        """Wait for the tasks and threads that are about to end."""
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left, timeout=1)
        for _ in range(100):
            if threading.active_count() <= self._threads:
                break
            await asyncio.sleep(0.01)
