"""Several frames of a WebSocket in one write to its socket."""

from __future__ import annotations

from typing import Any

import aiohttp


class JoinedWrites:
    """Stands before aiohttp's transport, and joins frames to one write.

    A write to a socket takes longer than all the rest of sending a short frame.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        # Frames that wait for `release`. None while each is written at once.
        self._held: list[bytes] | None = None

    def is_closing(self) -> bool:
        """Return True if the connection is closing."""
        return bool(self._transport.is_closing())

    def write(self, data: bytes) -> None:
        """Write a frame, or keep it for `release`."""
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(data)

    def hold(self) -> None:
        """Keep what is written from now on."""
        self._held = [] if self._held is None else self._held

    def release(self) -> None:
        """Write what was kept, at once."""
        held, self._held = self._held, None
        if held:
            self._transport.write(b"".join(held))


class JoiningResponse(aiohttp.ClientWebSocketResponse):
    """aiohttp's connection, with its writes within reach."""

    def __init__(self, reader: Any, writer: Any, *args: Any, **settings: Any) -> None:
        self.writes = JoinedWrites(getattr(writer, "transport", None))
        # Where a later aiohttp has none, each frame is written by itself.
        if hasattr(writer, "transport"):
            writer.transport = self.writes
        super().__init__(reader, writer, *args, **settings)

    def _reset_heartbeat(self) -> None:
        """Set no timer once it is closed, as aiohttp (3.14) does for what comes after its end."""
        if not self.closed:
            super()._reset_heartbeat()
