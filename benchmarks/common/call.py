"""One call in real time: an `AgentSession` between a microphone and a loudspeaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import (
    Agent,
    AgentSession,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
    vad,
)
from livekit.agents.voice import ModelSettings

from benchmarks.common.gateway import API_KEY, INTENT, Gateway
from benchmarks.common.line import Loudspeaker, Microphone
from benchmarks.common.setup import CHARACTER_MS, REPLIES, Setup
from benchmarks.common.speech import Utterance
from livekit_plugins_speko import Speko, SpekoLLM

# A turn that takes longer hangs.
TURN_S = 30.0
# Before an utterance: longer than the silence that Silero hands on with it, and long enough for the
# session to listen again.
SILENCE_S = 0.6
# After the last sound of an utterance with a pause: each half might get a reply of its own.
TWO_REPLIES_S = 2.5


@dataclass(frozen=True)
class Turn:
    """The times of one turn, in seconds on `time.monotonic`.

    Each time but that of the audio is the last before the audio: of the reply that was played.

    Attributes:
        utterance: Name of the recording.
        began_s: When the utterance began.
        last_sound_s: When its last sound was spoken.
        vad_end_s: When the session's VAD reported the end of speech.
        transcript_s: When the session got the transcript that the reply was begun with, a preflight
            or the final one.
        final_s: When it got the final one.
        token_s: When the model's first token came.
        audio_s: When the first audio left the session.
        over_s: When the reply was complete, and a second one would have come.
        finals: The final transcripts.
    """

    utterance: str
    began_s: float
    last_sound_s: float
    vad_end_s: float
    transcript_s: float
    final_s: float
    token_s: float
    audio_s: float
    over_s: float
    finals: tuple[str, ...]


@dataclass
class Notes:
    """The session's reports since the turn began, with times on `time.monotonic`."""

    vad_ends: list[float] = field(default_factory=list)
    # When a transcript came, its text, True for a final one.
    transcripts: list[tuple[float, str, bool]] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)

    def on_transcript(self, event: UserInputTranscribedEvent) -> None:
        self.transcripts.append((time.monotonic(), event.transcript, event.is_final))

    def on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "listening":
            self.vad_ends.append(time.monotonic())

    def clear(self) -> None:
        for each in (self.vad_ends, self.transcripts, self.tokens):
            each.clear()

    def has_final(self, *, before_s: float) -> bool:
        return any(final and at < before_s for at, _, final in self.transcripts)

    def turn(self, utterance: str, began_s: float, last_sound_s: float, audio_s: float) -> Turn:
        """Sum the turn up, whose reply was played from `audio_s` on."""
        before = [each for each in self.transcripts if each[0] < audio_s]
        final_s, text = next(each[:2] for each in reversed(before) if each[2])
        # The reply was begun with the one before the final if it has the same text.
        early = [each for each in before if not each[2]][-1:]
        return Turn(
            utterance=utterance,
            began_s=began_s,
            last_sound_s=last_sound_s,
            vad_end_s=max(each for each in self.vad_ends if each < audio_s),
            transcript_s=early[0][0] if early and early[0][1] == text else final_s,
            final_s=final_s,
            token_s=max(each for each in self.tokens if each < audio_s),
            audio_s=audio_s,
            over_s=time.monotonic(),
            finals=tuple(text for _, text, final in self.transcripts if final),
        )


class NotingAgent(Agent):
    """An agent that notes when the first token of each reply comes."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(instructions="You are a concierge.")
        self._notes = notes

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterator[Any]:
        first = True
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            if first:
                self._notes.tokens.append(time.monotonic())
                first = False
            yield chunk


class Call:
    """A session with its two ends."""

    def __init__(self, name: str, session: AgentSession[None], notes: Notes) -> None:
        # For errors.
        self._name = name
        self._notes = notes
        self._microphone, self._loudspeaker = Microphone(), Loudspeaker()
        session.input.audio, session.output.audio = self._microphone, self._loudspeaker

    async def take_turn(self, utterance: Utterance) -> Turn:
        """Be silent, speak, and listen to the reply to its end."""
        loudspeaker = self._loudspeaker
        self._notes.clear()
        await asyncio.sleep(SILENCE_S)
        began_s, last_sound_s = time.monotonic(), self._microphone.say(utterance)
        try:
            await asyncio.wait_for(self._reply(), TURN_S)
        except asyncio.TimeoutError:
            raise RuntimeError(
                f"{self._name}: no reply to {utterance.name} in {TURN_S:g} s. The caller began at "
                f"{began_s}, replies began at {loudspeaker.started}, the session reported "
                f"{self._notes}"
            ) from None
        if utterance.pause_s:
            await asyncio.sleep(max(0.0, last_sound_s + TWO_REPLIES_S - time.monotonic()))
        return self._notes.turn(utterance.name, began_s, last_sound_s, loudspeaker.started[-1])

    async def _reply(self) -> None:
        """Wait for a reply to this turn, and not for a late one to the turn before."""
        finished, started = self._loudspeaker.finished, self._loudspeaker.started
        finished.clear()
        while not finished.is_set():
            await finished.wait()
            if not self._notes.has_final(before_s=started[-1]):
                finished.clear()


@asynccontextmanager
async def calling(setup: Setup, url: str, detector: vad.VAD) -> AsyncIterator[Call]:
    """Start a session of this setup, which listens inside the block."""
    async with Speko(base_url=url, api_key=API_KEY) as speko:
        recognizer = setup.stt_adapter(speko, detector)
        voice = setup.tts_adapter(speko)
        session = AgentSession[None](
            stt=recognizer,
            llm=SpekoLLM(speko=speko, intent=INTENT),
            tts=voice,
            vad=detector,
            turn_handling=setup.turn_handling(),
        )
        notes = Notes()
        session.on("user_input_transcribed", notes.on_transcript)
        session.on("user_state_changed", notes.on_user_state)
        call = Call(setup.line, session, notes)
        await session.start(agent=NotingAgent(notes))
        try:
            yield call
        finally:
            await session.aclose()
            await recognizer.aclose()
            await voice.aclose()


async def hold(
    setup: Setup, gateway: Gateway, detector: vad.VAD, utterances: list[Utterance]
) -> list[Turn]:
    """Hold a whole call, one turn for each utterance."""
    settings = {"reply": REPLIES[setup.reply], "character_ms": CHARACTER_MS}
    url = await asyncio.to_thread(gateway.line, setup.line, **settings)
    turns: list[Turn] = []
    async with calling(setup, url, detector) as call:
        for utterance in utterances:
            said = {"transcripts": utterance.transcripts(), "words": utterance.words()}
            await asyncio.to_thread(gateway.line, setup.line, **said)
            turns.append(await call.take_turn(utterance))
    return turns
