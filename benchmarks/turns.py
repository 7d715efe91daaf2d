"""From the caller's last sound to the first sound of the reply, step by step, in whole sessions.

Recorded speech in real time, Silero's VAD, the gateway's set latencies. LiveKit's own adapters
beside this package's, all at once in one process, so that they share the machine's noise.

    .venv/bin/python -m benchmarks.turns [--times 2] [--json FILE]
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeAlias

from livekit.plugins import silero

from benchmarks.common.call import Turn, hold
from benchmarks.common.gateway import Gateway
from benchmarks.common.report import (
    Aim,
    machine,
    median,
    p95,
    parser,
    print_table,
    write_json,
)
from benchmarks.common.setup import Setup
from benchmarks.common.speech import NAMES, TEXTS, Utterance, recorded, with_pause

PAUSE_S = 0.3
# Between the starts of two calls, so that they do not run in step.
APART_S = 0.37

LIVEKITS = Setup("LiveKit's", ours=False)
FIRST_WORDS = Setup("first words", first_words="clause")
EAGER = Setup("eager", eager=True)
BOTH = Setup("eager, first words", eager=True, first_words="clause")

# The calls of one table each, by the reply's opening; the others are compared with the first.
TABLES = {
    "one clause": (LIVEKITS, EAGER),
    "two clauses": tuple(replace(e, reply="two clauses") for e in (LIVEKITS, FIRST_WORDS, BOTH)),
    '"Sure."': tuple(replace(e, reply="Sure.") for e in (LIVEKITS, FIRST_WORDS, BOTH)),
}
PAUSED = tuple(replace(each, pause_s=PAUSE_S) for each in (LIVEKITS, EAGER))
ALL = (*itertools.chain(*TABLES.values()), *PAUSED)

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


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    turns: Figures = figures["turns"]

    def first_audio(setup: Setup) -> float:
        return median(column(turns, setup, "first audio"))

    one, two, sure = TABLES.values()
    livekits_ms, eager_ms = first_audio(one[0]), first_audio(EAGER)
    yield Aim("last sound to first audio, eager, over LiveKit's", 0.78, eager_ms / livekits_ms)
    yield Aim("the same, ms later than LiveKit's", -330, eager_ms - livekits_ms)
    ratio = first_audio(two[-1]) / first_audio(two[0])
    yield Aim("the same, eager and first words, a first sentence of two clauses", 0.74, ratio)
    ratio = first_audio(sure[1]) / first_audio(sure[0])
    yield Aim('the same, first words alone, a reply that opens with "Sure."', 0.9, ratio)
    for count in ("STT", "LLM", "finals"):
        most = max(column(turns, EAGER, count))
        yield Aim(f"an utterance without a pause, eager: {count}", 1, most)
    for count, goal in (("finals", 1), ("TTS wasted", 0)):
        most = max(column(turns, PAUSED[-1], count))
        yield Aim(f"an utterance with a pause, eager: {count}", goal, most)


async def measured(gateway: Gateway, times: int) -> Figures:
    """Hold all the calls at once."""
    detector = silero.VAD.load()

    async def held(setup: Setup, wait_s: float) -> list[Turn]:
        await asyncio.sleep(wait_s)
        said = list(utterances(setup.pause_s, times))
        return await hold(setup, gateway, detector, said)

    waits = (APART_S * index for index in range(len(ALL)))
    calls = await asyncio.gather(*map(held, ALL, waits))
    figures: Figures = {setup.line: [] for setup in ALL}
    records = gateway.stats()["records"]
    for setup, (_, *turns) in zip(ALL, calls, strict=True):
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
    recognized, _, spoken = of_each_kind = [
        [each for each in mine if each["path"] == f"/v1/{kind}"]
        for kind in ("transcribe", "complete", "synthesize")
    ]
    times = (
        max(each["arrived_s"] for each in recognized if each["arrived_s"] < turn.transcript_s),
        turn.transcript_s,
        turn.vad_end_s,
        turn.final_s,
        turn.token_s,
        min(each["arrived_s"] for each in spoken if each["arrived_s"] > turn.token_s),
        turn.audio_s,
    )
    counts = (
        *map(len, of_each_kind),
        # No text comes twice in a reply, and one reply was played to its end.
        len(spoken) - len({each["text"] for each in spoken}),
        len(turn.finals),
        turn.finals.count(TEXTS[turn.utterance]),
    )
    after_ms = (1e3 * (each - turn.last_sound_s) for each in times)
    steps = dict(zip(STEPS, after_ms, strict=True))
    return {**steps, **dict(zip(COUNTS, counts, strict=True)), "turn": asdict(turn)}


def print_steps(opening: str, setups: Sequence[Setup], figures: Figures) -> None:
    """Print each setup's steps, and its first audio beside the first setup's."""
    times = len(figures[setups[0].line])
    print(
        f"The reply opens with {opening}: {times} turns each, ms after the caller's last sound, "
        "medians\n"
    )
    base = median(column(figures, setups[0], "first audio"))
    rows: list[list[object]] = []
    for setup in setups:
        steps = [median(column(figures, setup, step)) for step in STEPS]
        slow = p95(column(figures, setup, "first audio"))
        shown = (f"{each:.0f}" for each in (base - steps[-1], *steps, slow))
        rows.append([setup.name, steps[-1] / base, *shown])
    print_table(("", "ratio", "ms sooner", *STEPS, "first audio, p95"), rows)


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


def main() -> None:
    """Measure, and print the tables."""
    command = parser(__doc__)
    command.add_argument("--times", type=int, default=2, help="turns of each utterance")
    options = command.parse_args()
    with Gateway() as gateway:
        figures = asyncio.run(measured(gateway, options.times))
        late_ms = gateway.stats()["late_ms"]
    print(f"{machine()}; the gateway's writes were {late_ms['p95']:.1f} ms late at p95\n")
    for opening, setups in TABLES.items():
        print_steps(opening, setups, figures)
    plain, *_ = TABLES.values()
    print_counts("An utterance without a pause", plain, figures)
    print_counts(f"An utterance with {PAUSE_S} s of silence put into it", PAUSED, figures)
    write_json(options.json, {"machine": machine(), "late_ms": late_ms, "turns": figures})


if __name__ == "__main__":
    main()
