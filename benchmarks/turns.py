"""From the caller's last sound to the first sound of the reply, step by step, in whole sessions.

Recorded speech in real time, Silero's VAD, the gateway's set latencies. LiveKit's own adapters
beside this package's, all at once in one process, so that they share the machine's noise.

    .venv/bin/python -m benchmarks.turns [--times 2] [--json FILE]
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.common.gateway import Gateway
from benchmarks.common.report import Aim, machine, median, parser, write_json
from benchmarks.common.setup import Setup
from benchmarks.common.steps import Figures, column, measured, print_counts, print_steps

PAUSE_S = 0.3

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


def main() -> None:
    """Measure, and print the tables."""
    command = parser(__doc__)
    command.add_argument("--times", type=int, default=2, help="turns of each utterance")
    options = command.parse_args()
    with Gateway() as gateway:
        figures = asyncio.run(measured(gateway, ALL, options.times))
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
