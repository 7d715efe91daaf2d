"""Conversations with the gateway's voice model: many in a process, and what the gateway noted."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict
from typing import Any

from benchmarks.common.gateway import Gateway
from benchmarks.common.report import CpuTime
from benchmarks.common.upstream import REPLY
from benchmarks.common.voice_calls import CALLS, VoiceCall
from benchmarks.common.voice_line import PIECE_MS, delivered_after, script_of
from benchmarks.common.worker import Row, Step, Waited, Worker

SPREAD_S = 0.5
# For sessions to connect.
CONNECT_S = 1.0
SETTINGS: dict[str, Any] = {
    "piece_ms": PIECE_MS,
    "audio_speed": 5,
    "reply": REPLY[:11],
    "answer_audio_ms": 2_000,
    "notes_audio": True,
}


def started(
    module: str, clients: Iterable[str], gateway: Gateway, stack: ExitStack
) -> dict[str, Worker]:
    """Start a process for each client, which `stack` ends, and wait until all are ready."""
    workers = {}
    for of in clients:
        gateway.line(line_of(of, 0), **SETTINGS)
        workers[of] = stack.enter_context(Worker(module, of, gateway.url))
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
    return f"voice-{list(CALLS).index(client)}-{session}"


def with_stats(row: Row, stats: dict[str, Any]) -> Row:
    """Add what only the gateway knows: how late the caller's audio was, and silences began."""
    sent_ms, silence_ms = [], []
    for at, heard in enumerate(row.pop("heard")):
        for arrived_s, audio_s in stats["audio"].get(line_of(row["client"], at), ()):
            delivered_s = heard["began_s"] + delivered_after(audio_s)
            sent_ms.append(1e3 * (arrived_s - delivered_s))
        row["response_ms"] += heard["response_ms"]
        row["first_ms"] += heard["first_ms"]
        row["piece_ms"] += heard["piece_ms"]
        if heard["silenced_s"]:
            sent_s = stats["interruptions"][line_of(row["client"], at)]
            pairs = zip(heard["silenced_s"], sent_s, strict=True)
            silence_ms += [1e3 * (silenced_s - at_s) for silenced_s, at_s in pairs]
    return {**row, "sent_ms": sent_ms, "silence_ms": silence_ms}


async def work(of: str, url: str) -> None:
    """Do the steps that standard input has, until it ends."""
    await talk(of, url, count=1, spread_s=0.0)  # what the first call of a process loads
    print("ready", flush=True)
    for line in sys.stdin:
        step: Step = json.loads(line)
        print(json.dumps(await talk(of, url, count=step[1], spread_s=step[2])), flush=True)


async def talk(of: str, url: str, *, count: int, spread_s: float) -> Row:
    """Hold that many conversations at once."""
    dice = random.Random(0)

    async def conversation(at: int, call: VoiceCall) -> dict[str, Any]:
        await asyncio.sleep(dice.uniform(0, spread_s))
        return asdict(await call.talk(script_of(at)))

    async with AsyncExitStack() as stack:
        calls: list[VoiceCall] = []
        for at in range(count):
            calls.append(CALLS[of](f"{url}/lines/{line_of(of, at)}"))
            stack.push_async_callback(calls[-1].aclose)
            await calls[-1].start()
        await asyncio.sleep(CONNECT_S)
        # A pass over all that was imported comes once in a while, and takes as long as a minute of
        # a call: by chance it would be in the one measurement or the other.
        gc.collect()
        gc.freeze()
        cpu, waited, began_s = CpuTime(), Waited(), time.monotonic()
        heard = await asyncio.gather(*map(conversation, range(count), calls))
        minutes = count * (time.monotonic() - began_s) / 60
        row: Row = {"sessions": count, "cpu_ms": cpu.ms() / minutes}
        row["waited_percent"] = waited.percent()
    return {**row, "heard": heard, "response_ms": [], "first_ms": [], "piece_ms": []}
