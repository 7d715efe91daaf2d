"""WebSocket clients of the gateway that know only the wire."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from livekit_plugins_speko.testing import LocalGateway

RATE_HZ = 16_000
CONFIG: dict[str, Any] = {
    "type": "config",
    "language": "en-US",
    "interimResults": True,
    "contentType": "audio/wav",
    "sampleRate": RATE_HZ,
    "encoding": "pcm_s16le",
}
SOUND = b"\x01\x00" * (RATE_HZ // 10)
"""100 ms of samples that are not zero."""
END, FLUSH = {"type": "end"}, {"type": "flush"}


def wav_header(**fields: Any) -> bytes:
    """The 44 bytes before the audio; fields by their names, such as `rate` or `channels`."""
    whole = {"kind": 1, "channels": 1, "rate": RATE_HZ, "frame_bytes": 2, "bits": 16, **fields}
    byte_rate = whole["rate"] * 2
    formatted = struct.pack(
        "<HHIIHH",
        *(whole["kind"], whole["channels"], whole["rate"], byte_rate),
        *(whole["frame_bytes"], whole["bits"]),
    )
    size = struct.pack("<I", whole.get("size", 0xFFFFFFFF))
    return b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", 16) + formatted + b"data" + size


class SocketClient:
    """A connected client."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, *frames: bytes | str | dict[str, Any]) -> None:
        """Send frames: bytes and texts as they are, objects as JSON."""
        for frame in frames:
            if isinstance(frame, bytes):
                await self.socket.send_bytes(frame)
            else:
                text = frame if isinstance(frame, str) else json.dumps(frame)
                await self.socket.send_str(text)

    async def message(self) -> Any:
        """Receive a frame: an object, bytes, or the close code as a number."""
        received = await self.socket.receive(timeout=5)
        if received.type is aiohttp.WSMsgType.TEXT:
            return json.loads(received.data)
        return received.data if received.type is aiohttp.WSMsgType.BINARY else self.code

    async def messages(self, count: int) -> list[Any]:
        """Receive so many frames."""
        return [await self.message() for _ in range(count)]

    @property
    def code(self) -> int | None:
        """The close code; 1006 for a connection that was cut."""
        return self.socket.close_code

    async def all_messages(self) -> list[Any]:
        """Receive frames until the connection is closed."""
        received = []
        while not self.socket.closed:
            message = await self.message()
            if not self.socket.closed:
                received.append(message)
        return received


@asynccontextmanager
async def connect_socket(
    gateway: LocalGateway,
    path: str = "/v1/transcribe/stream",
    *,
    key: str | None = "",
    **options: Any,
) -> AsyncIterator[SocketClient]:
    """Open a WebSocket with the gateway's key, another one, or None for no header."""
    headers = {} if key is None else {"Authorization": f"Bearer {key or gateway.api_key}"}
    url = path if "://" in path else gateway.base_url + path
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url, headers={**headers, **options.pop("headers", {})}, **options
        ) as socket,
    ):
        yield SocketClient(socket)
