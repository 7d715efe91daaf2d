"""The service of the soak: a process of its own that fails in the way a request names.

A request names it in its session id, ``<fault>.<times>.<anything>``: the first so many requests
with that id meet the fault, those after them a healthy response.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable

from livekit_plugins_speko.testing import (
    Answer,
    EndOfStream,
    ErrorEvent,
    GatewayRequest,
    LocalGateway,
    Refusal,
    Reply,
    Route,
    Speech,
    ToolRows,
    Transcript,
)
from tests.faults.answers import Raw, closed, silence
from tests.helpers.support import compressed, tone, wav

PCM = tone(0.2)
# The type of each route's response, and a beginning that ends in the middle of something.
BEGUN = {
    "transcribe": (
        "text/event-stream",
        b'event: transcript\ndata: {"text": "hel", "isFinal": false}\n\nevent: tr',
    ),
    "complete": ("text/event-stream", b'event: delta\ndata: {"text": "Hi"}\n\nevent: de'),
    "synthesize": ("audio/pcm;rate=24000", PCM[:999]),
    "tools": ("application/json", b'[{"name": "look'),
}
GARBAGE = b"event: done\ndata: " + bytes(range(14, 256)) * 2 + b"\n\n"
SPEECH = (
    Speech(PCM),
    Speech(wav(PCM), content_type="audio/wav"),
    Speech(PCM, content_type="audio/pcm;rate=16000"),
    Speech(compressed(PCM), content_type="audio/mpeg"),
)
FAULTS: dict[str, Callable[[str], Answer]] = {
    "reset": lambda route: Raw(status=None, then=closed),
    "reset_later": lambda route: Raw((BEGUN[route][1],), BEGUN[route][0], then=closed),
    "stall": lambda route: Raw(status=None, then=silence),
    "stall_later": lambda route: Raw((BEGUN[route][1],), BEGUN[route][0], then=silence),
    "busy": lambda route: Refusal(429, "slowly", "RATE_LIMITED", headers={"Retry-After": "0"}),
    "refusal": lambda route: Refusal(401, "no", "UNAUTHORIZED"),
    "proxy": lambda route: Refusal(502, body="<html>Bad gateway</html>" * 100),
    "error": lambda route: cut_short(route, ErrorEvent("tired")),
    "truncated": lambda route: cut_short(route, EndOfStream()),
    "garbage": lambda route: Raw((GARBAGE,), BEGUN[route][0]),
    "wrong_type": lambda route: Raw((GARBAGE,), "text/html"),
}


def cut_short(route: str, end: ErrorEvent | EndOfStream) -> Answer:
    """A response that begins well and ends too soon, with a status of success."""
    if route == "transcribe":
        return Transcript("", interim=["hel", end])
    if route == "complete":
        return Reply(["Hi", end])
    return Speech(wav(PCM)[:-1000], content_type="audio/wav")


def healthy(route: str, chance: random.Random) -> Answer:
    """A healthy response, in one of its forms."""
    if route == "transcribe":
        return Transcript("hello", interim=["hel"])
    if route == "complete":
        return Reply("Hello to you, and to everybody else as well.")
    if route == "tools":
        return ToolRows([{"name": "look", "description": "", "parameters": {"type": "object"}}])
    return chance.choice(SPEECH)


def fail_as_requested(route: Route) -> None:
    """Let a route respond as the requests' session ids say."""
    seen: Counter[str] = Counter()

    async def engine(request: GatewayRequest, /) -> Answer:
        wish = request.session_id or "healthy.0."  # a fetch of registered tools has no session id
        fault, times, _ = wish.split(".", 2)
        seen[wish] += 1
        if fault in FAULTS and seen[wish] <= int(times):
            return FAULTS[fault](route.name)
        return healthy(route.name, random.Random(wish))

    route.use(engine)


async def serve() -> None:
    """Serve until the standard input ends, and print where to the standard output."""
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # and does not listen: every connection is refused
        async with LocalGateway(strict=False) as gateway:
            for name in BEGUN:
                fail_as_requested(getattr(gateway, name))
            address = {
                "base_url": gateway.base_url,
                "api_key": gateway.api_key,
                "refusing_port": refusing.getsockname()[1],
            }
            print(json.dumps(address), flush=True)
            await asyncio.to_thread(sys.stdin.read)  # until the soak closes it, or exits


if __name__ == "__main__":
    asyncio.run(serve())
