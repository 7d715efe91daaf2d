"""One client for all sessions of a process, or a client each; and how many connections to keep.

    .venv/bin/python -m benchmarks.clients [--keep 10 200] [--plain] [--seconds 4] [--json FILE]

Why it matters, from httpcore 1.0.9, `AsyncConnectionPool._assign_requests_to_connections`, which
runs when a request begins and again when it ends:

- It asks the socket of every idle connection, with a system call, whether the server hung up.
- To find surplus ones it counts, for each idle connection, all connections anew: work that grows
  with the square of their number.
- That count is of all connections, busy ones too, although it is held against the number of idle
  ones to keep: while more than that are busy, each one that becomes idle is closed, and the next
  request connects anew.

So one pool for many sessions either loses its connections or walks through them. The rows "lanes"
are httpx with a pool for each connection (`_sessions_lanes.Lanes`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import httpx

from benchmarks._common import (
    API_KEY,
    CpuTime,
    Gateway,
    machine,
    median,
    p95,
    parser,
    print_table,
    write_json,
)
from benchmarks._sessions_crowd import (
    FIRST_TOKEN_MS,
    LANES,
    SESSIONS,
    UPLOAD,
    Keep,
    Way,
    burst,
    bursts,
    crowd,
    http_client,
    steady,
)
from benchmarks._sessions_worker import resident_kb
from benchmarks.gateway import CERTIFICATE
from livekit_plugins_speko import Speko

BURSTS = 3
IDLE = (1, 10, 50, 150)
IDLE_DELAY_MS = 50
IDLE_ROUNDS = 25
CLIENTS = 100


async def main() -> None:
    """Measure and print."""
    command = parser(__doc__)
    command.add_argument("--keep", type=int, nargs="*", default=[10, 200])
    command.add_argument("--plain", action="store_true", help="HTTP without TLS")
    command.add_argument("--seconds", type=float, default=4.0, help="of steady load")
    options = command.parse_args()
    os.environ["SSL_CERT_FILE"] = str(CERTIFICATE)  # whom `Speko()` trusts
    figures: dict[str, Any] = {}
    with Gateway(tls=not options.plain) as gateway:
        scheme = "HTTP" if options.plain else "TLS"
        print(f"{machine()}; {scheme}; {SESSIONS} sessions in one process; milliseconds\n")
        # First: later it is served from memory that was free again.
        figures["memory"] = await memory(gateway.line("memory", recognition_ms=0))
        print_memory(figures["memory"])
        figures["load"] = await loads(gateway, options)
        print_loads(figures["load"])
        figures["idle"] = await idles(gateway.line("idle", recognition_ms=IDLE_DELAY_MS))
        print_idles(figures["idle"])
    write_json(options.json, figures)


async def loads(gateway: Gateway, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The figures of each way, one after the other."""
    keeps: list[Keep] = [None, *options.keep, LANES]
    figures = {}
    for way in (Way(shared, keep) for shared in (True, False) for keep in keeps):
        async with crowd(way, gateway.url) as clients:
            # Opens the connections: a session has two requests at a time.
            await burst(clients if way.shared else clients * 2)
            figures[way.name] = {
                **await measured(gateway, "burst", bursts(clients, BURSTS)),
                **await measured(gateway, "steady", steady(clients, options.seconds)),
            }
    return figures


async def measured(gateway: Gateway, name: str, load: Any) -> dict[str, float]:
    """What a load says of the first tokens, and what it took."""
    gateway.reset()
    cpu = CpuTime()
    over = await load
    cpu_ms = cpu.ms()
    stats = gateway.stats()
    return {
        f"{name}_p50_ms": median(over),
        f"{name}_p95_ms": p95(over),
        f"{name}_cpu_ms": cpu_ms / len(stats["records"]),
        # As many first tokens as turns.
        f"{name}_connections": stats["connections"] / len(over),
        f"{name}_gateway_late_ms": stats["late_ms"]["p95"],
    }


