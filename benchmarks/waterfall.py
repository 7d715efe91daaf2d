"""Draw one turn, LiveKit's adapters above this package's: who waits for whom.

    .venv/bin/python -m benchmarks.turns --json turns.json
    .venv/bin/python -m benchmarks.waterfall turns.json [benchmarks/waterfall.svg]

Each bar ends at the median of its step, in milliseconds after the caller's last sound.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks._common import median
from benchmarks.turns import BOTH, LIVEKITS, STEPS

REPLY = "two clauses"
VAD_SILENCE_MS = 550
# Who works, and in which colour.
VAD, WAIT, STT, LLM, TTS = "#8c96a3", "#c9ced6", "#3b82c4", "#d9822b", "#4a9d5b"
INK, FAINT = "#222222", "#777777"
STYLE: Any = {
    # Letters stay letters, so that the file is small and can be searched.
    "svg.fonttype": "none",
    # The same figures make the same file.
    "svg.hashsalt": "waterfall",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
}


@dataclass(frozen=True)
class Bar:
    """One stretch of waiting, in milliseconds after the caller's last sound."""

    label: str
    color: str
    start_ms: float
    end_ms: float
    # Whether the answer waits for it.
    critical: bool = True


def livekits_bars(at: dict[str, float]) -> Iterator[Bar]:
    """LiveKit's adapters: recognition begins when the VAD is sure."""
    noticed = at["VAD's end"] - VAD_SILENCE_MS
    yield Bar("the VAD notices silence", VAD, 0, noticed)
    yield Bar("the VAD waits to be sure", WAIT, noticed, at["VAD's end"])
    yield from reply_bars(at, at["VAD's end"])


def our_bars(at: dict[str, float], vad_lag_ms: float) -> Iterator[Bar]:
    """Ours: recognition begins in the pause, and the VAD goes on beside it."""
    yield Bar("the VAD notices silence", VAD, 0, vad_lag_ms)
    yield Bar("eager_delay", WAIT, vad_lag_ms, at["recognition asked"])
    yield from reply_bars(at, at["recognition asked"])
    yield Bar("the VAD waits to be sure", WAIT, vad_lag_ms, at["VAD's end"], critical=False)


def reply_bars(at: dict[str, float], asked_ms: float) -> Iterator[Bar]:
    """From the request for recognition to the first sound."""
    ends = (asked_ms, *(at[step] for step in ("transcript", "first token", "synthesis asked")))
    yield Bar("recognition", STT, ends[0], ends[1])
    yield Bar("the model's first token", LLM, ends[1], ends[2])
    yield Bar("the first piece is written", LLM, ends[2], ends[3])
    yield Bar("synthesis", TTS, ends[3], at["first audio"])


def draw(axes: Axes, title: str, bars: list[Bar]) -> None:
    """One turn, a line for each bar, from the top."""
    for line, bar in enumerate(bars):
        long_ms = bar.end_ms - bar.start_ms
        hatch = "" if bar.critical else "///"
        color, edge = bar.color, "none" if bar.critical else "white"
        axes.barh(line, long_ms, 0.68, bar.start_ms, color=color, edgecolor=edge, hatch=hatch)
        label = f"{bar.label}  +{long_ms:.0f}"
        if not bar.critical:
            label += ", and here nothing waits for it"
        color = INK if bar.critical else FAINT
        plate = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(bar.end_ms + 12, line, label, va="center", color=color, bbox=plate)
    for line, (bar, after) in enumerate(zip(bars, bars[1:], strict=False)):
        if after.critical:
            axes.plot([bar.end_ms] * 2, [line + 0.34, line + 0.66], color=FAINT, linewidth=0.8)
    heard_ms = max(bar.end_ms for bar in bars)
    axes.axvline(heard_ms, color=TTS, linewidth=1.2, linestyle=":")
    axes.set_title(f"{title}: the answer is heard after {heard_ms:.0f} ms", loc="left", fontsize=10)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def picture(livekits: dict[str, float], ours: dict[str, float]) -> Figure:
    """Both turns on one axis of time."""
    above = list(livekits_bars(livekits))
    # What the VAD takes to notice is the same for both.
    below = list(our_bars(ours, above[0].end_ms))
    figure = Figure(figsize=(8.2, 4.6), layout="constrained", facecolor="white")
    heights = [len(above), len(below)]
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    draw(upper, "LiveKit's adapters", above)
    draw(lower, "Recognition in the pause, first words", below)
    lower.set_xlim(0, livekits["first audio"] * 1.28)
    lower.set_xlabel("ms after the caller's last sound, medians")
    upper.tick_params(bottom=False)
    upper.spines["bottom"].set_visible(False)
    return figure


def medians(turns: list[dict[str, Any]]) -> dict[str, float]:
    """Each step's median."""
    return {step: median(turn[step] for turn in turns) for step in STEPS}


def main() -> None:
    """Read the figures, and draw them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("figures", type=Path, help="what benchmarks.turns --json wrote")
    out = Path(__file__).with_name("waterfall.svg")
    parser.add_argument("out", type=Path, nargs="?", default=out)
    options = parser.parse_args()
    turns = json.loads(options.figures.read_text())["turns"]
    livekits, ours = (medians(turns[replace(each, reply=REPLY).line]) for each in (LIVEKITS, BOTH))
    with matplotlib.rc_context(STYLE):
        figure = picture(livekits, ours)
        figure.savefig(options.out, metadata={"Date": None})
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
