"""What a route can answer: the base of all answers, and those that are no event stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from ._gateway.pieces import ProviderRoute
from ._gateway.waiting import Gate
from ._gateway.writer import AnswerWriter


class Answer(ABC):
    """What a route answers one request with. Subclass it to send what the others cannot.

    Attributes:
        serves: The names of the routes that it fits.
    """

    serves: ClassVar[frozenset[str]]

    @abstractmethod
    async def write(self, writer: AnswerWriter) -> None:
        """Sends the headers and the body; the gateway ends the body afterwards.

        Args:
            writer: The way to the socket.
        """


@dataclass(frozen=True)
class Speech(Answer):
    """Audio, for `synthesize`.

    Attributes:
        audio: The bytes, sent in chunks; or the chunks as they are to be sent, with gates among
            them. Nothing at all is a 200 without audio.
        content_type: The format, and the `Content-Type`. PCM is int16, little-endian, mono.
        audio_format: The `X-Speko-Audio-Format`. None: the content type; an empty string leaves
            the header out.
        chunk_bytes: The size of the chunks that bytes are cut into. The default is 100 ms of
            PCM at 24000 Hz; an odd number ends reads in the middle of a sample.
        route: The provider that it claims to come from.
    """

    serves: ClassVar[frozenset[str]] = frozenset({"synthesize"})

    audio: bytes | Iterable[bytes | Gate] | AsyncIterable[bytes | Gate]
    _: KW_ONLY
    content_type: str = "audio/pcm;rate=24000"
    audio_format: str | None = None
    chunk_bytes: int = 4800
    route: ProviderRoute = field(default_factory=ProviderRoute)

    def __post_init__(self) -> None:
        """Checks the fields: `ValueError` for a size, `TypeError` for text in place of audio."""
        if isinstance(self.audio, str):
            raise TypeError("Speech: audio is str, expected bytes or an iterable of bytes.")
        if self.chunk_bytes < 1:
            raise ValueError(f"Speech: chunk_bytes is {self.chunk_bytes}, expected 1 or more.")

    async def write(self, writer: AnswerWriter) -> None:
        """Sends the headers at once and the audio chunk by chunk."""
        headers = {"Content-Type": self.content_type}
        audio_format = self.content_type if self.audio_format is None else self.audio_format
        if audio_format:
            headers["X-Speko-Audio-Format"] = audio_format
        await writer.start(200, headers, self.route)
        async with aclosing(writer.pieces(self._chunks())) as chunks:
            async for chunk in chunks:
                await writer.send(chunk)

    def _chunks(self) -> Iterable[bytes | Gate] | AsyncIterable[bytes | Gate]:
        audio, size = self.audio, self.chunk_bytes
        if isinstance(audio, bytes):
            return [audio[at : at + size] for at in range(0, len(audio), size)]
        return audio


@dataclass(frozen=True)
class ToolRows(Answer):
    """Rows of registered tools, for `tools`. `LocalGateway.register_tools` is the usual way.

    Attributes:
        rows: The rows as they are to be sent, and gates among them.
    """

    serves: ClassVar[frozenset[str]] = frozenset({"tools"})

    rows: Iterable[Mapping[str, Any] | Gate] = ()

    async def write(self, writer: AnswerWriter) -> None:
        """Sends the rows as one JSON array."""
        async with aclosing(writer.pieces(self.rows)) as pieces:
            rows = [dict(row) async for row in pieces]
        await writer.json(200, rows)


@dataclass(frozen=True)
class Refusal(Answer):
    """An error instead of an answer, for any route.

    Attributes:
        status: The HTTP status, 400 or higher.
        error: The message.
        code: The service's code for it.
        headers: Headers to send besides, `Retry-After` for one.
        body: What to send in place of the JSON error, as a proxy in between would; a string is
            sent as UTF-8. Its type is `text/html` unless the headers name another.
    """

    serves: ClassVar[frozenset[str]] = frozenset({"transcribe", "complete", "synthesize", "tools"})

    status: int
    error: str = ""
    code: str = "UNKNOWN"
    _: KW_ONLY
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None

    def __post_init__(self) -> None:
        """Checks the status: `ValueError` for one that is no error."""
        if not 400 <= self.status <= 599:
            raise ValueError(f"Refusal: status is {self.status}, expected 400 to 599.")

    async def write(self, writer: AnswerWriter) -> None:
        """Sends the error body, or the raw one."""
        if self.body is None:
            told = {"error": self.error, "code": self.code}
            return await writer.json(self.status, told, headers=self.headers)
        body = self.body.encode() if isinstance(self.body, str) else self.body
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))}
        await writer.start(self.status, {**headers, **self.headers})
        await writer.send(body)
