"""The planned turns of the call, their outcomes, and the verdicts on them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The command line knows the turns before anything large is imported.
    from livekit_plugins_speko.testing import LineSegment

# From the first sound of a caller who barges in to the agent's silence, in seconds.
LONGEST_BARGE_IN_S = 3.0


@dataclass(frozen=True)
class Turn:
    """One utterance of the caller, and the reaction that it needs."""

    # The name of its WAV among the fixtures.
    name: str
    # The tool that has to be called before the reply.
    tool: str | None = None
    # A part of the reply; None accepts any words.
    expects: str | None = None
    # Seconds of the reply after which the caller barges in; None waits for its end.
    barge_in_after_s: float | None = None


TURNS = (
    Turn("question", expects="demo assistant"),
    Turn("time", tool="get_local_time", expects="in Tokyo"),
    Turn("story", expects="lighthouse", barge_in_after_s=3.0),
    Turn("barge_in", expects="nine to five"),
    Turn("goodbye", expects="Goodbye"),
)


@dataclass
class Outcome:
    """The outcome of a turn. All times are seconds on the clock of the line."""

    turn: Turn
    # The start and the end of the caller's speech; None until then.
    started_s: float | None = None
    ended_s: float | None = None
    # The detection of the end of speech; None without one.
    end_of_speech_s: float | None = None
    # The arrival of the transcript; None without one.
    transcript_s: float | None = None
    # The arrival of the model's first text or tool call; None without one.
    first_token_s: float | None = None
    # The agent's speech; None without a reply.
    reply: LineSegment | None = None
    heard: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    # The reasons for which the turn failed; empty for a success.
    problems: list[str] = field(default_factory=list)

    @property
    def end_of_speech_ms(self) -> float | None:
        """From the end of the caller's speech to its detection by the VAD."""
        return self._after_speech_ms(self.end_of_speech_s)

    @property
    def transcript_ms(self) -> float | None:
        """From the end of the caller's speech to its transcript."""
        return self._after_speech_ms(self.transcript_s)

    @property
    def first_token_ms(self) -> float | None:
        """From the end of the caller's speech to the model's first piece."""
        return self._after_speech_ms(self.first_token_s)

    @property
    def first_audio_ms(self) -> float | None:
        """From the end of the caller's speech to the first sound of the reply."""
        return self._after_speech_ms(self.reply.started_s if self.reply else None)

    def _after_speech_ms(self, at_s: float | None) -> float | None:
        return None if at_s is None or self.ended_s is None else (at_s - self.ended_s) * 1000


def write_latencies(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the latencies of each turn as JSON: milliseconds by name, null for a missing event.

    Args:
        path: The file to write; missing folders are made.
        outcomes: The turns.
    """
    names = ("end_of_speech_ms", "transcript_ms", "first_token_ms", "first_audio_ms")
    waits = {each.turn.name: {name: getattr(each, name) for name in names} for each in outcomes}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(waits, indent=2) + "\n", encoding="utf-8")


def judge(outcome: Outcome, words: str | None) -> list[str]:
    """Find the problems of a turn.

    Args:
        outcome: The turn's outcome.
        words: The caller's words. The local engines must recognise each of them and give the
            planned reply; None accepts any words, for the real service.

    Returns:
        One sentence for each problem.
    """
    turn, problems = outcome.turn, []
    heard, said = " ".join(outcome.heard), " ".join(outcome.said)
    if not _words(heard):
        problems.append("the agent understood nothing")
    elif words is not None and _words(heard) != _words(words):
        problems.append(f'the caller said "{words}", the transcript is "{heard}"')
    if turn.tool is not None and turn.tool not in outcome.tools:
        problems.append(f"the tool {turn.tool} was not called")
    if outcome.reply is None:
        problems.append("no reply was heard")
    elif not _words(said):
        problems.append("the reply has no words")
    elif words is not None and turn.expects is not None and turn.expects not in said:
        problems.append(f'the reply "{said}" does not say "{turn.expects}"')
    return problems


def judge_barge_in(interrupted: Outcome, caller: Outcome) -> list[str]:
    """Find the problems of the agent's reaction to a barge-in.

    Args:
        interrupted: The turn whose reply was being spoken.
        caller: The turn in which the caller barged in.

    Returns:
        One sentence for each problem.
    """
    reply = interrupted.reply
    if reply is None or caller.started_s is None:
        return ["there was no reply to interrupt"]
    if not reply.interrupted or reply.ended_s is None:
        return ["the agent was not stopped by the caller who barged in"]
    late_s = reply.ended_s - caller.started_s
    if late_s > LONGEST_BARGE_IN_S:
        return [f"the agent continued for {late_s:.1f} s after the caller had barged in"]
    if late_s < 0:
        return ["the agent had stopped before the caller barged in"]
    return []


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
