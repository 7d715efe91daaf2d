"""What was checked, how long it took, and what was seen: printed when the run ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Check:
    """One thing that had to be so."""

    # The test, and what is checked.
    test: str
    name: str
    # Until it was so, in seconds.
    took_s: float = 0.0
    passed: bool = False
    # What was seen; empty when the name says it all.
    seen: str = ""


@dataclass
class Latency:
    """Two waits of a caller in one turn, in milliseconds after the caller's last sound."""

    turn: str
    # Where the call was held.
    place: str
    transcript_ms: float
    first_audio_ms: float


@dataclass
class Checks:
    """All checks of a run."""

    rows: list[Check] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)

    @contextmanager
    def run(self, test: str, name: str) -> Iterator[Check]:
        """Time a check; it has passed when nothing is raised."""
        check = Check(test, name)
        self.rows.append(check)
        began_s = time.monotonic()
        try:
            yield check
            check.passed = True
        finally:
            check.took_s = time.monotonic() - began_s

    def lines(self) -> Iterator[str]:
        """The tables, line by line."""
        test = None
        for row in self.rows:
            if row.test != test:
                test = row.test
                yield f"  {test}"
            word = "ok" if row.passed else "FAILED"
            seen = f"  ({row.seen})" if row.seen else ""
            yield f"    {word:<6} {row.took_s:6.2f} s  {row.name}{seen}"
        if self.latencies:
            yield from self._latency_lines()

    def _latency_lines(self) -> Iterator[str]:
        turns = dict.fromkeys(latency.turn for latency in self.latencies)
        places = dict.fromkeys(latency.place for latency in self.latencies)
        found = {(each.turn, each.place): each for each in self.latencies}
        yield ""
        yield "  Milliseconds after the caller's last sound: transcript / first audio of the reply"
        yield "    " + "turn".ljust(12) + "".join(place.rjust(24) for place in places)
        for turn in turns:
            cells = [found.get((turn, place)) for place in places]
            texts = [f"{c.transcript_ms:.0f} / {c.first_audio_ms:.0f}" if c else "-" for c in cells]
            yield "    " + turn.ljust(12) + "".join(text.rjust(24) for text in texts)
