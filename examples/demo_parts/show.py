"""The demo itself: it starts all parts, runs the call, and judges the turns."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from livekit.agents import Agent

from livekit_plugins_speko import parse_wav
from livekit_plugins_speko.testing import CallLine

from .agents import build_cascade, build_speech_to_speech
from .call import Call, CallFailed
from .picture import draw_timeline
from .screen import Screen
from .service import connect
from .turns import Outcome, Turn, judge, judge_barge_in, write_latencies


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    # The folder for the recording and the picture.
    out: Path
    # The folder with a WAV for each turn, and their words in fixtures.json.
    fixtures: Path
    # The turns to take, in their order.
    turns: Sequence[Turn]
    # True to recognise while the caller speaks.
    streaming: bool = False
    # True for a voice model in place of recognition, a text model and synthesis.
    speech_to_speech: bool = False

    @property
    def local(self) -> bool:
        """True without a key of the real service: the local gateway is used."""
        return not os.environ.get("SPEKO_API_KEY")


async def run(options: Options, screen: Screen) -> int:
    """Run the demo.

    Args:
        options: The options of the command line.
        screen: Shows the progress.

    Returns:
        The exit status: 0 if every turn succeeded, else 1.
    """
    try:
        words = read_words(options)
    except ValueError as error:
        screen.problems([str(error)])
        return 1
    async with AsyncExitStack() as stack:
        speko = await connect(stack, screen, local=options.local)
        if options.speech_to_speech:
            answering = build_speech_to_speech(speko, stack)
        else:
            answering = await build_cascade(speko, stack, screen, streaming=options.streaming)
        line = await stack.enter_async_context(CallLine())
        screen.title("The call")
        call = Call(answering.session, answering.model, line, screen)
        problems = await _hold(call, answering.agent, options)
    outcomes = call.outcomes()
    problems += _judge_all(outcomes, words if options.local else None)
    problems += [f"{turn.name}: not reached" for turn in options.turns[len(outcomes) :]]
    problems += call.errors()
    screen.table(outcomes)
    line.save(options.out / "call.wav")
    draw_timeline(options.out / "timeline.svg", line.segments, outcomes)
    write_latencies(options.out / "latencies.json", outcomes)
    screen.files(*(options.out / name for name in ("call.wav", "timeline.svg", "latencies.json")))
    screen.problems(problems)
    if not problems:
        screen.note(f"all {len(outcomes)} turns done")
    return 1 if problems else 0


def read_words(options: Options) -> dict[str, str]:
    """Read the caller's words of each turn, and check that its WAV can be played.

    Raises:
        ValueError: A file is missing or invalid. The text names it.
    """
    path = options.fixtures / "fixtures.json"
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
        for turn in options.turns:
            path = options.fixtures / f"{turn.name}.wav"
            parse_wav(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be used: {error}") from error
    for turn in options.turns:
        if not isinstance(words, dict) or not isinstance(words.get(turn.name), str):
            raise ValueError(f'fixtures.json has no words for "{turn.name}"')
    return dict(words)


async def _hold(call: Call, agent: Agent, options: Options) -> list[str]:
    """Run the call; return the reason for which it ended early, if it did."""
    try:
        await call.start(agent)
        for turn in options.turns:
            await call.take(turn, options.fixtures / f"{turn.name}.wav")
    except CallFailed as failed:
        return [str(failed)]
    finally:
        await call.aclose()
    return []


def _judge_all(outcomes: Sequence[Outcome], words: dict[str, str] | None) -> list[str]:
    """Judge each turn; return the problems of all, with the names of the turns."""
    for before, outcome in zip([None, *outcomes], outcomes, strict=False):
        spoken = None if words is None else words[outcome.turn.name]
        outcome.problems = judge(outcome, spoken)
        if before is not None and before.turn.barge_in_after_s is not None:
            outcome.problems += judge_barge_in(before, outcome)
    return [f"{outcome.turn.name}: {text}" for outcome in outcomes for text in outcome.problems]
