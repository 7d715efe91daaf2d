"""A streaming recogniser on a real socket. Its words are runs of samples of one value each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
import numpy as np
from aiohttp import web

RATE_HZ = 16_000
WORD_S, PAUSE_S = 0.2, 0.1
PATH = "/v1/transcribe/stream"
KEY = "sk-streaming-test-key"


def word(number: int, seconds: float = WORD_S) -> bytes:
    """Samples that the recogniser reads as the word `number`, from 1 to 32767."""
    return np.full(round(seconds * RATE_HZ), number, dtype="<i2").tobytes()


def pause(seconds: float = PAUSE_S) -> bytes:
    """Silence."""
    return bytes(2 * round(seconds * RATE_HZ))


def frames_of(pcm: bytes, seconds: float = 0.02) -> list[bytes]:
    """PCM in frames as a room delivers them."""
    size = 2 * round(seconds * RATE_HZ)
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


class Ears:
    """The words in PCM that is fed in pieces."""

    def __init__(self) -> None:
        # Words since the last final, as [number, first sample, end]. The last may still be open.
        self.words: list[list[int]] = []
        # Samples so far, and those of the silence at their end.
        self.samples = 0
        self.silence = 0

    def feed(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, dtype="<i2")
        borders = np.flatnonzero(np.diff(samples)) + 1
        for part in np.split(samples, borders):
            if part.size:
                self._feed_run(int(part[0]), int(part.size))

    def _feed_run(self, value: int, size: int) -> None:
        start, self.samples = self.samples, self.samples + size
        if value == 0:
            self.silence += size
            return
        last = self.words[-1] if self.words else None
        if last is not None and last[0] == value and last[2] == start:
            last[2] = self.samples
        else:
            self.words.append([value, start, self.samples])
        self.silence = 0


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """The behaviour of one connection of the server.

    Attributes:
        with_times: Transcripts have word times.
        endpoint_s: Silence after which a segment is final; None for never.
        obeys_flush: A flush makes it final at once.
        interims: Interim transcripts come with each frame that has words.
        drop_at: Bytes of audio after which the connection is dropped; None for never.
        drop_code: Close code of the drop; None for a connection that is reset.
        drop_after_finals: Finals after which it is dropped; None for never.
        final_delay_s: Time before each final is sent.
        ends: It responds to the end of the audio; otherwise it stays silent.
        empty_finals: A flush with nothing to finalise has an empty final.
    """

    with_times: bool = True
    endpoint_s: float | None = None
    obeys_flush: bool = True
    interims: bool = True
    drop_at: int | None = None
    drop_code: int | None = None
    drop_after_finals: int | None = None
    final_delay_s: float = 0.0
    ends: bool = True
    empty_finals: bool = False


class Dropped(Exception):
    """The connection was dropped on purpose."""


class Heard:
    """One connection and the frames received on it, in order."""

    def __init__(self, ws: web.WebSocketResponse, request: web.Request) -> None:
        self.ws = ws
        self.headers = dict(request.headers)
        self.request = request
        # The config frame, and the WAV header.
        self.config: dict[str, Any] = {}
        self.header = b""
        # Audio in one piece, and the places of flushes in it, in bytes.
        self.audio = bytearray()
        self.flushes: list[int] = []
        self.ended = False
        self.close_code: int | None = None
        self.finals = 0
        self.gone = asyncio.Event()
        # Set when audio comes.
        self._came = asyncio.Event()
        # Set when the server closes.
        self.over = asyncio.Event()

    def hear(self, pcm: bytes) -> None:
        """Take audio."""
        self.audio += pcm
        self._came.set()

    async def heard(self, size: int) -> None:
        """Wait for `size` bytes of audio."""
        while len(self.audio) < size:
            self._came.clear()
            await self._came.wait()

    async def send(self, **frame: Any) -> None:
        await self.ws.send_str(json.dumps(frame))

    def reset(self) -> None:
        assert self.request.transport is not None
        self.request.transport.abort()


Handler = Callable[[Heard], Awaitable[None]]
"""Serves one connection after its config frame."""


class Recogniser:
    """Serves a connection as a provider does."""

    def __init__(self, behaviour: Behaviour = Behaviour()) -> None:
        self._is = behaviour

    async def __call__(self, heard: Heard) -> None:
        ears = Ears()
        await heard.send(type="ready", provider="acme", model="acme-2")
        try:
            async for message in heard.ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await self._take_audio(heard, ears, message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await self._take_text(heard, ears, json.loads(message.data)["type"])
        except Dropped:
            if self._is.drop_code is None:
                heard.reset()
            else:
                await heard.ws.close(code=self._is.drop_code)

    async def _take_audio(self, heard: Heard, ears: Ears, data: bytes) -> None:
        if not heard.header:
            heard.header = data
            return
        drop_at = self._is.drop_at
        drops = drop_at is not None and len(heard.audio) + len(data) > drop_at
        if drops:
            data = data[: drop_at - len(heard.audio)]  # type: ignore[operator]
        for piece in frames_of(data):
            heard.hear(piece)
            ears.feed(piece)
            if self._is.interims and ears.words and not ears.silence:
                await heard.send(**self._transcript(ears.words, is_final=False))
            endpoint = self._is.endpoint_s
            if ears.words and endpoint is not None and ears.silence >= endpoint * RATE_HZ:
                await self._finalise(heard, ears)
        if drops:
            raise Dropped

    async def _take_text(self, heard: Heard, ears: Ears, kind: str) -> None:
        if kind == "flush":
            heard.flushes.append(len(heard.audio))
            if self._is.obeys_flush:
                await self._finalise(heard, ears)
        elif kind == "end":
            heard.ended = True
            if self._is.ends:
                await self._finalise(heard, ears)
                await heard.send(type="end")

    async def _finalise(self, heard: Heard, ears: Ears) -> None:
        words, ears.words = ears.words, []
        if not words and not self._is.empty_finals:
            return
        if self._is.final_delay_s:
            await asyncio.sleep(self._is.final_delay_s)
        await heard.send(**self._transcript(words, is_final=True))
        heard.finals += 1
        if self._is.drop_after_finals == heard.finals:
            raise Dropped

    def _transcript(self, words: list[list[int]], *, is_final: bool) -> dict[str, Any]:
        frame: dict[str, Any] = {
            "type": "transcript",
            "text": " ".join(str(number) for number, _, _ in words),
            "isFinal": is_final,
            "confidence": 0.9,
        }
        if self._is.with_times:
            frame["words"] = [
                {"text": str(number), "start": start / RATE_HZ, "end": end / RATE_HZ}
                for number, start, end in words
            ]
        return frame


@dataclass(frozen=True)
class Refusal:
    """A handshake that is refused with a status."""

    status: int
    headers: dict[str, str] | None = None


class SttServer:
    """Serves each connection by the next of `script`, and then by `default`.

    Attributes:
        connections: The connections that were opened, in order.
        attempts: Handshakes, refused ones too.
    """

    def __init__(
        self, script: Iterable[Handler | Refusal] = (), default: Handler | Refusal | None = None
    ) -> None:
        self.connections: list[Heard] = []
        self.attempts = 0
        self.open = 0
        self._script = list(script)
        self._default = default or Recogniser()
        self._opened = asyncio.Condition()

    async def __aenter__(self) -> SttServer:
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for heard in self.connections:
            heard.over.set()
            if not heard.gone.is_set():
                heard.reset()
        await self._runner.cleanup()
        # asyncio closes a transport's socket in the loop's next round.
        await asyncio.sleep(0)

    def script(self, *steps: Handler | Refusal) -> None:
        """Serve the next connections by `steps`."""
        self._script.extend(steps)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connected(self, count: int = 1) -> Heard:
        """Wait for the connection number `count`."""
        async with self._opened:
            await self._opened.wait_for(lambda: len(self.connections) >= count)
        return self.connections[count - 1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.attempts += 1
        handler = self._script.pop(0) if self._script else self._default
        if isinstance(handler, Refusal):
            return web.Response(status=handler.status, headers=handler.headers)
        ws = web.WebSocketResponse(max_msg_size=0)
        await ws.prepare(request)
        self.open += 1
        try:
            await self._hear(Heard(ws, request), handler)
        finally:
            self.open -= 1
        return ws

    async def _hear(self, heard: Heard, handler: Handler) -> None:
        try:
            first = await heard.ws.receive()
            if first.type is not aiohttp.WSMsgType.TEXT:
                return
            heard.config = json.loads(first.data)
            async with self._opened:
                self.connections.append(heard)
                self._opened.notify_all()
            await handler(heard)
        except ConnectionError:
            pass  # the client is gone
        finally:
            heard.close_code = heard.ws.close_code
            heard.gone.set()


async def keep_silent(heard: Heard) -> None:
    """Receive everything and send nothing until the client closes."""
    async for message in heard.ws:
        if message.type is aiohttp.WSMsgType.BINARY:
            if not heard.header:
                heard.header = message.data
            else:
                heard.hear(message.data)


def closes(code: int, reason: str = "", *, after_audio: bool = False) -> Handler:
    """Close at once, or with the first audio."""

    async def close(heard: Heard) -> None:
        while after_audio and len(heard.audio) == 0:
            message = await heard.ws.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                heard.audio += message.data if heard.header else b""
                heard.header = heard.header or message.data
        await heard.ws.close(code=code, message=reason.encode())

    return close


def says(*frames: str | bytes) -> Handler:
    """Send frames as they are, then recognise."""

    async def say(heard: Heard) -> None:
        for frame in frames:
            if isinstance(frame, str):
                await heard.ws.send_str(frame)
            else:
                await heard.ws.send_bytes(frame)
        await Recogniser()(heard)

    return say
