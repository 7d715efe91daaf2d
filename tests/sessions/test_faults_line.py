"""Whole sessions on a line that is cut: refused connections, resets, dead idle connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType

import pytest
from livekit.agents import APIConnectionError, APITimeoutError, vad
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko.testing import Answer, Gate, Reply, Speech, Transcript
from tests.helpers.session_calls import (
    ERROR_TYPES,
    ONCE,
    TWICE,
    Call,
    calling,
)
from tests.helpers.session_faults import AUDIO, QUESTION, REPLY, ROUTES

NO_LINGER = struct.pack("ii", 1, 0)


class Line:
    """Carries bytes to a gateway and back, until it is cut; then it refuses connections.

    Attributes:
        port: Where it listens, listened, and will listen again.
        to_port: Where the gateway listens.
    """

    def __init__(self) -> None:
        self.port = self.to_port = 0
        # None while it is cut.
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Line:
        await self.mend()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    def reset(self) -> None:
        """Break every connection off with a RST, and go on to take new ones."""
        for writer in self._writers:
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER
            )
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer), name="line")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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


@asynccontextmanager
async def calling_over(
    line: Line, voice_detector: vad.VAD, conn_options: APIConnectOptions
) -> AsyncIterator[Call]:
    url = f"http://127.0.0.1:{line.port}"
    async with calling(voice_detector, conn_options=conn_options, base_url=url) as call:
        line.to_port = int(call.gateway.base_url.rpartition(":")[2])
        yield call


pytestmark = pytest.mark.usefixtures("nothing_is_lost")


async def ask_in_vain(call: Call, route: str) -> None:
    """A turn whose first request is the route's."""
    if route == "transcribe":
        call.caller.speak()
        await call.failed(1)
        return
    if route == "complete":
        call.session.generate_reply(user_input=QUESTION)
        call.told.append(("user", QUESTION))
    else:
        call.session.say(REPLY)
    await call.turn_over()


@pytest.mark.parametrize("route", ROUTES)
async def test_a_session_goes_on_when_the_service_is_back(
    voice_detector: vad.VAD, route: str
) -> None:
    async with Line() as line, calling_over(line, voice_detector, TWICE) as call:
        await call.take_a_turn("the start")
        line.cut()
        await ask_in_vain(call, route)
        assert all(isinstance(each.error, ERROR_TYPES[route]) for each in call.errors)
        recoverable = [each.error.recoverable for each in call.errors]
        assert recoverable == ([True, False] if route == "complete" else [False])
        error = call.errors[0].error.error
        assert isinstance(error, APIConnectionError) and not isinstance(error, APITimeoutError)
        await line.mend()
        await call.take_a_turn("the refusal")
        assert len(call.errors) == len(recoverable)


@pytest.mark.parametrize("route", ROUTES)
async def test_a_reset_in_the_middle_is_not_heard_when_the_second_attempt_goes_well(
    voice_detector: vad.VAD, route: str
) -> None:
    gate = Gate()
    held: dict[str, Answer] = {
        "transcribe": Transcript("", interim=["Who", gate]),
        "complete": Reply([gate, "Never said."]),
        "synthesize": Speech([AUDIO[: len(AUDIO) // 2 + 1], gate]),
    }
    async with Line() as line, calling_over(line, voice_detector, TWICE) as call:
        getattr(call.gateway, route).script(held[route])
        call.gateway.transcribe.script(Transcript(QUESTION))
        call.gateway.complete.script(Reply(REPLY))
        call.caller.speak()
        await gate.reached()
        line.reset()
        await call.turn_over()
        assert call.ear.take() == AUDIO
        assert call.history == [("user", QUESTION), ("assistant", REPLY)]
        assert [each.error.recoverable for each in call.errors] == [True] * (route == "complete")


async def test_connections_that_died_between_two_turns_cost_nothing(
    voice_detector: vad.VAD,
) -> None:
    async with Line() as line, calling_over(line, voice_detector, ONCE) as call:
        await call.take_a_turn("the start")
        line.reset()
        await call.take_a_turn("the reset")
        assert call.errors == []
