"""What the benchmarks' gateway writes down of its requests and of itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Record:
    """One request. Times are time.monotonic's, which on Linux is the same clock in every process.

    Attributes:
        line: Name of its line; "" for the one below "/".
        path: Without the line's prefix.
        arrived_s: When its last byte came.
        text: What is to be spoken, or what was recognised; "" for a reply.
        audio_s: Length of the upload.
        first_byte_s: When headers and first output were written; None if that was never.
        ended_s: When the last byte was written; None if that was never.
        aborted: Whether the client closed the connection before that.
        late_ms: How late its writes were, the worst of them.
    """

    line: str
    path: str
    arrived_s: float
    text: str = ""
    audio_s: float = 0.0
    first_byte_s: float | None = None
    ended_s: float | None = None
    aborted: bool = False
    late_ms: float = 0.0


@dataclass
class Stats:
    """What happened since the last reset."""

    # Connections that carried a request, those of PUT, GET and DELETE below apart.
    connections: int = 0
    # Every request to one of the wires, in the order of arrival.
    records: list[Record] = field(default_factory=list)
    # How late each write was, in milliseconds.
    late_ms: list[float] = field(default_factory=list)
    # CPU seconds that this process had used before.
    cpu_s: float = field(default_factory=time.process_time)

    def to_json(self, open_connections: int) -> dict[str, Any]:
        """The answer to GET /stats."""
        late = sorted(self.late_ms) or [0.0]
        cpu_ms = 1e3 * (time.process_time() - self.cpu_s)
        return {
            "connections": self.connections,
            "open": open_connections,
            "aborted": sum(record.aborted for record in self.records),
            "late_ms": {
                "p50": late[len(late) // 2],
                "p95": late[len(late) * 95 // 100],
                "max": late[-1],
            },
            "cpu_ms": cpu_ms,
            "cpu_ms_per_request": cpu_ms / max(1, len(self.records)),
            "records": [vars(record) for record in self.records],
        }
