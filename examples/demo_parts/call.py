"""The call: a caller made of WAV files and an agent session, on a simulated phone line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from livekit.agents import Agent, AgentSession
from livekit.agents.llm import LLM
from livekit.agents.voice.transcription import TranscriptSynchronizer

from livekit_plugins_speko import SpekoRealtimeModel
from livekit_plugins_speko.testing import CallLine

from .notes import Notes, Subtitles
from .screen import Screen
from .turns import Outcome, Turn

REPLY_WITHIN_S = 20.0
REPLY_AT_MOST_S = 60.0
# The caller's pause before the next sentence.
PAUSE_S = 0.7

T = TypeVar("T")


class CallFailed(Exception):
    """The call cannot continue; the text says which event is missing."""


class Call:
    """Runs a call turn by turn. It owns the session from its start to its close."""

    def __init__(
        self,
        session: AgentSession[Any],
        model: LLM[Any] | SpekoRealtimeModel,
        line: CallLine,
        screen: Screen,
    ) -> None:
        """Connect a session that is not started yet with an open line.

        Args:
            session: The session.
            model: Its model, whose metrics or `route` events give the time of each reply's first
                token.
            line: The line.
            screen: Shows the conversation.
        """
        self._session = session
        self._line = line
        self._notes = Notes(session, model, screen, lambda: line.now_s)
        self._subtitles = Subtitles(screen, lambda: line.now_s)
        # Delays the words until they are played, as a room does.
        self._synchronizer = TranscriptSynchronizer(
            next_in_chain_audio=line.output, next_in_chain_text=self._subtitles
        )
        self._outcomes: list[Outcome] = []

    async def start(self, agent: Agent) -> None:
        """Start the session and wait for the end of its greeting.

        Raises:
            CallFailed: There was no greeting.
        """
        self._session.input.audio = self._line.input
        self._session.output.audio = self._synchronizer.audio_output
        self._session.output.transcription = self._synchronizer.text_output
        await self._session.start(agent=agent)
        await self._hear_reply(0.0)
        await self._hear_out(0.0)

    async def take(self, turn: Turn, wav: Path) -> None:
        """Take a turn: say the sentence, then wait for the end of the reply or the next barge-in.

        Raises:
            CallFailed: There was no reply, or it did not end.
        """
        outcome = Outcome(turn)
        barges_in = bool(self._outcomes) and self._outcomes[-1].turn.barge_in_after_s is not None
        if not barges_in:
            await asyncio.sleep(PAUSE_S)
        self._outcomes.append(outcome)
        outcome.started_s = self._line.now_s
        segment = await self._line.say(wav)
        outcome.started_s, outcome.ended_s = segment.started_s, segment.ended_s
        said_s = self._line.now_s if segment.ended_s is None else segment.ended_s
        await self._hear_reply(said_s)
        if turn.barge_in_after_s is not None:
            await asyncio.sleep(turn.barge_in_after_s)
        else:
            await self._hear_out(said_s)

    async def aclose(self) -> None:
        """End the session."""
        await self._session.aclose()
        await self._synchronizer.aclose()

    def outcomes(self) -> list[Outcome]:
        """Assign the notes to the turns that were taken so far."""
        starts = [outcome.started_s or 0.0 for outcome in self._outcomes]
        for outcome, until_s in zip(self._outcomes, [*starts[1:], float("inf")], strict=True):
            self._fill(outcome, until_s)
        return self._outcomes

    def errors(self) -> list[str]:
        """Return the errors that the session reported."""
        return [text for _, text in self._notes.errors]

    def _fill(self, outcome: Outcome, until_s: float) -> None:
        from_s = outcome.started_s or 0.0
        ended_s = outcome.ended_s if outcome.ended_s is not None else from_s
        heard = _between(self._notes.transcripts, from_s, until_s)
        outcome.heard = [text for _, text in heard]
        outcome.transcript_s = heard[-1][0] if heard else None
        outcome.tools = [name for _, name in _between(self._notes.tools, from_s, until_s)]
        outcome.said = [text for _, text in _between(self._subtitles.replies, ended_s, until_s)]
        outcome.end_of_speech_s = _first(self._notes.ends_of_speech, ended_s, until_s)
        outcome.first_token_s = _first(self._notes.first_tokens, ended_s, until_s)
        outcome.reply = next(
            (
                segment
                for segment in self._line.segments
                if segment.speaker == "agent" and ended_s <= segment.started_s < until_s
            ),
            None,
        )

    async def _hear_reply(self, after_s: float) -> None:
        await _within(
            REPLY_WITHIN_S,
            self._line.agent_started_speaking(after_s=after_s),
            f"the agent said nothing for {REPLY_WITHIN_S:.0f} s",
        )

    async def _hear_out(self, after_s: float) -> None:
        await _within(
            REPLY_AT_MOST_S,
            self._until_quiet(after_s),
            f"the agent did not come to an end within {REPLY_AT_MOST_S:.0f} s",
        )

    async def _until_quiet(self, after_s: float) -> None:
        await self._line.agent_finished(after_s=after_s)
        # A tool call can separate two stretches of one reply.
        while self._session.agent_state in ("thinking", "speaking"):
            self._notes.agent_changed.clear()
            await self._notes.agent_changed.wait()


def _between(notes: list[tuple[float, str]], from_s: float, to_s: float) -> list[tuple[float, str]]:
    return [(at_s, fact) for at_s, fact in notes if from_s <= at_s < to_s]


def _first(times: list[float], from_s: float, to_s: float) -> float | None:
    return min((at_s for at_s in times if from_s <= at_s < to_s), default=None)


async def _within(seconds: float, awaitable: Awaitable[T], otherwise: str) -> T:
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        raise CallFailed(otherwise) from None
