"""The delay that a client adds to the service's own, and the CPU time of a request.

Bare httpx, this plugin and livekit-plugins-openai take turns with one request at a time, then 50
replies stream at once.

    .venv/bin/python -m benchmarks.overhead [--rounds 20] [--json FILE]
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

from benchmarks.common.callers import SENTENCE, BareHttpx, Caller, OpenAIPlugin, SpekoPlugin
from benchmarks.common.gateway import API_KEY, Gateway
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
from livekit_plugins_speko import Speko

OURS, THEIRS = SpekoPlugin.name, OpenAIPlugin.name
# Short, for many rounds in little time.
DELAY_MS = 30
SETTINGS = {
    "recognition_ms": DELAY_MS,
    "first_token_ms": DELAY_MS,
    "first_audio_ms": DELAY_MS,
    "token_ms": 3,
    "speech_ms": {SENTENCE: 1_200},
    "audio_speed": 16,
}
STAGES = {"llm": "first token", "tts": "first audio", "stt": "transcript"}
MOST_CPU = {"llm": 0.65, "tts": 1.0, "stt": 0.7}
WARM_UP_ROUNDS = 3
SETTLE_S = 0.003
"""After each response, for what a client does after it; it counts as the request's CPU time."""

STREAMS = 50
BURSTS = 3
BURST_FIRST_TOKEN_MS = 250
EACH, SHARED = f"{OURS}, a client each", f"{OURS}, one client for all"
THEIRS_EACH = f"{THEIRS}, a client each"

Samples: TypeAlias = dict[str, list[float]]


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    for stage, output in STAGES.items():
        over_ms = median(figures[stage]["over_ms"][OURS])
        yield Aim(f"{output}: ms over the upstream's delay", 3, over_ms)
    for stage in STAGES:
        cpu = figures[stage]["cpu_ms"]
        ratio = median(cpu[OURS]) / median(cpu[THEIRS])
        yield Aim(f"CPU of a request, {stage.upper()}, over {THEIRS}'s", MOST_CPU[stage], ratio)
    over = {name: median(each) for name, each in figures["burst"]["over_ms"].items()}
    for name in (EACH, SHARED):
        ratio = over[name] / over[THEIRS_EACH]
        yield Aim(f"{STREAMS} replies at once, {name}: first token over {THEIRS}'s", 0.6, ratio)


async def main() -> None:
    """Measure and print."""
    command = parser(__doc__)
    command.add_argument("--rounds", type=int, default=20)
    options = command.parse_args()
    figures = {}
    with Gateway() as gateway:
        url = gateway.line("overhead", **SETTINGS)
        print(f"{machine()}; {options.rounds} rounds, {DELAY_MS} ms upstream; milliseconds\n")
        for stage, output in STAGES.items():
            over, cpu = await one_at_a_time(url, stage, options.rounds)
            figures[stage] = {"over_ms": over, "cpu_ms": cpu}
            print_stage(output, over, cpu)
        gateway.print_share()
        burst = await bursts(gateway.line("burst", first_token_ms=BURST_FIRST_TOKEN_MS))
        figures["burst"] = {"over_ms": burst}
        print_burst(burst)
        gateway.print_share()
    write_json(options.json, figures)


async def one_at_a_time(url: str, stage: str, rounds: int) -> tuple[Samples, Samples]:
    """Milliseconds over the upstream's delay, and of CPU, for each client."""
    callers: list[Caller] = [BareHttpx(url), SpekoPlugin(url), OpenAIPlugin(url)]
    over: Samples = {caller.name: [] for caller in callers}
    cpu: Samples = {caller.name: [] for caller in callers}
    for index in range(WARM_UP_ROUNDS + rounds):
        first = index % len(callers)  # each comes after each other
        for caller in callers[first:] + callers[:first]:
            over_ms, cpu_ms = await measured(getattr(caller, stage))
            if index >= WARM_UP_ROUNDS:
                over[caller.name].append(over_ms)
                cpu[caller.name].append(cpu_ms)
    for caller in callers:
        await caller.aclose()
    return over, cpu


async def measured(call: Callable[[], Awaitable[float]]) -> tuple[float, float]:
    """One request: milliseconds over the upstream's delay, and of CPU."""
    cpu = CpuTime()
    began = time.perf_counter()
    first = await call()
    await asyncio.sleep(SETTLE_S)
    return 1e3 * (first - began) - DELAY_MS, cpu.ms()


async def bursts(url: str) -> Samples:
    """Milliseconds over the upstream's delay to each first token of replies that begin at once."""
    shared = Speko(base_url=url, api_key=API_KEY)
    crowds: dict[str, list[Caller]] = {
        SHARED: [SpekoPlugin(url, shared) for _ in range(STREAMS)],
        EACH: [SpekoPlugin(url) for _ in range(STREAMS)],
        THEIRS_EACH: [OpenAIPlugin(url) for _ in range(STREAMS)],
    }
    over: Samples = {name: [] for name in crowds}
    for index in range(1 + BURSTS):  # the first opens the connections
        for name, crowd in crowds.items():
            gc.collect()  # or one of them collects the garbage of all
            began = time.perf_counter()
            firsts = await asyncio.gather(*(caller.llm() for caller in crowd))
            if index > 0:
                over[name] += [1e3 * (at - began) - BURST_FIRST_TOKEN_MS for at in firsts]
    for crowd in crowds.values():
        for caller in crowd:
            await caller.aclose()
    await shared.aclose()
    return over


def print_stage(output: str, over: Samples, cpu: Samples) -> None:
    """Print one stage's table, the ratios to OpenAI's plugin first."""

    def rows() -> Iterator[tuple[object, ...]]:
        base_over, base_cpu = (median(samples[THEIRS]) for samples in (over, cpu))
        for name in over:
            over_ms, cpu_ms = median(over[name]), median(cpu[name])
            ratios = (over_ms / base_over, cpu_ms / base_cpu)
            yield (name, *ratios, over_ms, p95(over[name]), cpu_ms, p95(cpu[name]))

    head = ("added / openai's", "CPU / openai's", "added", "p95", "CPU", "p95")
    print_table((output, *head), rows())


def print_burst(over: Samples) -> None:
    """Print the table of the bursts."""
    base = median(over[THEIRS_EACH])
    print(f"{STREAMS} replies at once, {BURSTS} times; ms to the first token over the upstream's\n")
    print_table(
        ("client", "median / openai's", "median", "p95"),
        ((name, median(each) / base, median(each), p95(each)) for name, each in over.items()),
    )


if __name__ == "__main__":
    asyncio.run(main())
