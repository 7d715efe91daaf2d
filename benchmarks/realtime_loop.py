"""The longest block of the event loop in a call with a voice model, its first turn included.

As in `event_loop`, each run is a process of its own with everything imported, over TLS. It makes a
whole session, and holds two turns with the gateway's voice model. LiveKit's own part of a process's
first session takes longer than all that follows, so a session with a model that does nothing comes
before, in a step of its own.

    .venv/bin/python -m benchmarks.realtime_loop [--runs 2] [--json FILE]
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

from benchmarks.common import voice_calls
from benchmarks.common.gateway import Gateway
from benchmarks.common.report import Aim, parser, write_json
from benchmarks.common.stopwatch import (
    Blocks,
    Stopwatch,
    gateway_is_trusted,
    in_fresh_processes,
    print_blocks,
)
from benchmarks.common.voice_calls import (
    CALLS,
    OpenAICall,
    ProxyCall,
    SilentCall,
    VoiceCall,
    XaiCall,
)
from benchmarks.common.voice_line import PIECE_MS, Script

ALONE = "LiveKit's own first session"
STEPS = (ALONE, "client", "session", "first turn", "second turn")
WAYS = (ProxyCall.name, XaiCall.name, OpenAICall.name)
# For a session to connect, also over TLS.
CONNECT_S = 0.3
QUICK = {"answer_audio_ms": 400, "piece_ms": PIECE_MS, "audio_speed": 5}
TURN = Script(1.3, ((0.1, 0.4),))


async def call(watch: Stopwatch, name: str, url: str) -> None:
    """Hold a call of two turns."""

    async def client() -> VoiceCall:
        made: VoiceCall = CALLS[name](url)
        return made

    async def session() -> None:
        await made.start()
        await asyncio.sleep(CONNECT_S)

    silent = SilentCall("")
    await watch.during(ALONE, silent.start)
    await silent.aclose()
    made = await watch.during("client", client)
    await watch.during("session", session)
    for step in STEPS[-2:]:
        await watch.during(step, lambda: made.talk(TURN))
    await made.aclose()


def one_run(job: tuple[str, str]) -> Blocks:
    """Return the longest callback of each step, in this fresh process."""
    name, url = job
    gc.disable()
    watch = Stopwatch(STEPS)
    watch.install()
    asyncio.run(call(watch, name, url))
    return watch.longest


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    for name in WAYS[:2]:
        ours = (runs for step, runs in figures[name].items() if step != ALONE)
        longest_ms = max(min(wall for wall, _ in runs) for runs in ours)
        yield Aim(f"{name}: longest block of the event loop, ms", 5, longest_ms)


def main() -> None:
    """Measure and print."""
    command = parser(__doc__)
    command.add_argument("--runs", type=int, default=2)
    options = command.parse_args()
    with Gateway(tls=True) as gateway, gateway_is_trusted():
        url = gateway.line("quick", **QUICK)
        preload = (voice_calls.__name__,)
        figures = in_fresh_processes(one_run, WAYS, url, runs=options.runs, preload=preload)
    print_blocks(figures, options.runs)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
