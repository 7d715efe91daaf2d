"""How many calls a process takes: more and more at once, until audio is late.

    .venv/bin/python -m benchmarks.load [--calls 25,50,100] [--kind realtime] [--vad] [--profile]

The calls are whole sessions, of this plugin and of livekit-plugins-openai. With ``--kind realtime``
they talk to the gateway's voice model, as in `realtime`; with ``--kind cascade`` they have an STT,
an LLM and a TTS, and a VAD that takes no time; with ``--kind streaming`` that STT streams, and
theirs is OpenAI's transcription in real time. This plugin's is measured once more in a room at the
wire's rate, 16 kHz. Each client has a process of its own, and they take turns. `--vad` gives each
session Silero; `--profile` says what took the time, and takes some itself. The gateway is one
process too: where it has a core to itself no longer, it is the gateway that is late, and the table
says so.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from math import inf
from typing import Any

from benchmarks.common.cascade_calls import (
    OpenAICascade,
    OpenAIStreaming,
    SpekoCascade,
    SpekoStreaming,
    SpekoStreamingAt16kHz,
)
from benchmarks.common.conversations import started, talked, work
from benchmarks.common.gateway import Gateway
from benchmarks.common.report import machine, p95, parser, print_table, write_json
from benchmarks.common.voice_calls import OpenAICall, ProxyCall, XaiCall
from benchmarks.common.worker import Row

# The openai plugin is the last of each.
KINDS = {
    "cascade": (SpekoCascade.name, OpenAICascade.name),
    "streaming": (SpekoStreaming.name, SpekoStreamingAt16kHz.name, OpenAIStreaming.name),
    "realtime": (ProxyCall.name, XaiCall.name, OpenAICall.name),
}
LATEST_MS = 20.0
MS_A_MINUTE = 60_000
# What took the time is shown by parts of at least this share.
LEAST_PERCENT = 1.0


def measured(kind: str, steps: list[int], flags: list[str]) -> list[Row]:
    """Measure each client with more and more calls, until its audio is late."""
    rows: list[Row] = []
    late: set[str] = set()
    with Gateway() as gateway, ExitStack() as stack:
        workers = started("benchmarks.load", KINDS[kind], gateway, stack, flags)
        for count in steps:
            for of, worker in workers.items():
                if of in late:
                    continue
                (row,) = talked(gateway, {of: worker}, count)
                rows.append(row)
                if lateness_ms(row) > LATEST_MS:
                    late.add(of)
    return rows


def lateness_ms(row: Row) -> float:
    """Return how late audio was at p95, in the worse of both directions.

    Endless if a reply or a transcript did not come.
    """
    late_ms = (p95(row[name]) for name in ("piece_ms", "sent_ms") if row[name])
    return inf if row["missing"] else max(late_ms)


def calls_a_core(rows: list[Row], client: str) -> float:
    """Return the calls that a core takes, by the CPU of a call among as many for all clients."""
    clients = {row["client"] for row in rows}
    counts = [row["sessions"] for row in rows]
    most = max(count for count in counts if counts.count(count) == len(clients))
    (cpu_ms,) = (
        row["cpu_ms"] for row in rows if (row["client"], row["sessions"]) == (client, most)
    )
    return float(MS_A_MINUTE / cpu_ms)


def in_time(rows: list[Row], client: str) -> int:
    """Return the most calls of a client that were measured and in time."""
    return max(
        (
            int(row["sessions"])
            for row in rows
            if row["client"] == client and lateness_ms(row) <= LATEST_MS
        ),
        default=0,
    )


def print_rows(kind: str, rows: list[Row]) -> None:
    """Print the table, and where the knee is."""

    def cells(row: Row) -> Iterator[object]:
        yield from (row["client"], row["sessions"], row["cpu_ms"], row["memory_kb"])
        yield f"{100 * row['cpu_ms'] * row['sessions'] / MS_A_MINUTE:.0f}"
        yield f"{row['gateway_percent']:.0f}"
        yield from (p95(row[name]) if row[name] else "" for name in ("piece_ms", "sent_ms"))
        yield from (row["missing"], row["waited_percent"])

    print(
        f"{machine()}; calls at once in one process. ms of CPU for a minute of a call, and kB of "
        "memory; share of a core that the process and the gateway took; ms by which the agent's "
        "and the caller's audio came late, at p95; replies and transcripts that did not come\n"
    )
    shares = ("process, %", "gateway, %")
    late = ("agent's late", "caller's late", "missing", "waited, %")
    print_table(
        ("", "calls", "CPU", "memory", *shares, *late),
        (list(cells(row)) for row in rows),
    )
    *ours, theirs = (calls_a_core(rows, client) for client in KINDS[kind])
    print(f"{kind}: calls a core\n")
    names = zip(KINDS[kind], (*ours, theirs), strict=True)
    print_table(
        ("", "calls a core", "over theirs", "in time up to"),
        ((of, each, each / theirs, in_time(rows, of)) for of, each in names),
    )


def print_profiles(rows: list[Row]) -> None:
    """Print what took the time, by the package that took it, and by the function."""
    for row in rows:
        if not row.get("profile"):
            continue
        print(f"{row['client']}, {row['sessions']} calls: what took the time, in %\n")
        for of, parts in (("package", row["profile"]), ("function", row["functions"])):
            print_table((of, "%"), (each for each in parts if each[1] >= LEAST_PERCENT))


def main() -> None:
    """Measure and print; or measure one client, in a process of its own."""
    command = parser(__doc__)
    command.add_argument("--calls", default="25,50,100", help="calls at once, ascending")
    command.add_argument("--kind", choices=KINDS, default="realtime")
    command.add_argument("--vad", action="store_true", help="give each session Silero")
    command.add_argument("--profile", action="store_true", help="say what took the time")
    command.add_argument("--of", help=argparse.SUPPRESS)
    command.add_argument("--url", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.of is not None:
        asyncio.run(
            work(options.of, options.url, with_vad=options.vad, with_profile=options.profile)
        )
        return
    flags = [f"--{name}" for name in ("vad", "profile") if getattr(options, name)]
    steps = [int(each) for each in options.calls.split(",")]
    rows = measured(options.kind, steps, flags)
    print_rows(options.kind, rows)
    print_profiles(rows)
    figures: dict[str, Any] = {"machine": machine(), "kind": options.kind, "calls": rows}
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
