"""One session in real time: somebody speaks, it is understood, answered and heard."""

from __future__ import annotations

import asyncio
import json
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

from benchmarks._common import API_KEY, INTENT, Gateway
from benchmarks._turn_line import Loudspeaker, Microphone
from benchmarks._turn_setup import CHARACTER_MS, REPLIES, Setup
from benchmarks._turn_speech import FIXTURES, RATE_HZ, Utterance
from livekit_plugins_speko import Speko, SpekoLLM
from livekit_plugins_speko.testing._gateway.waiting import Changes, within

TEXTS: dict[str, str] = json.loads((FIXTURES / "fixtures.json").read_text())
# A turn that takes longer hangs.
TURN_S = 30.0
# Before an utterance: Silero hands half a second of what was before on with it, and a session is
# listening again long before.
SILENCE_S = 0.6
# After the last sound of an utterance with a pause: each half might get a reply of its own.
TWO_REPLIES_S = 2.5


@dataclass(frozen=True)
class Turn:
    """When each thing of one turn happened, in seconds on `time.monotonic`.

    Each time but that of the audio is the last before the audio: of what was really heard.

    Attributes:
        utterance: What was said.
        began_s: When the caller opened their mouth.
        last_sound_s: When the last sound of it was heard.
        vad_end_s: When the session's VAD said that the caller is silent.
        transcript_s: When the session got the transcript that the reply was begun with, be it a
            preflight.
        final_s: When it got the final one.
        token_s: When the model's first token came.
        audio_s: When the first audio left the session.
        over_s: When the reply was over, and nothing else had come for a while.
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
    """What a session reported since the turn began, with times on `time.monotonic`."""

    vad_ends: list[float] = field(default_factory=list)
    # When a transcript came, what it says, whether it is final.
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

    def turn(self, utterance: str, began_s: float, last_sound_s: float, audio_s: float) -> Turn:
        """What the turn came to, of which the caller heard the reply from `audio_s` on."""
        before = [each for each in self.transcripts if each[0] < audio_s]
        final_s, text = next(each[:2] for each in reversed(before) if each[2])
        # The one before the final is what the reply was begun with if it says the same.
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

    def __init__(self, session: AgentSession[None], notes: Notes) -> None:
        self._notes = notes
        self._microphone, self._loudspeaker = Microphone(), Loudspeaker()
        session.input.audio, session.output.audio = self._microphone, self._loudspeaker
        self._heard = Changes()
        self._loudspeaker.on("playback_finished", lambda event: self._heard.notify())

    async def take_turn(self, utterance: Utterance) -> Turn:
        """Be silent, speak, and hear the reply to its end."""
        notes, loudspeaker = self._notes, self._loudspeaker
        notes.clear()
        heard = loudspeaker.finished
        await asyncio.sleep(SILENCE_S)
        began_s, last_sound_s = time.monotonic(), self._microphone.say(utterance)
        whole = self._heard.until(lambda: loudspeaker.finished > heard)
        await within(whole, TURN_S, f"the reply to {utterance.name}")
        if utterance.pause_s:
            await asyncio.sleep(max(0.0, last_sound_s + TWO_REPLIES_S - time.monotonic()))
        return notes.turn(utterance.name, began_s, last_sound_s, loudspeaker.started[-1])


@asynccontextmanager
async def calling(setup: Setup, url: str, detector: vad.VAD) -> AsyncIterator[Call]:
    """A session of this setup, which is listening."""
    async with Speko(base_url=url, api_key=API_KEY) as speko:
        recognizer = setup.stt_adapter(speko, detector)
        voice = setup.tts_adapter(speko)
        session = AgentSession[None](
            stt=recognizer,
            llm=SpekoLLM(speko=speko, intent=INTENT),
            tts=voice,
            vad=detector,
            turn_handling={
                "turn_detection": "vad",
                # The loudspeaker can't pause, and nobody interrupts.
                "interruption": {"mode": "vad", "resume_false_interruption": False},
            },
        )
        notes = Notes()
        session.on("user_input_transcribed", notes.on_transcript)
        session.on("user_state_changed", notes.on_user_state)
        call = Call(session, notes)
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
            transcripts = understood(utterance)
            await asyncio.to_thread(gateway.line, setup.line, transcripts=transcripts)
            turns.append(await call.take_turn(utterance))
    return turns


def understood(utterance: Utterance) -> list[tuple[float, str]]:
    """What the gateway understands by the seconds that it gets: the half of the half."""
    text = TEXTS[utterance.name]
    # The VAD hands on half a second of what was before; the silence after a half counts as well.
    whole_s = 0.5 + utterance.quiet_at / RATE_HZ + utterance.pause_s + 0.25
    return [(0.0, text[: len(text) // 2]), (whole_s, text)]
