"""Recognition while the caller speaks: how soon the reply comes, and what the stream costs.

First whole sessions, as in `turns`: LiveKit's adapters with whole utterances beside streaming and
eager recognition. Then one stream's delay, CPU and audio, beside livekit-plugins-deepgram's on the
same upstream, in its own wire form. The upstream's interims come 80 ms after the audio of a word,
its finals 60 ms after a flush.

    .venv/bin/python -m benchmarks.streaming [--times 1] [--levers] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from benchmarks.common.gateway import Gateway
from benchmarks.common.report import (
    Aim,
    CpuTime,
    machine,
    median,
    p95,
    parser,
    print_table,
    write_json,
)
from benchmarks.common.setup import Setup
from benchmarks.common.steps import STEPS, Figures, column, measured, print_counts, print_steps
from benchmarks.common.streamers import (
    CONNECT_S,
    DeepgramStreamer,
    SpekoStreamer,
    Streamer,
    words,
)
from benchmarks.common.worker import Row, Step, Waited, Worker

PAUSE_S = 0.3
LIVEKITS = Setup("LiveKit's", ours=False)
STREAMING = Setup("streaming", streaming=True, first_words="clause")
BOTH = Setup("streaming, eager", streaming=True, eager=True, first_words="clause")
EARLY_VOICE = replace(BOTH, name="with preemptive_tts", preemptive_tts=True)
SOON = replace(EARLY_VOICE, name="with preemptive_tts, eager_delay=0.1", eager_delay=0.1)
SETUPS = (LIVEKITS, BOTH, EARLY_VOICE, SOON)
TABLES = {
    "one clause": (LIVEKITS, STREAMING, BOTH, EARLY_VOICE, SOON),
    "two clauses": tuple(replace(each, reply="two clauses") for each in SETUPS),
    '"Sure."': tuple(replace(each, reply="Sure.") for each in SETUPS),
}
PAUSED = tuple(replace(each, pause_s=PAUSE_S) for each in (LIVEKITS, BOTH, SOON))
# As many calls at once as two cores hold.
ROUNDS = (
    (*TABLES["one clause"], *PAUSED),
    (*TABLES["two clauses"], *TABLES['"Sure."']),
)
# LiveKit's own options that may bring the reply sooner, with the reply for which they do most.
LEVERS = tuple(
    replace(each, reply="Sure.")
    for each in (
        LIVEKITS,
        BOTH,
        EARLY_VOICE,
        SOON,
        replace(EARLY_VOICE, name="with preemptive_tts, min_delay=0.3", min_delay=0.3),
        replace(EARLY_VOICE, name="with preemptive_tts, turn detector", turn_detector=True),
    )
)
# Goals of the ratio to LiveKit's adapters, for all of `SETUPS` but the first.
MOST = {
    "one clause": (0.63, 0.62, 0.57),
    "two clauses": (0.56, 0.55, 0.50),
    '"Sure."': (0.57, 0.50, 0.46),
}

STREAMERS: dict[str, Callable[[str], Streamer]] = {
    each.name: each for each in (SpekoStreamer, DeepgramStreamer)
}
OURS, THEIRS = STREAMERS
# A multiple of a segment, and a word more.
SPOKEN_S = 4.2
FEW, MANY = 4, 50
SPREAD_S = 0.5


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    turns: Figures = figures["turns"]
    for opening, goals in MOST.items():
        base, *rest = (each for each in TABLES[opening] if each.name != STREAMING.name)
        base_ms = median(column(turns, base, "first audio"))
        for setup, goal in zip(rest, goals, strict=True):
            ratio = median(column(turns, setup, "first audio")) / base_ms
            yield Aim(f"last sound to first audio, {setup.name}, {opening}", goal, ratio)
    for setup, wasted in ((BOTH, 0), (replace(BOTH, pause_s=PAUSE_S), 1)):
        of = f"an utterance with a pause of {setup.pause_s:g} s, streaming, eager"
        yield Aim(f"{of}: requests to /v1/transcribe", 0, max(column(turns, setup, "STT")))
        yield Aim(f"{of}: finals", 1, max(column(turns, setup, "finals")))
        yield Aim(f"{of}: replies wasted", wasted, max(column(turns, setup, "LLM")) - 1)
    row = {(each["client"], each["streams"]): each for each in figures["streams"]}
    for kind in ("interim", "final"):
        over_ms = row[OURS, FEW][f"{kind}_ms"]
        yield Aim(f"{kind}: ms over the upstream's delay, median", 2, median(over_ms))
        yield Aim(f"{kind}: ms over the upstream's delay, p95", 5, p95(over_ms))
    ratio = row[OURS, MANY]["cpu_ms"] / row[THEIRS, MANY]["cpu_ms"]
    yield Aim(f"CPU for a minute of audio, over {THEIRS}'s", 0.8, ratio)
    late_ms = p95(row[OURS, MANY]["late_ms"])
    yield Aim(f"{MANY} streams in a process: lateness of audio sent, p95, ms", 20, late_ms)


def streamed(gateway: Gateway) -> list[Row]:
    """Measure the streams: the rows of both clients, which take turns."""
    rows = []
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker("benchmarks.streaming", of, gateway.url)) for of in STREAMERS
        ]
        for worker in workers:
            worker.wait()
        for count in (FEW, MANY):
            for worker in workers:
                for at in range(count):
                    gateway.line(line_of(at), words=words(SPOKEN_S), notes_audio=True)
                gateway.reset()
                row = worker.do(("speak", count, SPREAD_S))
                row["late_ms"] = list(lateness(row.pop("began_s"), gateway.stats()["audio"]))
                rows.append(row)
    return rows


def line_of(stream: int) -> str:
    """Name the line of a stream."""
    return f"stream-{stream}"


def lateness(began_s: list[float], audio: dict[str, list[tuple[float, float]]]) -> Iterator[float]:
    """Yield how much later, in ms, each piece of audio came than its last sample was spoken."""
    for at, began in enumerate(began_s):
        for arrived_s, audio_s in audio[line_of(at)]:
            yield 1e3 * (arrived_s - began - audio_s)


async def work(of: str, url: str) -> None:
    """Do the steps that standard input has, until it ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        step: Step = json.loads(line)
        waited = Waited()
        row = await speak(STREAMERS[of], url, count=step[1], spread_s=step[2])
        print(json.dumps({**row, "waited_percent": waited.percent()}), flush=True)


