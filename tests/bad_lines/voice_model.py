"""A voice model whose caller speaks in tones: it replies to each utterance that it hears."""

from __future__ import annotations

import asyncio

import numpy as np

from livekit_plugins_speko.testing import EndOfReply, RealtimeConnection, RealtimeTranscript
from tests.bad_lines.rows import BadLine
from tests.bad_lines.toxiproxy import Line
from tests.helpers.session_line import spoken
from tests.helpers.support import tone

RATE_HZ = 24_000
WORDS_S, PAUSE_S, REPLY_S = 0.4, 0.2, 0.2
_FRAME_S = 0.02
_LOUD = 1_000
_QUIET_FRAMES = 3


def utterance(number: int) -> bytes:
    """The caller's utterance `number`, without the pause after it."""
    return tone(WORDS_S, rate=RATE_HZ, hz=200 + 200 * number)


def pause() -> bytes:
    """Silence that ends an utterance."""
    return bytes(2 * round(RATE_HZ * PAUSE_S))


def question(number: int) -> str:
    """What the utterance `number` says."""
    return f"This is question {number}."


def reply(number: int) -> str:
    """What the model replies to it."""
    return f"And this is answer {number}."


def audio_of(number: int) -> bytes:
    """The audio of that reply: samples that no other has."""
    return spoken(reply(number), REPLY_S)


class Tones:
    """The utterances in audio of one connection, which is fed in pieces."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._size = 2 * round(rate_hz * _FRAME_S)
        # Audio that fills no frame yet, and the frames of the utterance under way.
        self._rest = b""
        self._loud: list[bytes] = []
        # Quiet frames since.
        self._quiet = 0

    def feed(self, pcm: bytes) -> list[str]:
        """Return the texts of the utterances that end in this piece."""
        self._rest += pcm
        texts = []
        while len(self._rest) >= self._size:
            frame, self._rest = self._rest[: self._size], self._rest[self._size :]
            if np.abs(np.frombuffer(frame, "<i2").astype(int)).max() > _LOUD:
                self._loud.append(frame)
                self._quiet = 0
            elif self._loud:
                self._quiet += 1
                if self._quiet == _QUIET_FRAMES:
                    texts.append(self._text())
                    self._loud.clear()
        return texts

    def _text(self) -> str:
        samples = np.frombuffer(b"".join(self._loud), "<i2").astype(float)
        spectrum = np.abs(np.fft.rfft(samples, self._rate_hz))
        text = question(round((float(spectrum.argmax()) - 200) / 200))
        share = len(samples) / self._rate_hz / WORDS_S
        return text if share > 0.85 else f"{share:.0%} of {text}"


class VoiceModel:
    """An engine of `realtime`, and the line that turns bad at a place of its second turn.

    Attributes:
        speaking: Set once the caller hears the reply under way.
    """

    def __init__(self, row: BadLine, line: Line) -> None:
        self.speaking = asyncio.Event()
        self._row, self._line = row, line

    async def __call__(self, connection: RealtimeConnection) -> None:
        """Talk on one connection."""
        tones = Tones(connection.input_rate_hz)
        async for received in connection.incoming():
            if received.kind == "audio":
                for text in tones.feed(received.pcm):
                    await self._reply(connection, text)

    async def _reply(self, connection: RealtimeConnection, text: str) -> None:
        number = int(text.rpartition(" ")[2].rstrip("."))
        await connection.send(RealtimeTranscript("user", text, final=True))
        await self._begin(number, "before a reply")
        audio, words = audio_of(number), reply(number)
        middle, half = len(audio) // 4 * 2, len(words) // 2
        self.speaking.clear()
        await connection.send(audio[:middle])
        await connection.send(RealtimeTranscript("assistant", words[:half]))
        if number == 2 and self._row.at == "in a reply" and not self._line.turned_bad.is_set():
            await self.speaking.wait()
            await self._begin(number, "in a reply")
        await connection.send(audio[middle:])
        await connection.send(RealtimeTranscript("assistant", words, final=True))
        await connection.send(EndOfReply())

    async def _begin(self, number: int, place: str) -> None:
        if number == 2:
            await self._row.begin(self._line, place)
