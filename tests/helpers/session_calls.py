"""Complete sessions on a gateway of their own, faster than real time."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    CloseEvent,
    ErrorEvent,
    llm,
    stt,
    tts,
    vad,
)
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.agent_session import SessionConnectOptions

from livekit_plugins_speko import Speko, SpekoComponents, create_speko_components
from livekit_plugins_speko.testing import LocalGateway, Reply, Transcript
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.session_line import Caller, Ear, say, spoken

WITHIN_S = 60.0  # long enough for a slow machine, short enough to notice a hang

ONCE = APIConnectOptions(max_retry=0, timeout=5.0)
TWICE = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=5.0)
IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.4)
IMPATIENT_TWICE = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=0.4)

# A task of LiveKit's whose error LiveKit never reads.
FORGOTTEN = "AgentActivity.tts_say"

INSTRUCTIONS = "You are a concierge."

# LiveKit's names for the errors of each route's adapter.
ERROR_TYPES = {"transcribe": stt.STTError, "complete": llm.LLMError, "synthesize": tts.TTSError}


class Call:
    """A session with a caller and a listener, a gateway of its own, and its events.

    Attributes:
        errors: Its error events, in order.
        closed: Its close event, when it closed.
        told: What the history must hold by now: (role, text).
    """

    def __init__(self, session: AgentSession[None], gateway: LocalGateway) -> None:
        self.session = session
        self.gateway = gateway
        self.caller, self.ear = Caller(), Ear()
        self.errors: list[ErrorEvent] = []
        self.closed: list[CloseEvent] = []
        self.told: list[tuple[str, str]] = []
        # The agent's turns, and how many of them a test has waited for.
        self._turns: list[SpeechHandle] = []
        self._seen = 0
        self._changes = Changes()
        session.on("error", self.errors.append)
        session.on("close", self.closed.append)
        session.on("speech_created", lambda event: self._note_turn(event.speech_handle))
        session.on("error", self._note)
        session.on("close", self._note)
        session.on("agent_state_changed", self._note)
        session.on("user_state_changed", self._note)

    @property
    def history(self) -> list[tuple[str, str]]:
        messages = self.session.history.messages()
        return [(each.role, each.text_content or "") for each in messages]

    @property
    def final_errors(self) -> int:
        return sum(not each.error.recoverable for each in self.errors)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        await within(self._changes.until(condition), WITHIN_S, what)

    async def turn_over(self, name: str = "") -> None:
        """Wait until the agent has taken one turn more, and listens again."""
        self._seen += 1
        await self.until(self._listens, f"the end of turn {self._seen} ({name})")
        assert len(self._turns) == self._seen

    async def failed(self, times: int, name: str = "") -> None:
        """Wait for so many errors that LiveKit does not retry."""
        await self.until(lambda: self.final_errors >= times, f"final error {times} ({name})")

    async def take_a_turn(self, name: str) -> None:
        """A turn without a fault: recognised, replied to and spoken, completely and once."""
        question, reply = f"Question after {name}.", f"This is the answer after {name}."
        self.gateway.transcribe.script(Transcript(question))
        self.gateway.complete.script(Reply(reply))
        self.caller.speak()
        await self.turn_over(name)
        self.told += [("user", question), ("assistant", reply)]
        assert self.history == self.told, name
        assert self.ear.take() == spoken(reply), name

    def _note(self, event: object) -> None:
        self._changes.notify()

    def _note_turn(self, handle: SpeechHandle) -> None:
        self._turns.append(handle)
        handle.add_done_callback(self._note)

    def _listens(self) -> bool:
        states = (self.session.agent_state, self.session.user_state)
        over = all(handle.done() for handle in self._turns)
        return len(self._turns) >= self._seen and over and states == ("listening", "listening")


@asynccontextmanager
async def calling(
    voice_detector: vad.VAD,
    *,
    conn_options: APIConnectOptions = ONCE,
    max_errors: int = 3,
    base_url: str | None = None,
    through: Callable[[str], AbstractAsyncContextManager[str]] = nullcontext,
    make_client: Callable[..., Any] = Speko,
    agent: Agent | None = None,
    **options: Any,
) -> AsyncIterator[Call]:
    """A call whose voice is `spoken`. After it no request and no connection is left.

    Its client has the gateway's address, or the `base_url`, or the one that is `through` something.
    """
    async with LocalGateway() as gateway:
        gateway.synthesize.use(say)
        direct = gateway.base_url if base_url is None else base_url
        async with (
            through(direct) as url,
            make_client(base_url=url, api_key=gateway.api_key) as speko,
        ):
            components = create_speko_components(
                **{"speko": speko, "vad": voice_detector, "intent": {"language": "en"}, **options}
            )
            session = make_session(components, voice_detector, conn_options, max_errors)
            call = Call(session, gateway)
            session.input.audio, session.output.audio = call.caller, call.ear
            await session.start(agent=agent or Agent(instructions=INSTRUCTIONS))
            try:
                yield call
            finally:
                await session.aclose()
                await components.aclose()
            await gateway.idle(connections=100)  # idle ones are the client's to keep
        await gateway.idle()


def make_session(
    components: SpekoComponents,
    voice_detector: vad.VAD,
    conn_options: APIConnectOptions = ONCE,
    max_errors: int = 3,
    close_timeout_s: float = 0.0,
) -> AgentSession[None]:
    """A session that commits a turn as soon as the caller's speech ends.

    While it closes it waits `close_timeout_s` at most for the caller's last words.
    """
    return AgentSession[None](
        stt=components.stt,
        llm=components.llm,
        tts=components.tts,
        vad=voice_detector,
        turn_handling={
            "turn_detection": "vad",
            "endpointing": {"min_delay": 0.0, "max_delay": 0.0},
            "interruption": {"mode": "vad", "resume_false_interruption": False},
        },
        aec_warmup_duration=None,
        session_close_transcript_timeout=close_timeout_s,
        conn_options=SessionConnectOptions(conn_options, conn_options, conn_options, max_errors),
    )


def assert_nothing_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    """Fail if a task or an exception was dropped unread, in this test or the one before."""
    gc.collect()
    records = caplog.get_records("call") + caplog.get_records("teardown")
    told = [record.getMessage() for record in records]
    marks = ("was destroyed", "never retrieved", "never awaited", "Unclosed", "Unhandled")
    lost = [text for text in told if any(mark in text for mark in marks)]
    assert not [text for text in lost if FORGOTTEN not in text]
