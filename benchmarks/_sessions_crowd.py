"""Sessions that share a client or have one each, and the load that they make, for `clients`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import httpx

from benchmarks._common import API_KEY, INTENT, trusting_context
from benchmarks._sessions_lanes import Lanes
from livekit_plugins_speko import Speko

SESSIONS = 50
FIRST_TOKEN_MS = 250
EXPIRY_S = 300.0
# Between two turns of a session, at most.
PAUSE_S = 3.0
UPLOAD = bytes(64_000)
SENTENCE = "It is sunny in Paris, with a light wind."
LANES = "lanes"
CONTEXT = trusting_context()

Keep: TypeAlias = int | str | None
"""Connections that httpx is to keep, `LANES`, or None for `Speko` as it is."""


@dataclass(frozen=True)
class Way:
    """A way to give sessions their clients."""

    shared: bool
    keep: Keep

    @property
    def name(self) -> str:
        pool = f"httpx, {LANES if self.keep == LANES else f'keep {self.keep}'}"
        pool = "Speko()" if self.keep is None else pool
        return f"{'one for all' if self.shared else 'one each'}: {pool}"


def http_client(keep: Keep) -> httpx.AsyncClient:
    """A client of httpx as `Speko` uses it, whose TLS context everyone shares."""
    if keep == LANES:
        return httpx.AsyncClient(transport=Lanes(CONTEXT, EXPIRY_S), trust_env=False)
    assert isinstance(keep, int)
    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=keep, keepalive_expiry=EXPIRY_S
    )
    return httpx.AsyncClient(verify=CONTEXT, limits=limits, trust_env=False)


@asynccontextmanager
async def crowd(way: Way, url: str) -> AsyncIterator[list[Speko]]:
    """The client of each session, one and the same if they share it."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(1 if way.shared else SESSIONS):
            own = None if way.keep is None else http_client(way.keep)
            if own is not None:
                await stack.enter_async_context(own)
            speko = Speko(base_url=url, api_key=API_KEY, http_client=own)
            clients.append(await stack.enter_async_context(speko))
        yield clients * (SESSIONS // len(clients))


async def bursts(clients: list[Speko], times: int) -> list[float]:
    """Milliseconds over the upstream's delay until each first token."""
    return [over for _ in range(times) for over in await burst(clients)]


async def burst(clients: list[Speko]) -> list[float]:
    """All sessions ask for a reply at once."""
    return await asyncio.gather(*(reply(speko) for speko in clients))


async def steady(clients: list[Speko], seconds: float) -> list[float]:
    """All sessions hold a conversation, each with pauses of its own."""
    end_s = time.perf_counter() + seconds

    async def converse(speko: Speko, dice: random.Random) -> list[float]:
        over = []
        while (pause_s := dice.uniform(0, PAUSE_S)) < end_s - time.perf_counter():
            await asyncio.sleep(pause_s)
            await speko.transcribe(UPLOAD, language="en")
            over.append(await reply(speko))
            await asyncio.gather(speak(speko), speak(speko))  # two sentences, one ahead
        return over

    turns = (converse(speko, random.Random(seed)) for seed, speko in enumerate(clients))
    return [over for each in await asyncio.gather(*turns) for over in each]


async def reply(speko: Speko) -> float:
    """Read a reply; return the milliseconds over the upstream's delay until its first token."""
    began_s = time.perf_counter()
    first_s = 0.0
    messages = [{"role": "user", "content": "What is the weather in Paris today?"}]
    async for event in speko.complete_stream(messages=messages, intent=INTENT):
        if not first_s and event.type == "delta":
            first_s = time.perf_counter()
    return 1e3 * (first_s - began_s) - FIRST_TOKEN_MS


async def speak(speko: Speko) -> None:
    """Read a sentence's audio."""
    async with await speko.synthesize_stream(SENTENCE, language="en") as audio:
        async for _ in audio:
            pass
