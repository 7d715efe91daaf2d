"""One WebSocket of a client: the frames it sent, and the frames to send to it."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from .frames import FrameKind, ReceivedFrame
from .request import GatewayRequest
from .shapes import InvalidRequest
from .waiting import Changes, within
from .writer import ClientGone, to_json

# RFC 6455: a control frame has 125 bytes at most, two of which are the code.
_MAX_REASON_BYTES = 123


class ConnectionOver(Exception):
    """The gateway closed or cut the connection; the script ends here."""


class SocketConnection(ABC):
    """A WebSocket as the gateway has it, for scripts, engines and tests.

    It owns the task that reads the socket and the one that plays the script, both of which end
    with it. Any number of tasks may send and wait; it belongs to the gateway's event loop.

    Attributes:
        request: The request that opened it, with the headers and the query.
        frames: The frames received, in order, without those that open the connection.
        audio_bytes: The audio received, in bytes.
        opened_at: The time of the upgrade, in seconds of `time.perf_counter`.
        close_code: The code that the connection was closed with, by either side; 1006 when it
            was cut; None while it is open.
        close_reason: The reason of that close; empty when it has none.
        closed_by: The side that closed or cut it, `client` or `gateway`; None while it is open.
        invalid: The message about a frame that the service would refuse; None if there is none.
    """

    # The close code for a frame that fails the checks.
    _invalid_code = 1008

    def __init__(self, socket: web.WebSocketResponse, request: GatewayRequest) -> None:
        """Take over an open socket. The gateway calls it.

        Args:
            socket: The socket, after the upgrade.
            request: The request that opened it.
        """
        self.request = request
        self.frames: list[ReceivedFrame] = []
        self.audio_bytes = 0
        self.opened_at = time.perf_counter()
        self.close_code: int | None = None
        self.close_reason = ""
        self.closed_by: str | None = None
        self.invalid: str | None = None
        self._socket = socket
        # Notified with each frame, and at the end.
        self._changes = Changes()
        # The frames of each kind.
        self._by_kind: defaultdict[FrameKind, list[ReceivedFrame]] = defaultdict(list)
        # How many frames of each kind `next_frame` has returned.
        self._taken: Counter[FrameKind] = Counter()
        # Called once, when the frames that open it have arrived or it is closed.
        self._on_open: Callable[[], None] | None = None
        # Reads the socket; None before `serve`.
        self._reader: asyncio.Task[None] | None = None
        # Sends the close frame and waits for the client's; None until the gateway closes.
        self._closing: asyncio.Task[None] | None = None
        # True once it reads nothing and responds to no ping, like a host that is gone.
        self._hanging = False

    @property
    def audio(self) -> bytes:
        """All audio received, without a header: int16, little-endian, mono."""
        return b"".join(frame.pcm for frame in self.frames)

    @property
    def last_audio_at(self) -> float | None:
        """The arrival of the last audio, in seconds of `time.perf_counter`; None before it."""
        return next((frame.at for frame in reversed(self.frames) if frame.pcm), None)

    @property
    @abstractmethod
    def bytes_per_second(self) -> int:
        """The byte rate of the audio received."""

    def received(self, kind: FrameKind) -> list[ReceivedFrame]:
        """Return the frames of one kind.

        Args:
            kind: The kind.

        Returns:
            A new list, in order of arrival.
        """
        return list(self._by_kind[kind])

    async def arrived(
        self, kind: FrameKind, *, count: int = 1, within_s: float = 10.0
    ) -> ReceivedFrame:
        """Wait until `count` frames of a kind have arrived.

        Args:
            kind: The kind.
            count: The number of frames since the connection opened.
            within_s: The longest wait, in seconds.

        Returns:
            The last of them.

        Raises:
            TimeoutError: They did not arrive in time.
        """
        enough = self._changes.until(lambda: self._count(kind) >= count)
        await within(enough, within_s, f"frame {count} of kind {kind} on {self.request}")
        return self._by_kind[kind][count - 1]

    async def audio_arrived(self, size: int, *, within_s: float = 10.0) -> None:
        """Wait until so much audio has arrived.

        Args:
            size: The bytes of audio since the connection opened.
            within_s: The longest wait, in seconds.

        Raises:
            TimeoutError: It did not arrive in time.
        """
        enough = self._changes.until(lambda: self.audio_bytes >= size)
        await within(enough, within_s, f"{size} bytes of audio on {self.request}")

    async def closed(self, *, within_s: float = 10.0) -> int:
        """Wait until the connection is closed.

        Args:
            within_s: The longest wait, in seconds.

        Returns:
            The close code.

        Raises:
            TimeoutError: It is still open.
        """
        over = self._changes.until(lambda: self.close_code is not None)
        await within(over, within_s, f"the close of {self.request}")
        assert self.close_code is not None
        return self.close_code

    async def incoming(self) -> AsyncIterator[ReceivedFrame]:
        """Iterate over the frames, those received already first. Engines use it.

        Yields:
            Each frame as it arrives, until the connection is closed.
        """
        at = 0
        while True:
            while at < len(self.frames):
                yield self.frames[at]
                at += 1
            if self.close_code is not None:
                return
            await self._news(at)

    async def _news(self, known: int) -> None:
        """Wait until there are more than `known` frames, or the connection is closed."""
        await self._changes.until(lambda: len(self.frames) > known or self.close_code is not None)

    def _count(self, kind: FrameKind) -> int:
        return len(self._by_kind[kind])

    async def until_any(self, *kinds: FrameKind) -> None:
        """Wait until a frame of one of these kinds has arrived since the connection opened.

        Args:
            kinds: The kinds.
        """
        await self._changes.until(lambda: any(map(self._count, kinds)))

    async def until_closed(self) -> None:
        """Wait until either side has closed the connection."""
        await self._changes.until(lambda: self.close_code is not None)

    async def next_frame(self, kind: FrameKind) -> ReceivedFrame:
        """Wait for the next frame of a kind that this method has not returned yet.

        Args:
            kind: The kind.

        Returns:
            The frame.
        """
        index = self._taken[kind]
        self._taken[kind] += 1
        await self._changes.until(lambda: self._count(kind) > index)
        return self._by_kind[kind][index]

    async def wait_for_audio(self, seconds: float) -> None:
        """Wait until so much audio has arrived since the connection opened.

        Args:
            seconds: The length of the audio, in seconds.
        """
        size = round(seconds * self.bytes_per_second)
        await self._changes.until(lambda: self.audio_bytes >= size)

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """True once the frames that open the connection have arrived."""

    @abstractmethod
    async def send(self, piece: Any) -> None:
        """Send one piece of an answer in the wire's form.

        Args:
            piece: The piece.

        Raises:
            ClientGone: The client closed the connection.
            TypeError: The piece does not belong on this connection.
        """

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Send a JSON object as a text frame.

        Args:
            message: The object.
        """
        await self.send_raw(to_json(message))

    async def send_raw(self, data: str | bytes) -> None:
        """Send a frame as it is.

        Args:
            data: Text for a text frame, bytes for a binary frame.

        Raises:
            ClientGone: The client closed the connection.
        """
        try:
            if isinstance(data, str):
                await self._socket.send_str(data)
            else:
                await self._socket.send_bytes(data)
        except ConnectionError as error:
            raise ClientGone(str(error)) from error

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection.

        Args:
            code: The close code.
            reason: The reason; cut to what fits a close frame.

        Raises:
            ConnectionOver: Always, which ends the script.
        """
        cut = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        self._end(code, cut, "gateway")
        if self._closing is None:
            self._closing = asyncio.create_task(self._say_goodbye(code, cut.encode()))
        await asyncio.shield(self._closing)
        raise ConnectionOver

    async def _say_goodbye(self, code: int, reason: bytes) -> None:
        """Send the close frame and read up to the client's.

        While another task reads, aiohttp would cut the connection right after its close frame,
        and a client that is still sending would never see the frame.
        """
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})
        await self._socket.close(code=code, message=reason)

    def drop(self) -> None:
        """Cut the connection without a close frame.

        Raises:
            ConnectionOver: Always, which ends the script.
        """
        self._end(1006, "", "gateway")
        raise ConnectionOver

    async def hang(self) -> None:
        """Stop reading, sending and responding to pings, until the client is gone."""
        self._hanging = True
        await self.until_closed()

    async def serve(
        self,
        play: Callable[[], Awaitable[None]],
        on_open: Callable[[], None] | None = None,
    ) -> None:
        """Read the socket and play a script until either side closes. The gateway calls it.

        Args:
            play: Sends the frames of the gateway.
            on_open: Called once, when the frames that open the connection have arrived, or at
                its end if they never do.

        Raises:
            ClientGone: The client cut the connection while a frame was being sent.
        """
        self._on_open = on_open
        self._notify_open()
        reader = self._reader = asyncio.create_task(self._read())
        player = asyncio.create_task(self._play(play))
        try:
            await asyncio.wait({reader, player}, return_when=asyncio.FIRST_COMPLETED)
            if player.done() and self.close_code is None and player.exception() is None:
                await reader
        finally:
            for task in (reader, player):
                task.cancel()
            try:
                results = await asyncio.gather(reader, player, return_exceptions=True)
            finally:  # also when the gateway is closed at this moment
                self._end(1006, "", "client")
            if self._closing is not None:
                await self._closing
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _play(self, play: Callable[[], Awaitable[None]]) -> None:
        try:
            await play()
        except ConnectionOver:
            pass
        except ClientGone:
            if self.close_code is None:
                raise

    async def _read(self) -> None:
        """Read frames until the connection is closed; close it at an invalid one."""
        try:
            while (message := await self._socket.receive()).type in (
                *(WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG),
            ):
                if self._hanging or message.type is WSMsgType.PONG:
                    continue
                if message.type is WSMsgType.PING:
                    await self._socket.pong(message.data)
                else:
                    await self._accept(message.data)
                    self._notify_open()
                    self._changes.notify()
        except InvalidRequest as error:
            self.invalid = str(error)
            with suppress(ConnectionOver):
                await self.close(self._invalid_code, self.invalid)
        except ConnectionError:
            return
        if message.type is WSMsgType.CLOSE:
            self._end(int(message.data or 1005), message.extra or "", "client")
        elif message.type is WSMsgType.ERROR:
            self._end(getattr(message.data, "code", 1006), str(message.data), "gateway")

    @abstractmethod
    async def _accept(self, data: str | bytes) -> None:
        """Check a frame and add it to the log.

        Raises:
            InvalidRequest: The service would refuse it.
        """

    def _add(
        self, kind: FrameKind, *, pcm: bytes = b"", text: str = "", call_id: str | None = None
    ) -> None:
        """Log a frame that passed the checks."""
        frame = ReceivedFrame(
            kind,
            at=time.perf_counter(),
            offset=self.audio_bytes,
            pcm=pcm,
            text=text,
            call_id=call_id,
        )
        self.frames.append(frame)
        self._by_kind[kind].append(frame)
        self.audio_bytes += len(pcm)

    def _end(self, code: int, reason: str, side: str) -> None:
        """Note the end of the connection; only the first one counts."""
        if self.close_code is None:
            self.close_code, self.close_reason, self.closed_by = code, reason, side
            self.request.close_code = code
            self._notify_open(at_end=True)
            self._changes.notify()

    def _notify_open(self, *, at_end: bool = False) -> None:
        if self._on_open is not None and (at_end or self.is_open):
            on_open, self._on_open = self._on_open, None
            on_open()


def read_json_object(data: str | bytes, where: str) -> dict[str, Any]:
    """Parse a frame that has to be a JSON object.

    Args:
        data: The frame.
        where: A name for it in the message.

    Returns:
        The object.

    Raises:
        InvalidRequest: It is not.
    """
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest(f"{where}: found {data[:40]!r}, expected a JSON object")
    return value
