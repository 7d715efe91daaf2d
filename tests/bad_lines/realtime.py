"""Three turns with a voice model, the second of them over a bad line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentSession
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko, SpekoRealtimeModel
from livekit_plugins_speko.testing import LocalGateway, RealtimeScript
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.bad_lines.recognition import mend_later
from tests.bad_lines.rows import NOTHING, BadLine, is_expected
from tests.bad_lines.toxiproxy import Line, Toxiproxy
from tests.bad_lines.voice_model import VoiceModel, audio_of, pause, question, reply, utterance
from tests.faults.rows import ALL, shown
from tests.faults.table import Seen
from tests.helpers.realtime_calls import Microphone, Speaker

WITHIN_S = 12.0
TURNS = (1, 2, 3)
# The wires, by the provider that leads to each.
FORMS = {"proxy": "inworld", "xAI": "xai", "Gemini": "google"}
CONN_OPTIONS = APIConnectOptions(max_retry=3, retry_interval=1.0, timeout=2.0)


class Turns:
    """A session with a voice model, over a line.

    Attributes:
        errors: The errors that it reported, as the table shows them.
        finals: The caller's words, as they were understood.
    """

    def __init__(self, session: AgentSession[None], model: VoiceModel) -> None:
        self.errors: list[str] = []
        self.finals: list[str] = []
        self.microphone, self.speaker = Microphone(), Speaker()
        self.session = session
        self._model = model
        self._changes = Changes()
        session.input.audio, session.output.audio = self.microphone, self.speaker
        session.on("error", self._note_error)
        session.on("user_input_transcribed", self._note_words)
        session.on("agent_state_changed", self._note_state)
        session.on("conversation_item_added", lambda _: self._changes.notify())

    @property
    def history(self) -> list[tuple[str, str]]:
        """The conversation."""
        return [(each.role, each.text_content or "") for each in self.session.history.messages()]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a change."""
        await within(self._changes.until(condition), WITHIN_S, what)

    async def replied(self, number: int) -> None:
        """Wait until a turn has its reply, or what there is of it, and the agent listens."""

        def over() -> bool:
            replies = [text for role, text in self.history if role == "assistant"]
            return len(replies) >= number and self.session.agent_state == "listening"

        await self.until(over, f"reply {number}")

    def _note_error(self, event: Any) -> None:
        # The end of a connection has no cause.
        self.errors.append(shown(event.error.error).removesuffix(", NoneType"))
        self._changes.notify()

    def _note_words(self, event: Any) -> None:
        if event.is_final:
            self.finals.append(event.transcript)

    def _note_state(self, event: Any) -> None:
        if event.new_state == "speaking":
            self._model.speaking.set()
        self._changes.notify()


@dataclass(frozen=True)
class Setting:
    """What a row's call is held with."""

    row: BadLine
    gateway: LocalGateway
    line: Line
    turns: Turns

    async def hold(self) -> float:
        """Hold the turns; return how many seconds the second one took."""
        mending = asyncio.create_task(mend_later(self.row, self.gateway.realtime, self.line))
        try:
            return await self._take_turns(mending)
        finally:
            mending.cancel()
            await asyncio.wait([mending])

    async def _take_turns(self, mending: asyncio.Task[None]) -> float:
        turns, microphone, seconds = self.turns, self.turns.microphone, 0.0
        for number in TURNS:
            began = time.perf_counter()
            spoken = utterance(number)
            half = len(spoken) // 4 * 2
            microphone.push(spoken[:half])
            if number == 2 and self.row.at == "in a question":
                heard_s = (TURNS.index(2) + 1) * (len(spoken) + len(pause())) / 48_000 - 0.45
                await self.gateway.realtime.connections[0].wait_for_audio(heard_s)
                await self.row.begin(self.line, "in a question")
            microphone.push(spoken[half:] + pause())
            await turns.replied(number)
            if number == 2:
                seconds = time.perf_counter() - began
                if self.row.at != "start":
                    await self.gateway.realtime.connected(count=2, within_s=WITHIN_S)
                    await mending
        return seconds


@asynccontextmanager
async def _session(
    row: BadLine, form: str, gateway: LocalGateway, line: Line
) -> AsyncIterator[Turns]:
    voice_model = VoiceModel(row, line)
    gateway.realtime.always(RealtimeScript(voice_model))
    async with Speko(base_url=line.base_url, api_key=gateway.api_key) as client:
        model = SpekoRealtimeModel(
            speko=client, provider=FORMS[form], model="voice-1", conn_options=CONN_OPTIONS
        )
        session = AgentSession[None](llm=model, aec_warmup_duration=None)
        turns = Turns(session, voice_model)
        await session.start(agent=Agent(instructions="You are a concierge."))
        try:
            yield turns
        finally:
            await session.aclose()
            await model.aclose()


async def see(row: BadLine, form: str, toxiproxy: Toxiproxy) -> Seen:
    """Hold the turns; return what was understood and heard."""
    async with LocalGateway() as gateway, toxiproxy.line(gateway.base_url) as line:
        await row.prepare(line)
        async with _session(row, form, gateway, line) as turns:
            seconds = await Setting(row, gateway, line, turns).hold()
    return Seen(
        stage="bad_realtime",
        fault=f"{form}: {row.fault}",
        passes=False,
        error=" / ".join(sorted(set(turns.errors))),
        retries=len(turns.errors),
        requests=len(gateway.requests_to("realtime")),
        seconds=seconds,
        heard=_heard(turns),
        note=row.cost,
    )


def _heard(turns: Turns) -> str:
    """Compare the turns with what was said in them."""
    questions, replies = [question(each) for each in TURNS], [reply(each) for each in TURNS]
    told = [text for role, text in turns.history if role == "assistant"]
    asked = [text for role, text in turns.history if role == "user"]
    audio = [audio_of(each) for each in TURNS]
    whole, played = b"".join(audio), turns.speaker.played
    if asked != questions or turns.finals != questions:
        return f"understood {turns.finals}, in the history {asked}"
    if told == replies and played == whole:
        return ALL
    half = len(audio[1]) // 4 * 2
    if played == audio[0] + audio[1][:half] + audio[2] and replies[1].startswith(told[1]):
        return "its first words"
    return f"said {told}, {len(played)} of {len(whole)} bytes heard"


async def check(row: BadLine, form: str, toxiproxy: Toxiproxy) -> Seen:
    """Check a row, and return its outcome."""
    seen = await see(row, form, toxiproxy)
    assert seen.heard == (ALL if row.lost == NOTHING else "its first words"), seen
    assert is_expected(seen.error, row), seen
    assert row.at == "start" or seen.requests > 1
    assert seen.seconds >= row.at_least_s
    return seen
