"""The service of the soak: a process of its own that fails in whatever way a request names.

A request names it in its session id, ``<fault>.<times>.<anything>``: the first so many requests
with that id get the fault, those after them a good answer.
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
    AnswerWriter,
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
from livekit_plugins_speko.testing._gateway.writer import ClientGone
from tests.helpers.support import compressed, tone, wav

ROUTES = ("transcribe", "complete", "synthesize", "tools")
PCM = tone(0.2)
TYPES = {
    "transcribe": "text/event-stream",
    "complete": "text/event-stream",
    "synthesize": "audio/pcm;rate=24000",
    "tools": "application/json",
}
BEGINNINGS = {
    "transcribe": b'event: transcript\ndata: {"text": "hel", "isFinal": false}\n\nevent: tr',
    "complete": b'event: delta\ndata: {"text": "Hi"}\n\nevent: de',
    "synthesize": PCM[:999],
    "tools": b'[{"name": "look',
}


class Broken(Answer):
    """An answer that stops: it is reset, or says nothing any more."""

    serves = frozenset(ROUTES)

    def __init__(self, route: str, *, begun: bool, stalls: bool) -> None:
        self.route = route
        self.begun = begun
        self.stalls = stalls

    async def write(self, writer: AnswerWriter) -> None:
        if self.begun:
            await writer.start(200, {"Content-Type": TYPES[self.route]})
            await writer.send(BEGINNINGS[self.route])
        if self.stalls:
            await asyncio.Event().wait()
        writer.abort()
        raise ClientGone


class Garbage(Answer):
    """Bytes that mean nothing, as some type."""

    serves = frozenset(ROUTES)

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": self.content_type})
        await writer.send(b"event: done\ndata: " + bytes(range(14, 256)) * 2 + b"\n\n")


def ended(route: str, *end: ErrorEvent | EndOfStream) -> Answer:
    """An answer that began well and ends too soon, with the status of one that ends well."""
    if route == "transcribe":
        return Transcript("", interim=["hel", *end])
    if route == "complete":
        return Reply(["Hi", *end])
    if route == "synthesize":
        return Speech(wav(PCM)[:-1000], content_type="audio/wav") if end else Speech(b"")
    return Garbage("application/json")


SPEECH = (
    Speech(PCM),
    Speech(wav(PCM), content_type="audio/wav"),
    Speech(PCM, content_type="audio/pcm;rate=16000"),
    Speech(compressed(PCM), content_type="audio/mpeg"),
)


def well(route: str, chance: random.Random) -> Answer:
    """A good answer, in one of the forms that there are."""
    if route == "transcribe":
        return Transcript("hello", interim=["hel"])
    if route == "complete":
        return Reply("Hello to you, and to everybody else as well.")
    if route == "tools":
        return ToolRows([{"name": "look", "description": "", "parameters": {"type": "object"}}])
    return chance.choice(SPEECH)


FAULTS: dict[str, Callable[[str], Answer]] = {
    "reset": lambda route: Broken(route, begun=False, stalls=False),
    "reset_later": lambda route: Broken(route, begun=True, stalls=False),
    "stall": lambda route: Broken(route, begun=False, stalls=True),
    "stall_later": lambda route: Broken(route, begun=True, stalls=True),
    "busy": lambda route: Refusal(429, "slowly", "RATE_LIMITED", headers={"Retry-After": "0"}),
    "refusal": lambda route: Refusal(401, "no", "UNAUTHORIZED"),
    "proxy": lambda route: Refusal(502, body="<html>Bad gateway</html>" * 100),
    "error": lambda route: ended(route, ErrorEvent("tired")),
    "truncated": lambda route: ended(route, EndOfStream()),
    "empty": ended,
    "garbage": lambda route: Garbage(TYPES[route]),
    "wrong_type": lambda route: Garbage("text/html"),
}


def fail_as_asked(route: Route) -> None:
    """Let a route answer what the requests' session ids name."""
    asked: Counter[str] = Counter()

    async def engine(request: GatewayRequest, /) -> Answer:
        wish = request.session_id or "well.0."  # the registered tools are asked for without one
        fault, times, _ = wish.split(".", 2)
        asked[wish] += 1
        if fault in FAULTS and asked[wish] <= int(times):
            return FAULTS[fault](route.name)
        return well(route.name, random.Random(wish))

    route.use(engine)


async def serve() -> None:
    """Serve until the standard input ends, and say on the standard output where."""
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # and doesn't listen: whoever connects is refused
        async with LocalGateway(strict=False) as gateway:
            for name in ROUTES:
                fail_as_asked(getattr(gateway, name))
            told = {
                "base_url": gateway.base_url,
                "api_key": gateway.api_key,
                "refusing_port": refusing.getsockname()[1],
            }
            print(json.dumps(told), flush=True)
            await asyncio.to_thread(sys.stdin.read)  # until the soak closes it, or is gone


if __name__ == "__main__":
    asyncio.run(serve())
