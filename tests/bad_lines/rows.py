"""A row about a bad line: what is wrong with it, and what a call over it costs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bad_lines.toxiproxy import ABRUPT, Line, Toxic

NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """What is wrong with a line, and what that may cost.

    Attributes:
        fault: Its name in the table.
        at: When it begins: `start`, before anything connects, or a place in the call.
        toxics: What is wrong; nothing is said of a line that is down.
        down: True if all connections are cut and new ones are refused.
        abrupt: True if its connections are reset instead of closed.
        error: The errors that are reported on the way, with their causes; empty when none is.
        late: The words that come later than on a good line.
        lost: The words that are never heard or recognised.
        for_s: How long the line is bad, in seconds. None: until the call notices.
        at_least_s: How long the call takes at least, in seconds.
        patience_s: LiveKit's ``conn_options.timeout``.
    """

    fault: str
    at: str = "start"
    toxics: tuple[Toxic, ...] = ()
    down: bool = False
    abrupt: bool = False
    error: str = ""
    late: str = NOTHING
    lost: str = NOTHING
    for_s: float | None = None
    at_least_s: float = 0.0
    patience_s: float = 1.0

    @property
    def cost(self) -> str:
        """What a call costs, in the table: late, lost, said twice."""
        return f"{self.late} / {self.lost} / {NOTHING}"

    async def prepare(self, line: Line) -> None:
        """Do what must be done before anything connects."""
        if self.abrupt:
            await line.worsen(ABRUPT)
            line.turned_bad.clear()
        await self.begin(line, "start")

    async def begin(self, line: Line, place: str) -> None:
        """Make the line bad, if this is the place and it is for the first time."""
        if place == self.at and not line.turned_bad.is_set():
            await line.worsen(*self.toxics, down=self.down)


def is_expected(seen: str, row: BadLine) -> bool:
    """Return True if the errors reported are some of a row's, or none where it has none."""
    return set(seen.split(" / ")) <= set(row.error.split(" / ")) and bool(seen) == bool(row.error)


def cut(size: int, *, up: bool = False) -> Toxic:
    """The connection ends after so many bytes."""
    return Toxic("limit_data", {"bytes": size}, up=up)


def latency(ms: int, jitter: int, *, up: bool = False) -> Toxic:
    """Everything comes later, and each part of it by another time."""
    return Toxic("latency", {"latency": ms, "jitter": jitter}, up=up)


def bandwidth(kb: int, *, up: bool = False) -> Toxic:
    """So many KB a second."""
    return Toxic("bandwidth", {"rate": kb}, up=up)


def slices(size: int, *, up: bool = False, delay_us: int = 0) -> Toxic:
    """A few bytes at a time."""
    options = {"average_size": size, "size_variation": size - 1, "delay": delay_us}
    return Toxic("slicer", options, up=up)


def silence(then_close_ms: int = 0, *, up: bool = False) -> Toxic:
    """Nothing gets through; the connection is closed after a while, or stays."""
    return Toxic("timeout", {"timeout": then_close_ms}, up=up)


def slow_close(ms: int, *, up: bool = False) -> Toxic:
    """The end of a connection comes later."""
    return Toxic("slow_close", {"delay": ms}, up=up)
