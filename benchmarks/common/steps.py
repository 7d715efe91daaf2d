"""Whole calls of several setups at once, and the steps and counts of each turn."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from livekit.plugins import silero

from benchmarks.common.call import Turn, hold
from benchmarks.common.gateway import Gateway
from benchmarks.common.report import median, p95, print_table
from benchmarks.common.setup import Setup
from benchmarks.common.speech import NAMES, TEXTS, Utterance, recorded, with_pause

# Between the starts of two calls, so that they do not run in step.
APART_S = 0.37

# The times of a turn, in milliseconds after the caller's last sound.
STEPS = (
    "recognition requested",
    "transcript",
    "VAD's end",
    "final",
    "first token",
    "synthesis requested",
    "first audio",
)
COUNTS = ("STT", "LLM", "TTS", "TTS wasted", "finals", "of the whole")

Figures: TypeAlias = dict[str, list[dict[str, Any]]]
"""The steps and counts of each turn, by the setup's line."""


async def measured(gateway: Gateway, setups: Sequence[Setup], times: int) -> Figures:
    """Hold the calls of all setups at once.

    Args:
        gateway: Its process.
        setups: One call each.
        times: How often each utterance is said; one with a pause only once.
    """
    detector = silero.VAD.load()

    async def held(setup: Setup, wait_s: float) -> list[Turn]:
        await asyncio.sleep(wait_s)
        said = list(utterances(setup.pause_s, times))
        return await hold(setup, gateway, detector, said)

    waits = (APART_S * index for index in range(len(setups)))
    calls = await asyncio.gather(*map(held, setups, waits))
    figures: Figures = {setup.line: [] for setup in setups}
    records = gateway.stats()["records"]
    for setup, (_, *turns) in zip(setups, calls, strict=True):
        mine = [each for each in records if each["line"] == setup.line]
        figures[setup.line] = [figures_of(turn, mine) for turn in turns]
    return figures


def utterances(pause_s: float, times: int) -> Iterator[Utterance]:
    """The utterances of one call: one to warm up, then all of them in turn."""
    for name in itertools.chain(NAMES[:1], NAMES * (1 if pause_s else times)):
        yield with_pause(recorded(name), pause_s) if pause_s else recorded(name)


def figures_of(turn: Turn, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the steps and the counts of one turn.

    Args:
        turn: The times that the session reported.
        records: The requests of its call.
    """
    mine = [each for each in records if turn.began_s <= each["arrived_s"] < turn.over_s]
    of_each_kind = [
        [each for each in mine if each["path"] == f"/v1/{kind}"]
        for kind in ("transcribe", "complete", "synthesize")
    ]
    uploads, _, spoken = of_each_kind
    times = {
        "transcript": turn.transcript_s,
        "VAD's end": turn.vad_end_s,
        "final": turn.final_s,
        "first token": turn.token_s,
        "synthesis requested": min(
            each["arrived_s"] for each in spoken if each["arrived_s"] > turn.token_s
        ),
        "first audio": turn.audio_s,
    }
    if uploads:
        times[STEPS[0]] = max(
            each["arrived_s"] for each in uploads if each["arrived_s"] < turn.transcript_s
        )
    counts = (
        *map(len, of_each_kind),
        # No text comes twice in a reply, and one reply was played to its end.
        len(spoken) - len({each["text"] for each in spoken}),
        len(turn.finals),
        turn.finals.count(TEXTS[turn.utterance]),
    )
    steps = {step: 1e3 * (at - turn.last_sound_s) for step, at in times.items()}
    return {**steps, **dict(zip(COUNTS, counts, strict=True)), "turn": asdict(turn)}


def print_steps(
    opening: str, setups: Sequence[Setup], figures: Figures, steps: Sequence[str] = STEPS
) -> None:
    """Print each setup's steps, and its first audio beside the first setup's."""
    turns = len(figures[setups[0].line])
    print(
        f"The reply opens with {opening}: {turns} turns each, ms after the caller's last sound, "
        "medians\n"
    )
    base = median(column(figures, setups[0], "first audio"))
    rows: list[list[object]] = []
    for setup in setups:
        times = [median(column(figures, setup, step)) for step in steps]
        slow = p95(column(figures, setup, "first audio"))
        shown = (f"{each:.0f}" for each in (base - times[-1], *times, slow))
        rows.append([setup.name, times[-1] / base, *shown])
    print_table(("", "ratio", "ms sooner", *steps, "first audio, p95"), rows)


def print_counts(title: str, setups: Sequence[Setup], figures: Figures) -> None:
    """Print how many requests and final transcripts an utterance takes."""
    print(f"{title}: requests and final transcripts for each utterance, mean\n")
    rows: list[list[object]] = []
    for setup in setups:
        counts = (column(figures, setup, count) for count in COUNTS)
        rows.append([setup.name, *(sum(each) / len(each) for each in counts)])
    print_table(("", *COUNTS), rows)


def column(figures: Figures, setup: Setup, name: str) -> list[float]:
    """Return one figure of all the turns of a setup."""
    return [turn[name] for turn in figures[setup.line]]