async def idles(url: str) -> dict[str, dict[str, float]]:
    """One request at a time beside idle connections, in bare httpx."""
    figures = {}
    for keep in (IDLE[-1], LANES):
        for count in IDLE:
            async with http_client(keep) as client:
                await asyncio.gather(*(upload(client, url) for _ in range(count)))
                cpu = CpuTime()
                over = [await upload(client, url) for _ in range(IDLE_ROUNDS)]
                figures[f"{'one pool' if keep != LANES else LANES}, {count}"] = {
                    "over_ms": median(over),
                    "over_p95_ms": p95(over),
                    "cpu_ms": cpu.ms() / IDLE_ROUNDS,
                }
    return figures


async def upload(client: httpx.AsyncClient, url: str) -> float:
    """One request; return its milliseconds over the upstream's delay."""
    began_s = time.perf_counter()
    async with client.stream("POST", f"{url}/v1/transcribe", content=UPLOAD) as response:
        async for _ in response.aiter_raw():
            pass
    return 1e3 * (time.perf_counter() - began_s) - IDLE_DELAY_MS


async def memory(url: str) -> dict[str, float]:
    """What a client takes: memory, and time to make it."""
    async with Speko(base_url=url, api_key=API_KEY) as first:
        await first.transcribe(UPLOAD, language="en")  # what only the first one costs
    before_kb, began_s = resident_kb(), time.perf_counter()
    clients = [Speko(base_url=url, api_key=API_KEY) for _ in range(CLIENTS)]
    made_s, made_kb = time.perf_counter() - began_s, resident_kb()
    for speko in clients:
        await speko.transcribe(UPLOAD, language="en")
    connected_kb = resident_kb()
    for speko in clients:
        await speko.aclose()
    return {
        "made_ms": 1e3 * made_s / CLIENTS,
        "made_kb": (made_kb - before_kb) / CLIENTS,
        "connected_kb": (connected_kb - before_kb) / CLIENTS,
    }


def print_loads(figures: dict[str, dict[str, float]]) -> None:
    """Print the table of the bursts and the conversations, the ratios first."""
    base = figures[Way(shared=False, keep=None).name]
    ratios = ("burst_p50_ms", "steady_p50_ms", "steady_cpu_ms")
    shown = [name for name in base if "gateway" not in name]

    def rows() -> Iterator[tuple[object, ...]]:
        for name, each in figures.items():
            yield (name, *(each[of] / base[of] for of in ratios), *(each[of] for of in shown))

    late_ms = max(each["steady_gateway_late_ms"] for each in figures.values())
    print(
        f"Until the first token, over the upstream's {FIRST_TOKEN_MS}: all {SESSIONS} sessions at "
        "once, then in conversation. CPU for a request; connections opened for a reply or turn. "
        f"Ratios are to a Speko() each. The gateway's own writes were late by {late_ms:.2f} (p95) "
        "in conversation, at most.\n"
    )
    head = ("burst", "turns", "CPU", "burst p50", "p95", "CPU", "opened")
    print_table(("client", *head, "turns p50", "p95", "CPU", "opened"), rows())


def print_idles(figures: dict[str, dict[str, float]]) -> None:
    """Print the table of the idle connections."""
    base = next(iter(figures.values()))
    ratios = ("over_ms", "cpu_ms")
    print("Bare httpx, one request at a time beside idle connections. Ratios are to one.\n")
    print_table(
        ("kept in", "over", "CPU", "over p50", "p95", "CPU"),
        (
            (name, *(each[of] / base[of] for of in ratios), *each.values())
            for name, each in figures.items()
        ),
    )


def print_memory(figures: dict[str, float]) -> None:
    """Print what a client takes."""
    made, connected = figures["made_kb"], figures["connected_kb"]
    print(f"A `Speko()` is made in {figures['made_ms']:.2f} ms and takes {made:.1f} kB of memory,")
    print(f"with a connection {connected:.1f} kB.\n")


if __name__ == "__main__":
    asyncio.run(main())
