"""Turns of a conversation with random faults and cancellations, and the resources they leave.

    python -m tests.soak --turns 10000 --seed 1
    python -m tests.soak --realtime --turns 1000

prints a line for every fifty turns, or for every round of calls with voice models.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
from livekit.agents import APIError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko
from tests.helpers.llm_calls import make_llm
from tests.helpers.stt_calls import SPEECH, make_stt
from tests.helpers.support import conversation
from tests.helpers.tts_calls import make_tts
from tests.soak.faults import FAULTS
from tests.soak.realtime import RealtimeSoak
from tests.soak.sample import Sample

EVERY = 50
AT_ONCE = 10
REFUSED = "refused"
# LiveKit's first retry comes after 0.1 s whatever is set here.
CONN_OPTIONS = APIConnectOptions(max_retry=1, retry_interval=0.01, timeout=0.15)
LATEST_CANCEL_S, SOONEST_CANCEL_S = 0.03, 0.000_03


class Soak:
    """Turns on one client, ten at a time.

    Attributes:
        ends: How often the calls ended in which way.
    """

    def __init__(self, speko: Speko, seed: int) -> None:
        """Prepare turns that are the same for the same seed."""
        self.ends: Counter[str] = Counter()
        self._speko = speko
        self._seed = seed
        # Turns that were begun.
        self._turns = 0
        # How many errors the loop has reported.
        self._reports = 0
        # How many threads there were before.
        self._threads = threading.active_count()

    async def run(self, turns: int) -> AsyncIterator[Sample]:
        """Yield a sample after every fifty turns."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._report)
        for most in range(EVERY, turns + 1, EVERY):
            await asyncio.gather(*(self._take_turns(most) for _ in range(AT_ONCE)))
            yield await self._sample()

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._reports += 1

    async def _take_turns(self, most: int) -> None:
        while self._turns < most:
            self._turns += 1
            await self._turn(random.Random(f"{self._seed}.{self._turns}"), self._turns)

    async def _turn(self, chance: random.Random, turn: int) -> None:
        ears = make_stt(self._speko, session_id=session_id(chance, turn))
        await self._call(chance, ears.recognize(SPEECH, conn_options=CONN_OPTIONS))
        agent_id = f"agent-{turn}" if chance.random() < 0.2 else None
        model = make_llm(self._speko, session_id=session_id(chance, turn), agent_id=agent_id)
        stream = model.chat(chat_ctx=conversation(), conn_options=CONN_OPTIONS)
        await self._call(chance, read(stream))
        await model.aclose()
        voice = make_tts(self._speko, session_id=session_id(chance, turn), convert_audio=True)
        await self._call(chance, read(voice.synthesize("Hi.", conn_options=CONN_OPTIONS)))

    async def _call(self, chance: random.Random, call: Coroutine[Any, Any, Any]) -> None:
        """Make a call, and cancel one in three."""
        task = asyncio.create_task(call)
        if chance.random() < 1 / 3:
            share: float = chance.random()
            delay_s = SOONEST_CANCEL_S * (LATEST_CANCEL_S / SOONEST_CANCEL_S) ** share
            await asyncio.wait([task], timeout=delay_s)
            task.cancel()
        await asyncio.wait([task])
        if task.cancelled():
            self.ends["cancelled"] += 1
        elif (error := task.exception()) is None:
            self.ends["well"] += 1
        elif isinstance(error, APIError):
            self.ends[type(error).__name__] += 1
        else:
            raise error

    async def _settle(self) -> None:
        """Wait for the tasks and threads that are about to end."""
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left, timeout=1)
        for _ in range(100):
            if threading.active_count() <= self._threads:
                break
            await asyncio.sleep(0.01)

    async def _sample(self) -> Sample:
        await self._settle()
        return Sample.take(self._turns, self._reports)


def session_id(chance: random.Random, turn: int) -> str:
    """Request a fault for one or two attempts, or in half of the cases no fault."""
    fault = chance.choice([REFUSED, *FAULTS]) if chance.random() < 0.5 else "healthy"
    return f"{fault}.{chance.randint(1, 2)}.{turn}-{chance.random()}"


async def read(stream: Any) -> None:
    """Read a LiveKit stream to its end."""
    async with stream:
        async for _ in stream:
            pass


@asynccontextmanager
async def service(module: str) -> AsyncIterator[dict[str, Any]]:
    """The service, in a process of its own.

    Yields its address, to which what it printed at its end is added.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        address = json.loads(await process.stdout.readline())
        yield address
    finally:
        process.stdin.close()
        last = await process.stdout.read()
        await process.wait()
    address.update(json.loads(last or "{}"))


def make_client(address: dict[str, Any]) -> httpx.AsyncClient:
    """A client that sends a request to a refusing port when its session id says so."""

    async def detour(request: httpx.Request) -> None:
        if request.headers.get("x-session-id", "").startswith(REFUSED):
            request.url = request.url.copy_with(port=address["refusing_port"])

    limits = httpx.Limits(max_keepalive_connections=AT_ONCE)
    return httpx.AsyncClient(event_hooks={"request": [detour]}, limits=limits, trust_env=False)


async def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description="Turns with random faults and cancellations.")
    parser.add_argument("--turns", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--realtime", action="store_true", help="calls with voice models")
    options = parser.parse_args()
    logging.disable()  # every other call fails, and LiveKit says so
    soak = soak_realtime if options.realtime else soak_requests
    ends = await soak(options.turns, options.seed)
    print(" ".join(f"{end}={count}" for end, count in sorted(ends.items())))


async def soak_requests(turns: int, seed: int) -> Counter[str]:
    """Make requests, and print the samples; return how often they ended in which way."""
    async with service("tests.soak.faults") as address, make_client(address) as http_client:
        speko = Speko(
            base_url=address["base_url"], api_key=address["api_key"], http_client=http_client
        )
        soak = Soak(speko, seed)
        async for sample in soak.run(turns):
            print(sample, flush=True)
    return soak.ends


async def soak_realtime(turns: int, seed: int) -> Counter[str]:
    """Talk with voice models, and print the samples; return how often each fault was met."""
    async with service("tests.soak.voice_models") as address:
        speko = Speko(base_url=address["base_url"], api_key=address["api_key"])
        soak = RealtimeSoak(speko, seed)
        async for sample in soak.run(turns):
            print(sample, flush=True)
        await soak.aclose()
        await speko.aclose()
    if address["problems"]:
        raise RuntimeError("\n".join(address["problems"]))
    return soak.ends + Counter(address["turns"])


if __name__ == "__main__":
    asyncio.run(main())
