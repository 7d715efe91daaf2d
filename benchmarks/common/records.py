"""The gateway's record of its requests and of itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.common.upstream import Upstream


@dataclass
class Record:
    """One request, or one flush of a stream.

    Attributes:
        line: Name of its line; "" for the one below "/".
        path: Without the line's prefix.
        arrived_s: When its last byte came, on `time.monotonic`: the same clock in every process of
            a Linux machine.
        text: The text to be spoken, or the transcript; "" for a reply.
        audio_s: Length of the upload, or of the stream so far, in seconds.
    """

    line: str
    path: str
    arrived_s: float
    text: str = ""
    audio_s: float = 0.0


@dataclass
class Stats:
    """The figures since the last reset."""

    # Connections that carried a request of a client. Those opened before the reset do not count.
    connections: int = 0
    # Every request of a client, in the order of arrival.
    records: list[Record] = field(default_factory=list)
    # How late each write was, in milliseconds.
    late_ms: list[float] = field(default_factory=list)
    # By the line of a stream: when each piece of its audio came, on `time.monotonic`, and the
    # seconds of audio with it.
    audio: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    # By the line of a voice model: when each interruption was sent.
    interruptions: dict[str, list[float]] = field(default_factory=dict)
    # CPU seconds that this process had used at the reset, and when that was.
    cpu_s: float = field(default_factory=time.process_time)
    began_s: float = field(default_factory=time.monotonic)

    def to_json(self) -> dict[str, Any]:
        """Return the figures by their names, with "cpu_percent" and "cpu_ms_per_request"."""
        late = sorted(self.late_ms) or [0.0]
        cpu_ms = 1e3 * (time.process_time() - self.cpu_s)
        return {
            "connections": self.connections,
            "late_ms": {"p50": late[len(late) // 2], "p95": late[len(late) * 95 // 100]},
            "cpu_percent": cpu_ms / 10 / (time.monotonic() - self.began_s),
            "cpu_ms_per_request": cpu_ms / max(1, len(self.records)),
            "records": [vars(record) for record in self.records],
            "audio": self.audio,
            "interruptions": self.interruptions,
        }


class Lines(Protocol):
    """The settings of the lines, and the figures of the process."""

    lines: dict[str, Upstream]
    stats: Stats
