"""Steps of a WebSocket's script that are the same on every route: waits, closes, faults."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from .connection import SocketConnection
from .frames import FrameKind
from .pieces import as_async
from .waiting import Gate

T = TypeVar("T")


class SocketStep(ABC):
    """A step of a script that is more than a frame to send. Subclass it for steps of your own."""

    @abstractmethod
    async def play(self, connection: SocketConnection) -> None:
        """Take the step.

        Args:
            connection: The connection that the script is for.
        """


@dataclass(frozen=True)
class AfterAudio(SocketStep):
    """Waits for audio.

    Attributes:
        seconds: The audio received since the connection opened, in seconds.
    """

    seconds: float

    async def play(self, connection: SocketConnection) -> None:
        """Wait."""
        await connection.wait_for_audio(self.seconds)


@dataclass(frozen=True)
class After(SocketStep):
    """Waits for a frame of the client; each `After` of a kind waits for a further one.

    Attributes:
        kind: The kind of frame, as in `ReceivedFrame.kind`.
    """

    kind: FrameKind

    async def play(self, connection: SocketConnection) -> None:
        """Wait."""
        await connection.next_frame(self.kind)


@dataclass(frozen=True)
class Pause(SocketStep):
    """Waits for a time.

    Attributes:
        seconds: The time, in seconds.
    """

    seconds: float

    async def play(self, connection: SocketConnection) -> None:
        """Wait."""
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class Hang(SocketStep):
    """From here on the gateway reads nothing, sends nothing and responds to no ping."""

    async def play(self, connection: SocketConnection) -> None:
        """Wait for the client to leave."""
        await connection.hang()


@dataclass(frozen=True)
class CloseSocket(SocketStep):
    """Closes the connection with a close frame. The rest of the script is not played.

    Attributes:
        code: The close code.
        reason: The reason.
    """

    code: int = 1000
    reason: str = ""

    async def play(self, connection: SocketConnection) -> None:
        """Close."""
        await connection.close(self.code, self.reason)


@dataclass(frozen=True)
class DropConnection(SocketStep):
    """Cuts the connection without a close frame. The rest of the script is not played."""

    async def play(self, connection: SocketConnection) -> None:
        """Cut."""
        connection.drop()


@dataclass(frozen=True)
class RawFrame(SocketStep):
    """Sends a frame as it is, for what no other piece can send.

    Attributes:
        data: Text for a text frame, bytes for a binary frame.
    """

    data: str | bytes

    async def play(self, connection: SocketConnection) -> None:
        """Send."""
        await connection.send_raw(self.data)


async def steps_of(content: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """Iterate over the steps of a script, and close the content at the end.

    Use it under `contextlib.aclosing`, so that what makes the steps ends with the script.

    Args:
        content: The steps.

    Yields:
        Each step.
    """
    source = as_async(content)
    try:
        async for step in source:
            yield step
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def play_step(connection: SocketConnection, step: Any) -> None:
    """Take one step of a script.

    Args:
        connection: The connection that the script is for.
        step: A step, a gate, or a piece to send.
    """
    if isinstance(step, Gate):
        await step.hold()
    elif isinstance(step, SocketStep):
        await step.play(connection)
    else:
        await connection.send(step)
