"""Streaming recognition on the wire: the frames of a client, and what is sent to it."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeAlias

from aiohttp import web

from .connection import ConnectionOver, SocketConnection, read_json_object
from .fields import CONSTRAINTS, LANGUAGE, LANGUAGE_PATTERN
from .limits import MAX_KEYWORDS, MAX_PROMPT_CHARS
from .pieces import ErrorEvent, ProviderRoute
from .request import GatewayRequest
from .shapes import (
    InvalidRequest,
    boolean,
    list_of,
    matching,
    one_of,
    record,
    text,
    text_up_to,
    whole,
)

_HEADER_BYTES = 44
_CONFIG = record(
    {
        "type": one_of("config"),
        "language": LANGUAGE,
        "region": text,
        "optimizeFor": one_of("balanced", "accuracy", "latency", "cost"),
        "constraints": CONSTRAINTS,
        "keywords": list_of(text, most=MAX_KEYWORDS),
        "prompt": text_up_to(MAX_PROMPT_CHARS),
        "sttOptions": record(
            {"language": matching(f"{LANGUAGE_PATTERN}|auto|multi", "a language, auto or multi")}
        ),
        "interimResults": boolean,
        "contentType": one_of("audio/wav"),
        "sampleRate": whole(8000, 48000),
        "encoding": one_of("pcm_s16le"),
    },
    required=("type", "language"),
)
_CONTROL = record({"type": one_of("flush", "end")}, required=("type",))


@dataclass(frozen=True)
class TimedWord:
    """A word with its place in the audio of its connection.

    Attributes:
        text: The word.
        start_s: The place of its first sample, in seconds.
        end_s: The place after its last sample, in seconds.
        confidence: From 0 to 1; None leaves it out.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None

    def wire(self) -> dict[str, Any]:
        """Return the word as a `transcript` frame has it."""
        word = {"text": self.text, "start": self.start_s, "end": self.end_s}
        return word if self.confidence is None else {**word, "confidence": self.confidence}


@dataclass(frozen=True)
class Interim:
    """A transcript that may still change: the whole segment so far.

    Attributes:
        text: The text.
        words: Its words with their times; None for a provider without times.
        confidence: From 0 to 1.
    """

    text: str
    _: KW_ONLY
    words: Sequence[TimedWord] | None = None
    confidence: float = 0.9


@dataclass(frozen=True)
class Final:
    """The transcript of a segment that will not change.

    Attributes:
        text: The text; empty for silence.
        words: Its words with their times; None for a provider without times.
        confidence: From 0 to 1.
    """

    text: str
    _: KW_ONLY
    words: Sequence[TimedWord] | None = None
    confidence: float = 0.9


@dataclass(frozen=True)
class ServerEnd:
    """The service's `end` frame; before the client's own it announces a drop."""


RecognitionPiece: TypeAlias = Interim | Final | ErrorEvent | ServerEnd | ProviderRoute