async def speak(make: Callable[[str], Streamer], url: str, *, count: int, spread_s: float) -> Row:
    """Have that many callers speak at once."""
    dice = random.Random(0)

    async def caller(streamer: Streamer, after_s: float) -> Any:
        await asyncio.sleep(after_s)
        return await streamer.speak(SPOKEN_S)

    streamers = [make(f"{url}/lines/{line_of(at)}") for at in range(count)]
    for streamer in streamers:
        streamer.open()
    await asyncio.sleep(CONNECT_S)
    cpu = CpuTime()
    calls = (caller(each, dice.uniform(0, spread_s)) for each in streamers)
    heard = await asyncio.gather(*calls)
    cpu_ms = cpu.ms()
    for streamer in streamers:
        await streamer.aclose()
    return {
        "streams": count,
        "cpu_ms": cpu_ms * 60 / (count * SPOKEN_S),
        "began_s": [each.began_s for each in heard],
        "interim_ms": [ms for each in heard for ms in each.interim_ms],
        "final_ms": [ms for each in heard for ms in each.final_ms],
    }


def print_streams(rows: list[Row]) -> None:
    """Print the table of the streams."""
    base = {row["streams"]: row["cpu_ms"] for row in rows if row["client"] == THEIRS}

    def cells(row: Row) -> Iterator[object]:
        yield from (row["client"], row["streams"], row["cpu_ms"] / base[row["streams"]])
        yield row["cpu_ms"]
        for name in ("interim_ms", "final_ms", "late_ms"):
            yield from (median(row[name]), p95(row[name]))
        yield row["waited_percent"]

    print(
        "Streams at once. ms of CPU for a minute of audio; ms from audio to interim and from flush "
        "to final, over the upstream's delay; ms by which audio came late at the upstream\n"
    )
    kinds = ("interim", "p95", "final", "p95", "late", "p95", "waited, %")
    head = ("", "streams", f"CPU / {THEIRS}'s", "CPU", *kinds)
    print_table(head, (list(cells(row)) for row in rows))


def print_turns(figures: Figures) -> None:
    """Print the tables of the sessions."""
    for opening, setups in TABLES.items():
        print_steps(opening, setups, figures, STEPS[1:])
    print_counts("An utterance without a pause", TABLES["one clause"], figures)
    print_counts(f"An utterance with {PAUSE_S} s of silence put into it", PAUSED, figures)


def main() -> None:
    """Measure and print; or measure the streams of one client, in a process of its own."""
    command = parser(__doc__)
    command.add_argument("--times", type=int, default=1, help="turns of each utterance")
    command.add_argument("--levers", action="store_true", help="LiveKit's own options instead")
    command.add_argument("--of", help=argparse.SUPPRESS)
    command.add_argument("--url", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.of is not None:
        asyncio.run(work(options.of, options.url))
        return
    turns: Figures = {}
    rows: list[Row] = []
    with Gateway() as gateway:
        for setups in (LEVERS,) if options.levers else ROUNDS:
            turns |= asyncio.run(measured(gateway, setups, options.times))
        late_ms = gateway.stats()["late_ms"]
        if not options.levers:
            rows = streamed(gateway)
    print(f"{machine()}; the gateway's writes were {late_ms['p95']:.1f} ms late at p95\n")
    if options.levers:
        print_steps('"Sure."', LEVERS, turns, STEPS[1:])
        return
    print_turns(turns)
    print_streams(rows)
    figures = {"machine": machine(), "late_ms": late_ms, "turns": turns, "streams": rows}
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
