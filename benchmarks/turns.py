"""From the caller's last sound to the first sound of the answer, step by step, in whole sessions.

Recorded speech in real time, Silero's VAD, the gateway's set latencies. LiveKit's own adapters
beside this package's, all at once in one process, so that they share what the machine does.

    .venv/bin/python -m benchmarks.turns [--json turns.json]
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeAlias

from livekit.plugins import silero

from benchmarks._common import Gateway, machine, median, p95, parser, print_table, write_json
from benchmarks._turn_call import TEXTS, Turn, hold
from benchmarks._turn_setup import Setup
from benchmarks._turn_speech import NAMES, Utterance, recorded, with_pause

# Each of the five utterances so many times, after one turn that warms up.
TIMES = 4
PAUSE_S = 0.3
# Between the starts of two calls, lest they go in step and one always waits for another.
APART_S = 0.37

LIVEKITS = Setup("LiveKit's", ours=False)
FIRST_WORDS = Setup("first words", first_words="clause")
EAGER = Setup("eager", eager=True)
BOTH = Setup("eager, first words", eager=True, first_words="clause")
HASTY_VAD = Setup("LiveKit's, its VAD at 0.2 s", ours=False, vad_silence_s=0.2)

# The calls of one table each; the first is what the others are compared with.
TABLES = {
    "The reply opens with one clause": (LIVEKITS, FIRST_WORDS, EAGER, BOTH),
    "The reply opens with two clauses": tuple(
        replace(each, reply="two clauses") for each in (LIVEKITS, FIRST_WORDS, BOTH)
    ),
    'The reply opens with "Sure."': tuple(
        replace(each, reply="Sure.") for each in (LIVEKITS, FIRST_WORDS, BOTH)
    ),
}
PAUSED_EAGER = replace(EAGER, pause_s=PAUSE_S)
PAUSED = (
    *(replace(each, pause_s=PAUSE_S) for each in (LIVEKITS, HASTY_VAD)),
    *(PAUSED_EAGER, replace(BOTH, pause_s=PAUSE_S)),
)
ALL = (*itertools.chain(*TABLES.values()), *PAUSED)

# When each thing happened, in milliseconds after the caller's last sound.
STEPS = (
    "recognition asked",
    "transcript",
    "VAD's end",
    "final",
    "first token",
    "synthesis asked",
    "first audio",
)
COUNTS = ("STT", "LLM", "TTS", "TTS thrown away", "finals", "of the whole")

Figures: TypeAlias = dict[str, list[dict[str, Any]]]
"""The steps and counts of each turn, by the setup's line."""


async def measured(gateway: Gateway, at_once: int, times: int) -> Figures:
    """Hold all the calls."""
    silences = {each.vad_silence_s for each in ALL}
    detectors = {each: silero.VAD.load(min_silence_duration=each) for each in silences}
    places = asyncio.Semaphore(at_once)

    async def held(setup: Setup, wait_s: float) -> list[Turn]:
        async with places:
            await asyncio.sleep(wait_s)
            said = list(utterances(setup.pause_s, times))
            return await hold(setup, gateway, detectors[setup.vad_silence_s], said)

    waits = (APART_S * index for index in range(len(ALL)))
    calls = await asyncio.gather(*map(held, ALL, waits))
    figures: Figures = {setup.line: [] for setup in ALL}
    records = gateway.stats()["records"]
    for setup, (_, *turns) in zip(ALL, calls, strict=True):
        mine = [each for each in records if each["line"] == setup.line]
        figures[setup.line] = [figures_of(turn, mine) for turn in turns]
    return figures


def utterances(pause_s: float, times: int) -> Iterator[Utterance]:
    """What is said in one call: one utterance to warm up, then all of them in turn."""
    for name in itertools.chain(NAMES[:1], NAMES * (1 if pause_s else times)):
        yield with_pause(recorded(name), pause_s) if pause_s else recorded(name)


def figures_of(turn: Turn, records: list[dict[str, Any]]) -> dict[str, Any]:
    """The steps and the counts of one turn.

    Args:
        turn: What the session reported.
        records: The requests of its call.
    """
    mine = [each for each in records if turn.began_s <= each["arrived_s"] < turn.over_s]
    heard, _, spoken = of_each_kind = [
        [each for each in mine if each["path"] == f"/v1/{kind}"]
        for kind in ("transcribe", "complete", "synthesize")
    ]
    times = (
        max(each["arrived_s"] for each in heard if each["arrived_s"] < turn.transcript_s),
        turn.transcript_s,
        turn.vad_end_s,
        turn.final_s,
        turn.token_s,
        min(each["arrived_s"] for each in spoken if each["arrived_s"] > turn.token_s),
        turn.audio_s,
    )
    counts = (
        *map(len, of_each_kind),
        # No text stands twice in a reply, and one reply was heard to its end.
        len(spoken) - len({each["text"] for each in spoken}),
        len(turn.finals),
        turn.finals.count(TEXTS[turn.utterance]),
    )
    after_ms = (1e3 * (each - turn.last_sound_s) for each in times)
    steps = dict(zip(STEPS, after_ms, strict=True))
    return {**steps, **dict(zip(COUNTS, counts, strict=True)), "turn": asdict(turn)}


def print_steps(title: str, setups: Sequence[Setup], figures: Figures) -> None:
    """Each setup's steps, and its first audio beside the first setup's."""
    times = len(figures[setups[0].line])
    print(f"{title}: {times} turns each, ms after the caller's last sound, medians\n")
    base = median(column(figures, setups[0], "first audio"))
    rows: list[list[object]] = []
    for setup in setups:
        steps = [median(column(figures, setup, step)) for step in STEPS]
        slow = p95(column(figures, setup, "first audio"))
        shown = (f"{each:.0f}" for each in (base - steps[-1], *steps, slow))
        rows.append([setup.name, steps[-1] / base, *shown])
    print_table(("", "ratio", "ms sooner", *STEPS, "first audio, p95"), rows)


def print_counts(title: str, setups: Sequence[Setup], figures: Figures) -> None:
    """How many requests and final transcripts an utterance costs."""
    print(f"{title}: requests and final transcripts for each utterance, mean\n")
    rows: list[list[object]] = []
    for setup in setups:
        counts = (column(figures, setup, count) for count in COUNTS)
        rows.append([setup.name, *(sum(each) / len(each) for each in counts)])
    print_table(("", *COUNTS), rows)


def column(figures: Figures, setup: Setup, name: str) -> list[float]:
    """One figure of all the turns of a setup."""
    return [turn[name] for turn in figures[setup.line]]


def main() -> None:
    """Measure, and print the tables."""
    command = parser(__doc__)
    command.add_argument("--at-once", type=int, default=len(ALL), help="calls at once")
    command.add_argument("--times", type=int, default=TIMES, help="turns of each utterance")
    options = command.parse_args()
    with Gateway() as gateway:
        figures = asyncio.run(measured(gateway, options.at_once, options.times))
        late_ms = gateway.stats()["late_ms"]
    print(f"{machine()}; the gateway's writes were {late_ms['p95']:.1f} ms late at p95\n")
    for title, setups in TABLES.items():
        print_steps(title, setups, figures)
    plain, *_ = TABLES.values()
    print_counts("An utterance without a pause", plain, figures)
    print_counts(f"An utterance with {PAUSE_S} s of silence put into it", PAUSED, figures)
    write_json(options.json, {"machine": machine(), "late_ms": late_ms, "turns": figures})


if __name__ == "__main__":
    main()