class RecognitionConnection(SocketConnection):
    """One connection of `transcribe_stream`, for scripts, engines and tests.

    `frames` has kinds `audio`, `flush` and `end`.

    Attributes:
        config: The config frame; empty before it.
        header: The WAV header; empty before it.
    """

    _invalid_code = 4400

    def __init__(self, socket: web.WebSocketResponse, request: GatewayRequest) -> None:
        """Take over an open socket. The gateway calls it.

        Args:
            socket: The socket, after the upgrade.
            request: The request that opened it.
        """
        super().__init__(socket, request)
        self.config: dict[str, Any] = {}
        self.header = b""
        # The arrival of the last audio, or the upgrade, in seconds of `time.perf_counter`.
        self._heard_at = self.opened_at

    @property
    def sample_rate(self) -> int:
        """The rate of the audio by its header, in Hz; before it, that of the config frame."""
        if self.header:
            return int(struct.unpack_from("<I", self.header, 24)[0])
        return int(self.config.get("sampleRate", 16_000))

    @property
    def bytes_per_second(self) -> int:
        """The byte rate of the audio: 16 bit, mono."""
        return 2 * self.sample_rate

    @property
    def flushes(self) -> list[int]:
        """The places of the client's flushes in the audio, in bytes."""
        return [frame.offset for frame in self.received("flush")]

    @property
    def is_open(self) -> bool:
        """True once the config frame has arrived."""
        return bool(self.config)

    async def configured(self) -> None:
        """Wait for the config frame."""
        await self._changes.until(lambda: self.is_open)

    async def next_pause(self) -> None:
        """Wait for the next flush, as `next_frame` does, or for the end of the audio."""
        index = self._taken["flush"]
        self._taken["flush"] += 1
        await self._changes.until(lambda: self._count("flush") > index or self._count("end") > 0)

    async def close_when_idle(self, idle_s: float) -> None:
        """Close with 1011 after a time without audio, as the service does.

        Args:
            idle_s: The time, in seconds.
        """
        left_s = idle_s
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = self._heard_at + idle_s - time.perf_counter()
        if not self._hanging:
            with suppress(ConnectionOver):
                await self.close(1011, f"no audio for {idle_s:g} s")

    async def send(self, piece: RecognitionPiece) -> None:
        """Send one piece.

        Args:
            piece: A transcript, an error, `ServerEnd`, or a `ProviderRoute` as `ready`.

        Raises:
            ClientGone: The client closed the connection.
            TypeError: It is another kind of piece.
        """
        await self.send_json(_message(piece))

    async def _accept(self, data: str | bytes) -> None:
        if not self.config:
            if not isinstance(data, str):
                raise InvalidRequest("first frame: found a binary frame, expected the config")
            config = read_json_object(data, "config")
            _CONFIG(config, "config")
            self.config = config
        elif isinstance(data, str):
            self._accept_control(read_json_object(data, "frame"))
        elif self._count("end"):
            raise InvalidRequest("frame: found audio after end, expected none")
        elif not self.header:
            _check_header(data, self.config.get("sampleRate"))
            self.header = data
        elif not data or len(data) % 2:
            raise InvalidRequest(
                f"frame: found {len(data)} bytes of audio, expected whole samples of 2 bytes"
            )
        else:
            self._add("audio", pcm=data)
            self._heard_at = self.frames[-1].at

    def _accept_control(self, frame: dict[str, Any]) -> None:
        _CONTROL(frame, "frame")
        if self._count("end"):
            raise InvalidRequest(f"frame: found {frame['type']} after end, expected none")
        self._add(frame["type"])


def _message(piece: RecognitionPiece) -> dict[str, Any]:
    """Return the frame of a piece."""
    if isinstance(piece, (Interim, Final)):
        message: dict[str, Any] = {
            "type": "transcript",
            "text": piece.text,
            "isFinal": isinstance(piece, Final),
            "confidence": piece.confidence,
        }
        if piece.words is not None:
            message["words"] = [word.wire() for word in piece.words]
        return message
    if isinstance(piece, ErrorEvent):
        return {"type": "error", "code": piece.code, "message": piece.error}
    if isinstance(piece, ServerEnd):
        return {"type": "end"}
    if isinstance(piece, ProviderRoute):
        return {"type": "ready", "provider": piece.provider, "model": piece.model}
    raise TypeError(
        f"transcribe_stream: found a piece of type {type(piece).__name__}, expected Interim, "
        "Final, ErrorEvent, ServerEnd, ProviderRoute, a step or a Gate."
    )


def _check_header(data: bytes, rate_hz: int | None) -> None:
    """Check the WAV header before the first audio; `InvalidRequest` for another frame."""
    if len(data) != _HEADER_BYTES:
        raise InvalidRequest(
            f"header: found {len(data)} bytes, expected a WAV header of {_HEADER_BYTES} alone"
        )
    fields = struct.unpack("<4sI4s4sIHHIIHH4sI", data)
    riff, riff_bytes, wave, fmt, fmt_bytes, kind, channels, rate, byte_rate = fields[:9]
    frame_bytes, bits, name, data_bytes = fields[9:]
    if (riff, wave, fmt, fmt_bytes, name) != (b"RIFF", b"WAVE", b"fmt ", 16, b"data"):
        raise InvalidRequest(f"header: found {data[:16]!r} and so on, expected RIFF, WAVE, fmt")
    if (kind, channels, bits, frame_bytes) != (1, 1, 16, 2):
        raise InvalidRequest(
            f"header: found format {kind}, {channels} channels, {bits} bits, frames of "
            f"{frame_bytes} bytes, expected PCM (1), mono, 16 bit"
        )
    if byte_rate != 2 * rate or not rate or (rate_hz is not None and rate != rate_hz):
        raise InvalidRequest(
            f"header: found {rate} Hz and {byte_rate} bytes a second, expected "
            f"{'a rate' if rate_hz is None else rate_hz} and twice that"
        )
    if riff_bytes not in (0, 0xFFFFFFFF) or data_bytes not in (0, 0xFFFFFFFF):
        raise InvalidRequest(
            f"header: found sizes {riff_bytes} and {data_bytes}, expected 0 or 4294967295"
        )
