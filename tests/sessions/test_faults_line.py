"""Whole sessions on a network that fails: refused connections, dead idle connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from livekit.agents import APIConnectionError, APITimeoutError, vad

from tests.helpers.session_calls import TWICE, calling
from tests.helpers.session_faults import QUESTION

NO_LINGER = struct.pack("ii", 1, 0)

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


class Line:
    """Forwards TCP to a gateway until it is cut; then it refuses connections.

    Attributes:
        port: Where it listens, also after it was mended.
        to_port: Where the gateway listens.
    """

    def __init__(self) -> None:
        self.port = self.to_port = 0
        # None while it is cut.
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen on some port, and cut the line in the end."""
        await self.mend()
        try:
            yield
        finally:
            self.cut()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()

    def reset(self) -> None:
        """End every connection with a RST, and keep listening."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        ends = {writer, far_writer}
        self._writers |= ends
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._writers -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_session_outlives_a_network_that_was_down(voice_detector: vad.VAD) -> None:
    """Idle connections that died cost nothing; a call while the network is down costs its turn."""
    line = Line()
    async with line.open():
        url = f"http://127.0.0.1:{line.port}"
        async with calling(voice_detector, conn_options=TWICE, base_url=url) as call:
            line.to_port = int(call.gateway.base_url.rpartition(":")[2])
            await call.take_a_turn("the start")
            line.reset()
            await call.take_a_turn("the reset")
            assert call.errors == []
            line.cut()
            call.session.generate_reply(user_input=QUESTION)
            call.told.append(("user", QUESTION))
            await call.turn_over("the cut")
            assert [each.error.recoverable for each in call.errors] == [True, False]
            error = call.errors[0].error.error
            assert isinstance(error, APIConnectionError) and not isinstance(error, APITimeoutError)
            await line.mend()
            await call.take_a_turn("the repair")
            assert len(call.errors) == 2
