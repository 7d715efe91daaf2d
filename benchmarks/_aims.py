"""What the project wants to show, beside what a run of all the benchmarks has shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks._common import median, print_table
from benchmarks._turn_setup import Setup
from benchmarks.holes import CASES
from benchmarks.turns import EAGER, PAUSED_EAGER, TABLES

Aim: TypeAlias = tuple[str, float, float]
"""A figure, the most that it should be, what it is."""

OURS, THEIRS = "speko", "openai plugin"
STAGES = {"llm": "first token", "tts": "first audio", "stt": "transcript"}
MOST_CPU = {"llm": 0.7, "tts": 1.0, "stt": 0.7}


def print_aims(out: Path) -> None:
    """Print the table of the run whose figures are in this folder."""
    rows = (
        (figure, f"{most:g}", f"{seen:.2f}", "yes" if seen <= most else "no")
        for figure, most, seen in aims(out)
    )
    print("\n## aims\n")
    print_table(("figure", "at most", "seen", "met"), rows)


def aims(out: Path) -> Iterator[Aim]:
    """Each aim, in the order of the benchmarks."""

    def figures(name: str) -> Any:
        return json.loads((out / f"{name}.json").read_text())

    yield from of_overhead(figures("overhead"))
    yield from of_turns(figures("turns")["turns"])
    yield from of_holes(figures("holes")["holes_s"])
    opened = figures("idle")[OURS]["second"][0]
    yield "connections that a second turn opens after 60 s, TLS", 0, opened
    yield from of_event_loop(figures("event_loop"))
    (late,) = (
        row["late_p95_ms"]
        for row in figures("sessions")["sessions"]
        if (row["doing"], row["client"], row["sessions"]) == ("a sentence, 1x", OURS, 50)
    )
    yield "50 realtime streams in one process: lateness of a frame, p95, ms", 20, late


def of_overhead(figures: Any) -> Iterator[Aim]:
    """What a client adds, its CPU time beside the other plugin's, and many replies at once."""
    for stage, output in STAGES.items():
        yield f"{output}: ms over the upstream's delay", 3, median(figures[stage]["over_ms"][OURS])
    for stage in STAGES:
        cpu = figures[stage]["cpu_ms"]
        ratio = median(cpu[OURS]) / median(cpu[THEIRS])
        yield f"CPU of a request, {stage.upper()}, over {THEIRS}'s", MOST_CPU[stage], ratio
    burst = {name: median(each) for name, each in figures["burst"]["over_ms"].items()}
    base = burst["openai plugin, one each"]
    for name in ("a client each", "one client for all"):
        yield (
            f"50 replies at once, {name}: first token over {THEIRS}'s",
            0.6,
            (burst[f"speko, {name}"] / base),
        )


def of_turns(turns: Any) -> Iterator[Aim]:
    """From the caller's last sound to the first audio, beside LiveKit's adapters."""

    def first_audio(setup: Setup) -> float:
        return median(turn["first audio"] for turn in turns[setup.line])

    def most(setup: Setup, name: str) -> float:
        return max(float(turn[name]) for turn in turns[setup.line])

    one, two, sure = TABLES.values()
    livekits_ms, eager_ms = first_audio(one[0]), first_audio(EAGER)
    yield "end of speech to first audio, eager, over LiveKit's", 0.78, eager_ms / livekits_ms
    yield "the same, ms later than LiveKit's", -330, eager_ms - livekits_ms
    for name, setups in (("one clause", one), ("two clauses", two)):
        ratio = first_audio(setups[-1]) / first_audio(setups[0])
        yield f"the same, eager and first words, a first sentence of {name}", 0.74, ratio
    ratio = first_audio(sure[1]) / first_audio(sure[0])
    yield 'the same, first words alone, a reply that opens with "Sure."', 0.9, ratio
    for name in ("STT", "LLM", "finals"):
        yield f"an utterance without a pause, eager: {name}", 1, most(EAGER, name)
    yield "an utterance with a pause, eager: finals", 1, most(PAUSED_EAGER, "finals")
    yield "the same: syntheses thrown away", 0, most(PAUSED_EAGER, "TTS thrown away")


def of_holes(lines: dict[str, Any]) -> Iterator[Aim]:
    """Silence inside of a reply."""
    for case in CASES[:2]:
        silences_ms = [1e3 * sum(reply) for reply in lines[case.line]["ours"]]
        yield (
            f"holes in a reply of three sentences, audio at {case.speed:g}x, ms",
            30,
            (median(silences_ms)),
        )


def of_event_loop(figures: Any) -> Iterator[Aim]:
    """The longest that the plugin holds the event loop."""
    for scheme in ("http", "https"):
        steps = figures[f"{OURS}, {scheme}"].values()
        wall = max(median(wall for wall, _ in runs) for runs in steps)
        yield f"longest block of the event loop, {scheme}, ms", 5, wall
