"""Conversations with the gateway's voice model: many in a process, and what the gateway noted."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, nullcontext
from dataclasses import asdict
from typing import Any

from livekit.plugins import silero

from benchmarks.common.cascade_calls import CASCADES
from benchmarks.common.gateway import Gateway
from benchmarks.common.report import CpuTime
from benchmarks.common.shares import functions, shares
from benchmarks.common.upstream import REPLY
from benchmarks.common.voice_calls import CALLS, VoiceCall
from benchmarks.common.voice_line import PIECE_MS, delivered_after
from benchmarks.common.worker import Row, Step, Waited, Worker, resident_kb

WAYS: dict[str, Any] = {**CALLS, **CASCADES}
SPREAD_S = 0.5
# For sessions to connect.
CONNECT_S = 1.0
SETTINGS: dict[str, Any] = {
    "piece_ms": PIECE_MS,
    "audio_speed": 5,
    "reply": REPLY[:11],
    "answer_audio_ms": 2_000,
    "notes_audio": True,
    # Of recognition that streams, in both utterances of a cascade's script.
    "words": [(0.25, "What"), (0.5, "is"), (0.75, "there?"), (3.55, "And"), (3.8, "here?")],
}


def started(
    module: str,
    clients: Iterable[str],
    gateway: Gateway,
    stack: ExitStack,
    flags: Sequence[str] = (),
) -> dict[str, Worker]:
    """Start a process for each client, which `stack` ends, and wait until all are ready."""
    workers = {}
    for of in clients:
        gateway.line(line_of(of, 0), **SETTINGS)
        workers[of] = stack.enter_context(Worker(module, of, gateway.url, flags))
    for worker in workers.values():
        worker.wait()
    return workers


def talked(gateway: Gateway, workers: dict[str, Worker], count: int) -> list[Row]:
    """Hold that many conversations in each process, in all at once: the rows."""
    for of in workers:
        for at in range(count):
            gateway.line(line_of(of, at), **SETTINGS)
    gateway.reset()
    with ThreadPoolExecutor() as threads:
        rows = list(threads.map(lambda each: each.do(("talk", count, SPREAD_S)), workers.values()))
    stats = gateway.stats()
    return [with_stats(row, stats) for row in rows]


def line_of(client: str, session: int) -> str:
    """Name the line of a session."""
    return f"voice-{list(WAYS).index(client)}-{session}"


def with_stats(row: Row, stats: dict[str, Any]) -> Row:
    """Add what only the gateway knows: how late the caller's audio was, and silences began."""
    sent_ms, silence_ms = [], []
    for at, heard in enumerate(row.pop("heard")):
        for arrived_s, audio_s in stats["audio"].get(line_of(row["client"], at), ()):
            delivered_s = heard["began_s"] + delivered_after(audio_s)
            if delivered_s > heard["spoke_s"]:
                sent_ms.append(1e3 * (arrived_s - delivered_s))
        row["response_ms"] += heard["response_ms"]
        row["first_ms"] += heard["first_ms"]
        row["piece_ms"] += heard["piece_ms"]
        row["missing"] += heard["missing"]
        if row["client"] in CALLS and heard["silenced_s"]:
            sent_s = stats["interruptions"][line_of(row["client"], at)]
            pairs = zip(heard["silenced_s"], sent_s, strict=False)
            silence_ms += [1e3 * (silenced_s - at_s) for silenced_s, at_s in pairs]
    share = {"gateway_percent": stats["cpu_percent"]}
    return {**row, **share, "sent_ms": sent_ms, "silence_ms": silence_ms}


async def work(of: str, url: str, *, with_vad: bool = False, with_profile: bool = False) -> None:
    """Do the steps that standard input has, until it ends."""
    detector = silero.VAD.load() if with_vad else None

    def make(at: int) -> VoiceCall:
        call: VoiceCall = WAYS[of](f"{url}/lines/{line_of(of, at)}", detector)
        return call

    await talk(make, count=1, spread_s=0.0)  # what the first call of a process loads
    print("ready", flush=True)
    for line in sys.stdin:
        step: Step = json.loads(line)
        profile = cProfile.Profile() if with_profile else None
        row = await talk(make, count=step[1], spread_s=step[2], profile=profile)
        print(json.dumps(row), flush=True)


async def talk(
    make: Callable[[int], VoiceCall],
    *,
    count: int,
    spread_s: float,
    profile: cProfile.Profile | None = None,
) -> Row:
    """Hold that many conversations at once."""
    dice = random.Random(0)

    async def conversation(at: int, call: VoiceCall) -> dict[str, Any]:
        await asyncio.sleep(dice.uniform(0, spread_s))
        return asdict(await call.talk(call.script(at)))

    before_kb = resident_kb()
    async with AsyncExitStack() as stack:
        calls: list[VoiceCall] = []
        stack.push_async_callback(close, calls)
        for at in range(count):
            calls.append(make(at))
            await calls[-1].start()
        await asyncio.sleep(CONNECT_S)
        # A pass over all that was imported comes once in a while, and takes as long as a minute of
        # a call: by chance it would be in the one measurement or the other. LiveKit's workers
        # freeze it too.
        gc.collect()
        gc.freeze()
        with profile or nullcontext():
            cpu, waited, began_s = CpuTime(), Waited(), time.monotonic()
            heard = await asyncio.gather(*map(conversation, range(count), calls))
            minutes = count * (time.monotonic() - began_s) / 60
            row: Row = {"sessions": count, "cpu_ms": cpu.ms() / minutes}
        row["waited_percent"] = waited.percent()
        row["memory_kb"] = (resident_kb() - before_kb) / count
        row["profile"] = shares(profile) if profile is not None else []
        row["functions"] = functions(profile) if profile is not None else []
    return {**row, "heard": heard, "response_ms": [], "first_ms": [], "piece_ms": [], "missing": 0}


async def close(calls: list[VoiceCall]) -> None:
    """Close them all at once: a session takes seconds for it."""
    await asyncio.gather(*(call.aclose() for call in calls))
