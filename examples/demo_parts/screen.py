"""The demo's output: the steps of loading, the conversation, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    # The screen shows the loading of everything large.
    from .turns import Outcome

STYLES = {"caller": "cyan", "agent": "green", "tool": "magenta", "error": "red"}


class Screen:
    """Writes to the terminal; without one, or with `no_color`, it writes plain lines."""

    def __init__(self, *, no_color: bool = False) -> None:
        """Make a screen on the standard output.

        Args:
            no_color: Leave colours out on a terminal too.
        """
        self._console = Console(no_color=no_color, highlight=False, emoji=False, markup=False)
        # The speaker of the line that is being written; None between lines.
        self._speaker: str | None = None

    def title(self, text: str) -> None:
        """Show a heading."""
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def note(self, text: str) -> None:
        """Show a plain line, unwrapped."""
        self._console.print(text, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step of the loading while it runs, and its duration at the end."""
        began = time.perf_counter()
        if self._console.is_terminal:
            with self._console.status(what):
                yield
        else:
            yield
        took_s = time.perf_counter() - began
        self._console.print(Text(f"  {what:<58} {took_s:5.1f} s"), soft_wrap=True)

    def line(self, at_s: float, who: str, text: str) -> None:
        """Show a sentence or an event with its time, in seconds of the call."""
        self.end()
        self.words(at_s, who, text)
        self.end()

    def words(self, at_s: float, who: str, words: str) -> None:
        """Show the next words of a speaker; the time is shown at the start of the line."""
        if self._speaker != who:
            self.end()
            self._speaker = who
            start = Text(f"{at_s:6.1f} s  ").append(f"{who:<7}", style=STYLES.get(who, ""))
            self._console.print(start, end="", soft_wrap=True)
            words = words.lstrip()
        self._console.print(words, end="", soft_wrap=True)

    def end(self) -> None:
        """End the line that is being written."""
        if self._speaker is not None:
            self._speaker = None
            self._console.print()

    def table(self, outcomes: Sequence[Outcome]) -> None:
        """Show the latencies of each turn."""
        table = Table(title="Milliseconds after the caller's last sound", title_justify="left")
        table.add_column("turn")
        for column in ("end of speech", "transcript", "first token", "first audio"):
            table.add_column(column, justify="right")
        table.add_column("result")
        for outcome in outcomes:
            result = Text("failed", "red") if outcome.problems else Text("done", "green")
            times = (
                outcome.end_of_speech_ms,
                outcome.transcript_ms,
                outcome.first_token_ms,
                outcome.first_audio_ms,
            )
            table.add_row(outcome.turn.name, *map(_ms, times), result)
        self._console.print()
        self._console.print(table)

    def files(self, *paths: Path) -> None:
        """Name the files that were written."""
        for path in paths:
            self.note(f"wrote {path}")

    def problems(self, problems: Sequence[str]) -> None:
        """Show the reasons for which the demo failed."""
        for problem in problems:
            self._console.print(Text(f"FAILED  {problem}", style="red"), soft_wrap=True)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
