"""The service's side of a call: it plays what a row gives it, on the latest connection."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypeAlias

import numpy as np
from aiohttp import WSMsgType

from livekit_plugins_speko.testing import (
    CloseSocket,
    DropConnection,
    EndSession,
    ErrorEvent,
    Gate,
    Hang,
    Interruption,
    LocalGateway,
    RawFrame,
    RealtimeConnection,
    RealtimeReady,
    RealtimeReply,
    RealtimeScript,
    RealtimeTranscript,
    SocketConnection,
    SocketStep,
    ToolCall,
)
from livekit_plugins_speko.testing._gateway.realtime_pieces import RealtimePiece
from livekit_plugins_speko.testing._gateway.steps import play_step
from livekit_plugins_speko.testing._gateway.waiting import Changes, within

RATE_HZ = 24_000
WITHIN_S = 8.0  # to tell a hang from a slow machine

# Each kind of audio has samples of its own, which tell what was heard.
FIRST, CUT, REST, NEXT = 1_000, 2_000, 3_000, 4_000
NAMES = {FIRST: "first", CUT: "cut", REST: "rest", NEXT: "next"}

Step: TypeAlias = RealtimePiece | SocketStep | Gate


def voice(kind: int, seconds: float, *, rate: int = RATE_HZ) -> bytes:
    """Audio of one kind."""
    return np.full(round(seconds * rate), kind, "<i2").tobytes()


def user(text: str, *, final: bool = True) -> RealtimeTranscript:
    return RealtimeTranscript("user", text, final=final)


def agent(text: str, *, final: bool = False) -> RealtimeTranscript:
    return RealtimeTranscript("assistant", text, final=final)


def reply(text: str, kind: int, seconds: float = 0.1, **more: Any) -> RealtimeReply:
    """A whole reply."""
    return RealtimeReply(text, audio=voice(kind, seconds), **more)


class CloseWithoutCode(SocketStep):
    """Closes the connection with a frame that has no code, which clients report as 1005."""

    async def play(self, connection: SocketConnection) -> None:
        writer = connection._socket._writer
        assert writer is not None
        await writer.send_frame(b"", WSMsgType.CLOSE)
        await connection.until_closed()


# Steps from which on the time of a row counts.
FAULTS = (
    *(CloseSocket, CloseWithoutCode, DropConnection, EndSession, Hang),
    *(ErrorEvent, Interruption, RawFrame, RealtimeReady, ToolCall),
)


class Service:
    """Plays steps on the latest connection of a gateway.

    Attributes:
        connections: Those that became ready, in order.
        fault_at: Time of `time.perf_counter` at which the first fault was played. None before.
    """

    def __init__(self, gateway: LocalGateway) -> None:
        self.connections: list[RealtimeConnection] = []
        self.fault_at: float | None = None
        self._changes = Changes()
        # Steps for the latest connection, and what is set once they were played.
        self._steps: asyncio.Queue[tuple[tuple[Step, ...], asyncio.Event]] = asyncio.Queue()
        gateway.realtime.always(RealtimeScript(self._talk))

    async def _talk(self, connection: RealtimeConnection) -> None:
        steps = self._steps = asyncio.Queue()
        self.connections.append(connection)
        self._changes.notify()
        while True:
            pieces, played = await steps.get()
            try:
                for piece in pieces:
                    await play_step(connection, piece)
            finally:
                played.set()

    async def connected(self, times: int = 1) -> None:
        """Wait for a connection that is ready."""
        ready = self._changes.until(lambda: len(self.connections) >= times)
        await within(ready, WITHIN_S, f"connection {times}")

    async def play(self, *steps: Step) -> None:
        """Play steps, and wait until they were played."""
        if self.fault_at is None and any(isinstance(step, FAULTS) for step in steps):
            self.fault_at = time.perf_counter()
        played = asyncio.Event()
        self._steps.put_nowait((steps, played))
        await within(played.wait(), WITHIN_S, f"{len(steps)} steps of the service")
