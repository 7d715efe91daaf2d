"""A server whose responses never end, and the memory that a call takes meanwhile."""

from __future__ import annotations

import asyncio
import re
import tracemalloc
from collections.abc import Mapping

from tests.helpers.raw_server import RawServer, answer

MIB = 1024 * 1024


class EndlessServer(RawServer):
    """Begins a response, and sends the same piece again and again until the client leaves.

    Attributes:
        sent_bytes: How much of the body was sent.
    """

    def __init__(
        self,
        piece: bytes,
        *,
        start: bytes = b"",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Serve `start`, and then `piece` without end."""
        super().__init__(answer(start, status=status, headers=headers, whole=False))
        self.sent_bytes = 0
        self._piece = piece
        self._wire = b"%x\r\n%b\r\n" % (len(piece), piece)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(self._answers[0])
            while True:
                await self._send(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._wire)
        await writer.drain()
        self.sent_bytes += len(self._piece)
        await asyncio.sleep(0)  # draining an empty buffer never yields to the loop


class EndlessHead(EndlessServer):
    """Sends headers without end: `piece` is one of them, or a part of one."""

    def __init__(self, piece: bytes) -> None:
        super().__init__(piece)
        self._answers = (b"HTTP/1.1 200 OK\r\n",)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._piece)
        await writer.drain()
        self.sent_bytes += len(self._piece)
        await asyncio.sleep(0)


class Memory:
    """A ``with`` block that measures the peak memory of its body, in bytes."""

    peak_bytes = 0

    def __enter__(self) -> Memory:
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
