"""Speech to speech: how soon audio, replies and silence are at the output, and what a call costs.

    .venv/bin/python -m benchmarks.realtime [--many 50] [--json FILE]

Whole sessions without a VAD, of this plugin in both forms and of livekit-plugins-openai, hold the
same conversation with the same voice model (`common.voice_sockets`): a question, an answer that the
caller interrupts, and an answer to that. Audio comes in frames of 50 ms, as from a room, and is
24 kHz; replies come in pieces of 100 ms, five times faster than they are played. Each client has
a process of its own. A few sessions of all clients talk at once, beside a bare socket and sessions
whose model does nothing; then many of one client after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.common.conversations import started, talked, work
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
from benchmarks.common.voice_calls import (
    CALLS,
    BareCall,
    OpenAICall,
    ProxyCall,
    XaiCall,
)
from benchmarks.common.worker import Row

OURS, THEIRS = (ProxyCall.name, XaiCall.name), OpenAICall.name
FEW, MANY = 4, 50
# Of the few sessions: what else the machine does is in the CPU time too, so the least counts.
ROUNDS = 2
CPU_AT_MOST = {ProxyCall.name: 0.6, XaiCall.name: 0.9}


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    rows = {(each["client"], each["sessions"]): each for each in figures["calls"]}
    many = max(sessions for _, sessions in rows)
    bare_ms = median(rows[BareCall.name, FEW]["first_ms"])
    for name in OURS:
        few, crowd = rows[name, FEW], rows[name, many]
        over_ms = [each - bare_ms for each in few["first_ms"]]
        yield Aim(f"{name}: first audio, ms over a bare socket, median", 2, median(over_ms))
        yield Aim(f"{name}: the same, p95", 5, p95(over_ms))
        yield Aim(f"{name}: interruption to silence, ms, p95", 20, p95(few["silence_ms"]))
        yield Aim(f"{name}: last sound to first audio, ms", 320, median(few["response_ms"]))
        ratio = few["cpu_ms"] / rows[THEIRS, FEW]["cpu_ms"]
        yield Aim(f"{name}: CPU for a minute, over theirs", CPU_AT_MOST[name], ratio)
        late_ms = max(p95(crowd["piece_ms"]), p95(crowd["sent_ms"]))
        yield Aim(f"{name}: {many} sessions in a process, lateness of audio, p95, ms", 20, late_ms)


def measured(gateway: Gateway, many: int) -> list[Row]:
    """Measure all clients: a few sessions of all at once, then many of one after the other."""
    with ExitStack() as stack:
        workers = started("benchmarks.realtime", CALLS, gateway, stack)
        rounds = [talked(gateway, workers, FEW) for _ in range(ROUNDS)]
        return [
            *map(merged, zip(*rounds, strict=True)),
            *(
                row
                for of, worker in workers.items()
                if of in (*OURS, THEIRS)
                for row in talked(gateway, {of: worker}, many)
            ),
        ]


def merged(rows: Sequence[Row]) -> Row:
    """Merge the rounds of one client: all of its delays, and the least of its CPU."""
    row = dict(rows[0])
    row["missing"] = sum(each["missing"] for each in rows)
    for name in ("first_ms", "silence_ms", "response_ms", "piece_ms", "sent_ms"):
        row[name] = [ms for each in rows for ms in each[name]]
    for name in ("cpu_ms", "waited_percent"):
        row[name] = min(each[name] for each in rows)
    return row


def print_calls(rows: list[Row]) -> None:
    """Print the table."""
    base = {row["sessions"]: row["cpu_ms"] for row in rows if row["client"] == THEIRS}

    def cells(row: Row) -> Iterator[object]:
        yield from (row["client"], row["sessions"])
        yield row["cpu_ms"] / base[row["sessions"]]
        yield row["cpu_ms"]
        for name in ("first_ms", "silence_ms", "response_ms", "piece_ms", "sent_ms"):
            seen = row[name]
            yield from (median(seen), p95(seen)) if seen else ("", "")
        yield row["waited_percent"]

    print(
        "Sessions at once. ms of CPU for a minute of conversation; ms from the gateway's write to "
        "the output for a reply's first audio, an interruption, and each piece of audio; from the "
        "caller's last sound to a reply; and by which the caller's audio came late\n"
    )
    kinds = ("first audio", "p95", "silence", "p95", "response", "p95", "audio", "p95")
    head = ("", "sessions", f"CPU / {THEIRS}'s", "CPU", *kinds, "caller's", "p95", "waited, %")
    print_table(head, (list(cells(row)) for row in rows))


def main() -> None:
    """Measure and print; or measure one client, in a process of its own."""
    command = parser(__doc__)
    command.add_argument("--many", type=int, default=MANY, help="sessions at once")
    command.add_argument("--of", help=argparse.SUPPRESS)
    command.add_argument("--url", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.of is not None:
        asyncio.run(work(options.of, options.url))
        return
    with Gateway() as gateway:
        rows = measured(gateway, options.many)
        late_ms = gateway.stats()["late_ms"]
    print(f"{machine()}; the gateway's writes were {late_ms['p95']:.1f} ms late at p95\n")
    print_calls(rows)
    if missing := {row["client"]: row["missing"] for row in rows if row["missing"]}:
        sys.exit(f"replies or transcripts did not come: {missing}")
    write_json(options.json, {"machine": machine(), "late_ms": late_ms, "calls": rows})


if __name__ == "__main__":
    main()
