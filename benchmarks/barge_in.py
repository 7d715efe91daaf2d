"""How long a cancelled call keeps its connection, beside the same request of bare httpx.

A caller who barges in cancels what is under way. The time is that from `Task.cancel` to the moment
when the service sees the connection closed, with the answer held at three places.

    .venv/bin/python benchmarks/barge_in.py
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx
from livekit import rtc
from livekit.agents import llm

from livekit_plugins_speko import Speko, SpekoLLM, SpekoSTT, SpekoTTS, frames_to_wav
from livekit_plugins_speko.testing import (
    Answer,
    Gate,
    GatewayRequest,
    LocalGateway,
    Reply,
    Speech,
    Transcript,
)

TIMES = 100
INTENT = {"language": "en"}
SILENCE = rtc.AudioFrame(bytes(3_200), 16_000, 1, 1_600)
PLACES = ("before the headers", "before the body", "in the middle")
PATHS = {
    "recognize": "/v1/transcribe",
    "chat": "/v1/complete",
    "synthesize": "/v1/synthesize",
}
Call: TypeAlias = Callable[[], Awaitable[None]]


async def main() -> None:
    """Measure each stage at each place, and print a line for each."""
    print(f"Python {sys.version.split()[0]}, {TIMES} times each, milliseconds until it is closed")
    head = ("stage", "held", "median", "worst", "bare httpx, median", "ratio")
    print("| " + " | ".join(head) + " |\n" + "| --- " * len(head) + "|")
    for stage in PATHS:
        for place in PLACES:
            ours, bare = await measured(stage, place)
            ratio = statistics.median(ours) / statistics.median(bare)
            figures = (statistics.median(ours), max(ours), statistics.median(bare), ratio)
            print(f"| {stage} | {place} | " + " | ".join(f"{each:.2f}" for each in figures) + " |")


async def measured(stage: str, place: str) -> tuple[list[float], list[float]]:
    """Milliseconds of each cancellation: the adapter's, and bare httpx's, turn by turn."""
    async with LocalGateway(strict=False) as gateway:
        async with (
            Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko,
            httpx.AsyncClient(base_url=gateway.base_url) as client,
        ):
            calls = (adapter_call(stage, speko), bare_call(stage, gateway, client))
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(TIMES):
                for call, into in zip(calls, times, strict=True):
                    into.append(1e3 * await closed_after(call, gateway, hold(gateway, place)))
    return times


def hold(gateway: LocalGateway, place: str) -> Gate:
    """Let the next answer stop at that place, for good."""
    gate = Gate()
    middle = place == "in the middle"

    def held(answer: Answer) -> Any:
        async def engine(request: GatewayRequest, /) -> Answer:
            if place == "before the headers":
                await gate.hold()
            return answer

        return engine

    gateway.transcribe.use(held(Transcript("", interim=["hel", gate] if middle else [gate])))
    gateway.complete.use(held(Reply(["Hi", gate] if middle else [gate])))
    gateway.synthesize.use(held(Speech([bytes(4_800), gate] if middle else [gate])))
    return gate


def adapter_call(stage: str, speko: Speko) -> Call:
    """One call of an adapter, read as a session reads it."""
    recognizer = SpekoSTT(speko=speko, intent=INTENT)
    model = SpekoLLM(speko=speko, intent=INTENT)
    voice = SpekoTTS(speko=speko, intent=INTENT)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="hello")

    async def recognize() -> None:
        await recognizer.recognize(SILENCE)

    async def chat() -> None:
        async with model.chat(chat_ctx=context) as chunks:
            async for _ in chunks:
                pass

    async def synthesize() -> None:
        async with voice.synthesize("Hello.") as audio:
            async for _ in audio:
                pass

    return {"recognize": recognize, "chat": chat, "synthesize": synthesize}[stage]


def bare_call(stage: str, gateway: LocalGateway, client: httpx.AsyncClient) -> Call:
    """The same request by hand, which leaves it to httpx to close."""
    requests: dict[str, dict[str, Any]] = {
        "recognize": {
            "content": frames_to_wav(SILENCE),
            "headers": {"X-Speko-Intent": '{"language":"en"}', "Content-Type": "audio/wav"},
        },
        "chat": {"json": {"intent": INTENT, "messages": [{"role": "user", "content": "hello"}]}},
        "synthesize": {"json": {"intent": INTENT, "text": "Hello."}},
    }
    request = requests[stage]
    request.setdefault("headers", {})["Authorization"] = f"Bearer {gateway.api_key}"

    async def call() -> None:
        async with client.stream("POST", PATHS[stage], **request) as response:
            async for _ in response.aiter_raw():
                pass

    return call


async def closed_after(call: Call, gateway: LocalGateway, gate: Gate) -> float:
    """Seconds from the cancellation to the gateway's having no connection left."""
    task = asyncio.ensure_future(call())
    await gate.reached()
    began = time.perf_counter()
    task.cancel()
    await gateway.idle()
    seconds = time.perf_counter() - began
    await asyncio.wait([task])
    return seconds


if __name__ == "__main__":
    asyncio.run(main())
