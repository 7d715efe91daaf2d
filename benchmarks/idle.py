"""The connections that a turn opens after a caller has been silent for a minute, over TLS.

It takes that minute, in which it does nothing: it can run beside the other benchmarks.

    .venv/bin/python -m benchmarks.idle [--seconds 60] [--json FILE]
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.common.callers import Caller, OpenAIPlugin, SpekoPlugin
from benchmarks.common.gateway import CERTIFICATE, Gateway
from benchmarks.common.report import Aim, parser, print_table, write_json

TURN = ("stt", "llm", "tts")


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    opened = figures[SpekoPlugin.name]["second"][0]
    yield Aim("connections that a second turn opens after 60 s, TLS", 0, opened)


async def main() -> None:
    """Take a turn, wait, take another, and print how many connections each opened."""
    command = parser(__doc__)
    command.add_argument("--seconds", type=float, default=60.0)
    options = command.parse_args()
    os.environ["SSL_CERT_FILE"] = str(CERTIFICATE)
    with Gateway(tls=True) as ours, Gateway(tls=True) as theirs:
        callers = {ours: SpekoPlugin(ours.url), theirs: OpenAIPlugin(theirs.url)}
        first = [await turn(gateway, caller) for gateway, caller in callers.items()]
        await asyncio.sleep(options.seconds)
        second = [await turn(gateway, caller) for gateway, caller in callers.items()]
        for caller in callers.values():
            await caller.aclose()
    names = [caller.name for caller in callers.values()]
    figures = {n: {"first": a, "second": b} for n, a, b in zip(names, first, second, strict=True)}
    print(f"Two turns over TLS, {options.seconds:g} s apart: connections opened, and how long\n")
    head = ("client", "first turn", "second turn", "first, ms", "second, ms")
    rows = [(n, a[0], b[0], a[1], b[1]) for n, a, b in zip(names, first, second, strict=True)]
    print_table(head, rows)
    write_json(options.json, figures)


async def turn(gateway: Gateway, caller: Caller) -> tuple[int, float]:
    """Take one turn, request after request: the connections that it opened, its milliseconds."""
    gateway.reset()
    began = time.perf_counter()
    for stage in TURN:
        await getattr(caller, stage)()
    milliseconds = 1e3 * (time.perf_counter() - began)
    return gateway.stats()["connections"], milliseconds


if __name__ == "__main__":
    asyncio.run(main())
