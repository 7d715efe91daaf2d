"""The agent's side of a speech-to-speech connection: words, their audio, and the end of a reply."""

from __future__ import annotations

import re
from collections.abc import Iterator

from livekit import rtc

from livekit_plugins_speko.testing import (
    EndOfReply,
    RealtimeConnection,
    RealtimeTranscript,
    ToolCall,
)

from .voice import Voice

# The length of a piece of audio, in seconds.
PIECE_S = 0.1
# Usage as voice models count it: tokens for a second of the caller's audio, and of the agent's.
INPUT_TOKENS_PER_S = 10
OUTPUT_TOKENS_PER_S = 20

_SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s)|\Z)", re.DOTALL)


class Speaker:
    """Sends replies, sentence by sentence, faster than real time. Used by one task at a time."""

    def __init__(self, connection: RealtimeConnection, voice: Voice) -> None:
        """Speak on a connection.

        Args:
            connection: The connection, which is ready.
            voice: The voice.
        """
        self._connection = connection
        self._voice = voice
        # True between the first piece of a reply and its end.
        self._has_begun = False
        # The agent's audio in the reply, and the caller's since the last reply, in bytes.
        self._sent = 0
        self._heard_to = 0

    async def call(self, tool: ToolCall) -> None:
        """Send a reply that calls a tool."""
        self._has_begun = True
        await self._connection.send(tool)
        await self.end()

    async def say(self, text: str) -> None:
        """Send a spoken reply. Cancelling cuts it; `end` then sends its end."""
        self._has_begun = True
        said = ""
        for sentence in _SENTENCE.findall(text):
            said = f"{said} {sentence}".lstrip()
            await self._connection.send(RealtimeTranscript("assistant", said))
            async for rendered in self._voice.render(sentence):
                for piece in self._pieces(rendered):
                    self._sent += len(piece)
                    await self._connection.send(piece)
        await self._connection.send(RealtimeTranscript("assistant", said, final=True))
        await self.end()

    async def end(self) -> None:
        """Send the end of the reply with its usage; does nothing without a reply."""
        if not self._has_begun:
            return
        self._has_begun = False
        heard_s = (
            self._connection.audio_bytes - self._heard_to
        ) / self._connection.bytes_per_second
        said_s = self._sent / (2 * self._connection.output_rate_hz)
        self._heard_to, self._sent = self._connection.audio_bytes, 0
        usage = EndOfReply(
            input_audio_tokens=round(INPUT_TOKENS_PER_S * heard_s),
            output_audio_tokens=round(OUTPUT_TOKENS_PER_S * said_s),
        )
        await self._connection.send(usage)

    def _pieces(self, pcm: bytes) -> Iterator[bytes]:
        """Convert a sentence to the connection's rate, and cut it."""
        rate_hz = self._connection.output_rate_hz
        if rate_hz != self._voice.rate_hz:
            resampler = rtc.AudioResampler(self._voice.rate_hz, rate_hz)
            frames = [*resampler.push(bytearray(pcm)), *resampler.flush()]
            pcm = b"".join(bytes(frame.data) for frame in frames)
        size = 2 * round(PIECE_S * rate_hz)
        for at in range(0, len(pcm), size):
            yield pcm[at : at + size]
