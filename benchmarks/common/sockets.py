"""The WebSockets of the gateway's process: recognition that streams, and a voice model."""

from __future__ import annotations

import asyncio
import math
import time

from aiohttp import WSMsgType, web

from benchmarks.common.listening import TRANSCRIPTION, WIRES, Endpointing, Heard, Listener, Wire
from benchmarks.common.records import Lines, Record
from benchmarks.common.upstream import split_line
from benchmarks.common.voice_sockets import VoiceStream, voice_wire

WAV_HEADER = b"RIFF"
PROTOCOLS = "Sec-WebSocket-Protocol"


class Stream:
    """One connection: a task that receives, one that sends, and a timer for each message."""

    def __init__(self, service: Lines, line: str, wire: Wire, ws: web.WebSocketResponse) -> None:
        self._service = service
        self._line = line
        self._wire = wire
        self._ws = ws
        self._loop = asyncio.get_running_loop()
        self._listener = Listener(wire.rate_hz)
        self._endpointing = Endpointing(wire.endpoint_s)
        # Messages whose time has come, and when that was.
        self._due: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        # Timers of interims, which a final makes needless.
        self._interims: list[asyncio.TimerHandle] = []

    async def run(self) -> None:
        """Serve it until the client closes it."""
        sender = asyncio.create_task(self._send())
        greeting: str | None = self._wire.opened()
        try:
            async for message in self._ws:
                if greeting is not None:
                    self._due.put_nowait((time.monotonic(), greeting))
                    greeting = None
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    continue
                if pcm := self._wire.audio(message.data):
                    self._take_audio(pcm)
                else:
                    self._take_command(message.data)
        finally:
            for timer in self._interims:
                timer.cancel()
            sender.cancel()
            await asyncio.wait([sender])

    def _take_audio(self, pcm: bytes) -> None:
        if pcm.startswith(WAV_HEADER):
            return
        upstream = self._service.lines[self._line]
        heard = self._listener.add(pcm, upstream.words)
        if upstream.notes_audio:
            place = (time.monotonic(), self._listener.audio_s)
            self._service.stats.audio.setdefault(self._line, []).append(place)
        if heard is not None:
            self._interims.append(self._later(upstream.interim_ms, heard))
        began = self._endpointing.add(pcm, len(pcm) / 2 / self._wire.rate_hz)
        if began is not None and self._wire.endpoint_s < math.inf:
            speech = self._wire.speech(began=began, audio_s=self._listener.audio_s)
            self._due.put_nowait((0.0, speech))
            if not began:
                self._flush()

    def _take_command(self, text: str) -> None:
        command = self._wire.command(text)
        if command is None:
            return
        self._flush()
        last = self._wire.end()
        if command == "end" and last is not None:
            flush_ms = self._service.lines[self._line].flush_ms
            self._loop.call_later(flush_ms / 1e3, self._due.put_nowait, (0.0, last))

    def _flush(self) -> None:
        """Send the final of the segment, after the upstream's delay."""
        for timer in self._interims:
            timer.cancel()
        self._interims.clear()
        heard = self._listener.flush()
        path = next(path for path, wire in WIRES.items() if wire is self._wire)
        record = Record(self._line, path, time.monotonic(), heard.text, self._listener.audio_s)
        self._service.stats.records.append(record)
        self._later(self._service.lines[self._line].flush_ms, heard)

    def _later(self, after_ms: float, heard: Heard) -> asyncio.TimerHandle:
        message = self._wire.transcript(heard)
        due_s = time.monotonic() + after_ms / 1e3
        return self._loop.call_at(due_s, self._due.put_nowait, (due_s, message))

    async def _send(self) -> None:
        while not self._ws.closed:
            due_s, message = await self._due.get()
            await self._ws.send_str(message)
            if due_s:
                self._service.stats.late_ms.append(1e3 * (time.monotonic() - due_s))


def socket_server(service: Lines) -> web.Server:
    """Make what serves a connection from its request for a WebSocket on."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        line, path = split_line(request.path)
        if TRANSCRIPTION in request.query_string:
            path = f"{path}?{TRANSCRIPTION}"
        voice = voice_wire(path)
        if (voice is None and path not in WIRES) or line not in service.lines:
            return web.Response(status=404)
        # Compression would cost both clients the same, and is no part of the question.
        offered = [each.strip() for each in request.headers.get(PROTOCOLS, "").split(",") if each]
        ws = web.WebSocketResponse(compress=False, protocols=offered)
        await ws.prepare(request)
        service.stats.connections += 1
        if voice is not None:
            await VoiceStream(service, line, voice, ws).run()
        else:
            await Stream(service, line, WIRES[path], ws).run()
        return ws

    return web.Server(handle)
