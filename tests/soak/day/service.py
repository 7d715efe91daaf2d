"""The service of the soak's calls: a process of its own, whose every answer may fail.

It learns who calls from the port alone: all kinds of calls share it, at random.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from livekit_plugins_speko.testing import (
    Answer,
    CloseSocket,
    DropConnection,
    EndOfReply,
    ErrorEvent,
    Final,
    GatewayRequest,
    Interim,
    Interruption,
    LocalGateway,
    RealtimeConnection,
    RealtimeScript,
    RealtimeTranscript,
    RecognitionConnection,
    Reply,
    Speech,
    StreamedTranscript,
    ToolCall,
    Transcript,
)
from livekit_plugins_speko.testing._gateway.connection import SocketConnection
from livekit_plugins_speko.testing._gateway.steps import play_step
from tests.bad_lines.voice_model import Tones
from tests.helpers.support import tone
from tests.soak.faults import FAULTS

FAILS = 0.1
# Answers after which what the gateway remembers is dropped.
FORGETS_AFTER = 500
TRANSFER = "transfer"


class Service:
    """Engines that answer, or fail, as the dice fall."""

    def __init__(self, gateway: LocalGateway, seed: int) -> None:
        self._gateway = gateway
        self._dice = random.Random(seed)
        self._answers = 0
        gateway.transcribe.use(self._or_fault(self._transcribe))
        gateway.complete.use(self._or_fault(self._complete))
        gateway.synthesize.use(self._or_fault(self._synthesize))
        gateway.transcribe_stream.always(StreamedTranscript(self._recognise))
        gateway.realtime.always(RealtimeScript(self._talk))

    def _or_fault(
        self, engine: Callable[[], Answer]
    ) -> Callable[[GatewayRequest], Coroutine[Any, Any, Answer]]:
        async def answer(request: GatewayRequest, /) -> Answer:
            self._forget()
            if self._dice.random() < FAILS:
                return self._dice.choice(list(FAULTS.values()))(str(request.route))
            return engine()

        return answer

    def _forget(self) -> None:
        """Drop old requests and connections: this process is not the one that is measured."""
        self._answers += 1
        if self._answers % FORGETS_AFTER == 0:
            self._gateway.requests.clear()
            for route in (self._gateway.transcribe_stream, self._gateway.realtime):
                del route.connections[:-50]

    def _transcribe(self) -> Answer:
        return Transcript("Can I have a table?", interim=["Can I"])

    def _complete(self) -> Answer:
        if self._dice.random() < 0.1:
            return Reply("One moment.", tool_calls=[self._transfer()])
        return Reply("I have booked a table for two. It will be ready at eight tonight.")

    def _transfer(self) -> ToolCall:
        return ToolCall(id=f"call-{self._dice.random()}", name=TRANSFER, args="{}")

    def _synthesize(self) -> Answer:
        return Speech(tone(self._dice.choice([0.05, 0.2])), chunk_bytes=1_501)

    async def _recognise(self, connection: RecognitionConnection) -> None:
        """Recognise a text at each flush that follows sound; now and then lose the connection."""
        is_loud = False
        async for received in connection.incoming():
            self._forget()
            if received.kind == "audio" and any(received.pcm) and not is_loud:
                is_loud = True
                await connection.send(Interim("Can I"))
                await self._maybe_fail(connection)
            elif received.kind in ("flush", "end") and is_loud:
                is_loud = False
                await self._maybe_fail(connection)
                await connection.send(Final("Can I have a table?"))

    async def _talk(self, connection: RealtimeConnection) -> None:
        """Reply to each utterance; now and then call a tool, interrupt, or lose the connection."""
        tones = Tones(connection.input_rate_hz)
        async for received in connection.incoming():
            self._forget()
            if received.kind == "tool_result":
                await self._reply(connection)
            for text in tones.feed(received.pcm) if received.kind == "audio" else ():
                await self._maybe_fail(connection)
                await connection.send(RealtimeTranscript("user", text, final=True))
                if self._dice.random() < 0.15:
                    await connection.send(self._transfer())
                else:
                    await self._reply(connection)

    async def _reply(self, connection: RealtimeConnection) -> None:
        words = "I have booked a table."
        await connection.send(tone(0.1))
        await connection.send(RealtimeTranscript("assistant", words[:11]))
        await self._maybe_fail(connection)
        if self._dice.random() < 0.1:
            await connection.send(Interruption())
        else:
            await connection.send(tone(0.1))
            await connection.send(RealtimeTranscript("assistant", words, final=True))
        await connection.send(EndOfReply())

    async def _maybe_fail(self, connection: SocketConnection) -> None:
        if self._dice.random() < FAILS:
            faults: list[Any] = [DropConnection(), CloseSocket(1011, "tired")]
            if not (isinstance(connection, RealtimeConnection) and _is_google(connection)):
                faults.append(ErrorEvent("tired", "TIRED"))
            await play_step(connection, self._dice.choice(faults))


def _is_google(connection: RealtimeConnection) -> bool:
    """Return True for the one wire that has no frame for an error."""
    return connection.session.form == "google"


async def serve(seed: int) -> None:
    """Serve until the standard input ends, and print where to the standard output."""
    async with LocalGateway(strict=False) as gateway:
        Service(gateway, seed)
        print(json.dumps({"base_url": gateway.base_url, "api_key": gateway.api_key}), flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the soak closes it, or exits


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
