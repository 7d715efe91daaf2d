"""The voice models of the soak: a process of its own, whose turns go wrong at random.

A model takes a turn whenever it has heard so much audio, and chooses what happens in it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from livekit_plugins_speko.testing import (
    After,
    CloseSocket,
    DropConnection,
    EndOfReply,
    ErrorEvent,
    Interruption,
    LocalGateway,
    Pause,
    RealtimeConnection,
    RealtimeReply,
    RealtimeScript,
    RealtimeTranscript,
    ToolCall,
)
from livekit_plugins_speko.testing._gateway.steps import play_step
from tests.helpers.support import tone

TURN_S = 0.06
"""Audio, in seconds, after which a model takes a turn."""

RATE_HZ = 24_000
SHORT, LONG = tone(0.04, rate=RATE_HZ), tone(2.0, rate=RATE_HZ)
ASKED = RealtimeTranscript("user", "And then?", final=True)


def _reply(text: str) -> RealtimeReply:
    return RealtimeReply(text, audio=SHORT, user="And then?")


def _interrupted() -> Sequence[Any]:
    return (
        *(ASKED, LONG, RealtimeTranscript("assistant", "Once upon a time"), Pause(0.1)),
        *(Interruption(), SHORT, EndOfReply(), _reply("Fine.")),
    )


def _tool() -> Sequence[Any]:
    call = ToolCall(name="get_time")
    return (RealtimeReply(user="Time?", tool_calls=[call]), After("tool_result"), _reply("Noon."))


TURNS: dict[str, tuple[int, Callable[[], Sequence[Any]]]] = {
    "plain": (50, lambda: (_reply("A reply that is complete."),)),
    "interrupted": (12, _interrupted),
    "tool": (12, _tool),
    "without_usage": (4, lambda: (RealtimeReply("Short.", audio=SHORT, end=None), EndOfReply())),
    "error": (4, lambda: (ErrorEvent("busy", "BUSY"), _reply("Sorry."))),
    "nothing": (4, lambda: (Interruption(), Interruption(), _reply("Yes?"))),
    "drop": (4, lambda: (DropConnection(),)),
    "drop_in_reply": (4, lambda: (ASKED, LONG[: len(SHORT) * 3], DropConnection())),
    "close": (3, lambda: (CloseSocket(1011, "maintenance"),)),
    "drop_in_tool": (3, lambda: (ASKED, ToolCall(name="get_time"), DropConnection())),
}
"""What a turn may be, and how often."""


class VoiceModels:
    """The models' side of every connection.

    Attributes:
        turns: How often each kind of turn was taken.
    """

    def __init__(self, seed: int) -> None:
        """Choose the same turns for the same seed, as far as calls come in the same order."""
        self.turns: Counter[str] = Counter()
        self._chance = random.Random(seed)

    async def talk(self, connection: RealtimeConnection) -> None:
        """Take turns until the connection is over, and reply to each request."""
        heard, at = 0, 0
        async for frame in connection.incoming():
            if frame.kind in ("commit", "text", "instructions"):
                await self._take("requested", connection)
            elif frame.kind == "audio" and frame.offset >= at:
                heard += len(frame.pcm)
            if heard >= TURN_S * connection.bytes_per_second:
                [kind] = self._chance.choices(list(TURNS), [weight for weight, _ in TURNS.values()])
                await self._take(kind, connection)
                heard, at = 0, connection.audio_bytes

    async def _take(self, kind: str, connection: RealtimeConnection) -> None:
        self.turns[kind] += 1
        steps = TURNS[kind][1]() if kind in TURNS else (RealtimeReply("Noon.", audio=SHORT),)
        for step in steps:
            await play_step(connection, step)


async def serve() -> None:
    """Serve until the standard input ends; print where, and at the end what was done."""
    models = VoiceModels(seed=1)
    async with LocalGateway(strict=False) as gateway:
        gateway.realtime.always(RealtimeScript(models.talk))
        address = {"base_url": gateway.base_url, "api_key": gateway.api_key}
        print(json.dumps(address), flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the soak closes it, or exits
        print(json.dumps({"turns": models.turns, "problems": gateway.problems()}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
