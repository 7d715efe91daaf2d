"""The WebSockets of the gateway's voice model, which hears when the caller's turn is over."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence

from aiohttp import WSMsgType, web

from benchmarks.common.records import Lines
from benchmarks.common.upstream import Upstream, noise
from benchmarks.common.voice_wires import (
    RATE_HZ,
    SOCKETS,
    Message,
    OpenAIVoiceWire,
    SpekoVoiceWire,
    VoiceWire,
)

SESSIONS = "/v1/sessions/"
STAMP = struct.Struct("<d")
"""The beginning of each piece of audio: the time at which it was written, on `time.monotonic`."""
# The caller's words come one in so many seconds of speech.
WORD_S = 0.25


def voice_wire(path: str) -> VoiceWire | None:
    """Make the wire of a connection by its path; None where there is no voice model."""
    if path == SOCKETS:
        return OpenAIVoiceWire()
    return SpekoVoiceWire() if path.startswith(SESSIONS) else None


class VoiceStream:
    """One connection: a task that receives, one that sends, and timers of what is due."""

    def __init__(
        self, service: Lines, line: str, wire: VoiceWire, ws: web.WebSocketResponse
    ) -> None:
        self._service = service
        self._line = line
        self._wire = wire
        self._ws = ws
        self._loop = asyncio.get_running_loop()
        # Messages that are due, and since when; 0 for those without a time of their own.
        self._due: asyncio.Queue[tuple[float, Sequence[Message]]] = asyncio.Queue()
        # Seconds of the caller's audio.
        self._audio_s = 0.0
        # Seconds of it, and words, in the turn under way.
        self._spoken_s = 0.0
        self._words: list[str] = []
        # When its latest loud audio came. None between two turns.
        self._loud_at: float | None = None
        # Seconds of silence since. The turn is over, and its reply begins, after half of the time
        # to the reply's first audio.
        self._silent_s = 0.0
        # Writes the next piece of the reply. None without one.
        self._timer: asyncio.TimerHandle | None = None
        # The reply that was written last: when it began, and the number of its pieces so far.
        self._reply_at = 0.0
        self._pieces = 0

    async def run(self) -> None:
        """Serve it until the client closes it."""
        sender = asyncio.create_task(self._send())
        self._send_soon(self._wire.opened())
        try:
            async for message in self._ws:
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    continue
                if pcm := self._wire.audio(message.data):
                    self._hear(pcm)
                else:
                    self._send_soon(self._wire.responses(message.data))
        finally:
            if self._timer is not None:
                self._timer.cancel()
            sender.cancel()
            await asyncio.wait([sender])

    @property
    def _upstream(self) -> Upstream:
        return self._service.lines[self._line]

    def _hear(self, pcm: bytes) -> None:
        now_s, seconds = time.monotonic(), len(pcm) / 2 / RATE_HZ
        self._audio_s += seconds
        if self._upstream.notes_audio:
            audio = self._service.stats.audio.setdefault(self._line, [])
            audio.append((now_s, self._audio_s))
        if pcm.strip(b"\0"):
            self._hear_sound(now_s, seconds)
        elif self._loud_at is not None:
            self._silent_s += seconds
            if self._silent_s >= self._upstream.answer_ms / 2e3:
                self._end_turn(self._loud_at)

    def _hear_sound(self, now_s: float, seconds: float) -> None:
        if self._loud_at is None:
            self._start_turn(now_s)
        self._loud_at, self._silent_s = now_s, 0.0
        self._spoken_s += seconds
        if self._spoken_s >= WORD_S * (len(self._words) + 1):
            word = f"word{len(self._words)} "
            self._words.append(word)
            self._send_soon(self._wire.caller_word(word, "".join(self._words)))

    def _start_turn(self, now_s: float) -> None:
        upstream = self._upstream
        interrupts = now_s < self._reply_at + upstream.answer_audio_ms / 1e3
        if self._timer is not None:
            self._timer.cancel()
        if interrupts:
            self._service.stats.interruptions.setdefault(self._line, []).append(now_s)
        self._send_soon(self._wire.speech_started(interrupts=interrupts))
        if interrupts and self._pieces < self._all_pieces:
            self._send_soon(self._wire.reply_ended("", cut=True))
        self._reply_at, self._spoken_s = 0.0, 0.0
        self._words = []
        self._timer = None

    def _end_turn(self, loud_at: float) -> None:
        """End the turn, and begin the reply, whose first audio is due later."""
        self._reply_at, self._pieces = loud_at + self._upstream.answer_ms / 1e3, 0
        self._loud_at = None
        self._send_soon(self._wire.speech_stopped("".join(self._words).strip()))
        self._send_soon(self._wire.reply_began())
        self._timer = self._loop.call_at(self._reply_at, self._write_piece)

    @property
    def _all_pieces(self) -> int:
        return self._upstream.answer_audio_ms // self._upstream.piece_ms

    def _write_piece(self) -> None:
        """Write a piece of audio, with a word of the reply before it."""
        upstream, at = self._upstream, self._pieces
        due_s = self._due_s(at)
        words = upstream.reply[: at + 1]
        messages: list[Message] = []
        if at < len(upstream.reply):
            messages += self._wire.reply_word(upstream.reply[at], "".join(words))
        size = upstream.piece_ms * RATE_HZ // 1000 * 2
        pcm = STAMP.pack(time.monotonic()) + noise()[at * size + STAMP.size : (at + 1) * size]
        self._due.put_nowait((due_s, [*messages, *self._wire.reply_audio(pcm)]))
        self._pieces += 1
        if self._pieces < self._all_pieces:
            self._timer = self._loop.call_at(self._due_s(self._pieces), self._write_piece)
        else:
            self._timer = None
            self._send_soon(self._wire.reply_ended("".join(words), cut=False))

    def _due_s(self, piece: int) -> float:
        return self._reply_at + piece * self._upstream.piece_ms / 1e3 / self._upstream.audio_speed

    def _send_soon(self, messages: Sequence[Message]) -> None:
        if messages:
            self._due.put_nowait((0.0, messages))

    async def _send(self) -> None:
        while not self._ws.closed:
            due_s, messages = await self._due.get()
            for message in messages:
                if isinstance(message, str):
                    await self._ws.send_str(message)
                else:
                    await self._ws.send_bytes(message)
            if due_s:
                self._service.stats.late_ms.append(1e3 * (time.monotonic() - due_s))
