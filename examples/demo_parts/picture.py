"""The timeline of a call as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from livekit_plugins_speko.testing import LineSegment

from .turns import Outcome

COLORS = {"caller": "#2a7fa8", "agent": "#3f9142"}
LANES = {"caller": 1.0, "agent": 0.0}
HEIGHT = 0.6
# The marks of each turn: label, colour, and the attribute with the time.
MARKS = (
    ("end of speech", "#7a7a7a", "end_of_speech_s"),
    ("transcript", "#d08b00", "transcript_s"),
    ("first token", "#a83279", "first_token_s"),
)


def draw_timeline(path: Path, segments: Sequence[LineSegment], outcomes: Sequence[Outcome]) -> None:
    """Draw the speech of both sides, with the marks of each turn.

    Args:
        path: The picture to write, an SVG by its suffix; missing folders are made.
        segments: The speech on the line; a segment without an end is left out.
        outcomes: The turns.
    """
    figure = Figure(figsize=(14, 3.2), layout="constrained")
    axes = figure.subplots()
    for segment in segments:
        _draw_segment(axes, segment)
    for outcome in outcomes:
        if outcome.started_s is not None:
            axes.text(outcome.started_s, LANES["caller"] + HEIGHT / 2 + 0.06, outcome.turn.name)
    for label, color, attribute in MARKS:
        times = [getattr(outcome, attribute) for outcome in outcomes]
        found = [at_s for at_s in times if at_s is not None]
        axes.vlines(found, -HEIGHT / 2, 1 + HEIGHT / 2, colors=color, linestyles=":", label=label)
    _finish(axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_segment(axes: Axes, segment: LineSegment) -> None:
    if segment.ended_s is None:
        return
    axes.barh(
        LANES[segment.speaker],
        segment.ended_s - segment.started_s,
        left=segment.started_s,
        height=HEIGHT,
        color=COLORS[segment.speaker],
        hatch="//" if segment.interrupted else None,
        edgecolor="white",
    )
    if segment.interrupted:
        axes.text(segment.ended_s, -HEIGHT / 2 - 0.02, "interrupted", ha="right", va="top")


def _finish(axes: Axes) -> None:
    axes.set_yticks(list(LANES.values()), list(LANES))
    axes.set_ylim(-0.65, 1.65)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds since the call began")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
