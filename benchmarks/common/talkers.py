"""Sessions without a VAD that talk in real time, and how late each frame of their audio is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from livekit.agents import tts

from benchmarks.common.callers import UTTERANCE, OpenAIPlugin, Plugin, SpekoPlugin, asked
from benchmarks.common.setup import TOKENIZER
from livekit_plugins_speko import SpekoTTSAdapter

FRAME_S = 0.02
LONG_SENTENCE = "It is sunny in Paris today, with a light wind from the west."


@dataclass
class Playback:
    """A reply as its listener plays it. Times are `time.monotonic`'s.

    The player's clock begins with the first frame, and takes a frame every 20 ms from then on. It
    buffers nothing, and a late frame delays none of those after it.

    Attributes:
        began_s: When the first frame was there; None before that.
        late_ms: For each frame, how much later than its turn it was there; 0 for none.
    """

    began_s: float | None = None
    late_ms: list[float] = field(default_factory=list)
    # Seconds of audio that are less than a frame.
    _rest_s: float = 0.0

    def take(self, duration_s: float) -> None:
        """Take audio that is there now."""
        now_s = time.monotonic()
        self._rest_s += duration_s
        while self._rest_s > FRAME_S - 1e-9:
            self._rest_s -= FRAME_S
            if self.began_s is None:
                self.began_s = now_s
            self.late_ms.append(max(0.0, 1e3 * (now_s - self._due_s())))

    async def finish(self) -> None:
        """Wait until the last frame was played."""
        await asyncio.sleep(max(0.0, self._due_s() - time.monotonic()))

    def _due_s(self) -> float:
        return (self.began_s or 0.0) + FRAME_S * len(self.late_ms)


class Talker(Plugin):
    """One session's STT, LLM and TTS, used as a session uses them, but for the VAD."""

    # Cuts a reply into sentences, and synthesizes them.
    _adapter: tts.StreamAdapter

    async def speak(self) -> Playback:
        """Say one sentence, and play it to its end."""

        async def sentence() -> AsyncIterator[str]:
            yield LONG_SENTENCE

        return await self._say(sentence())

    async def take_turn(self) -> Playback:
        """Recognize an utterance, and play the reply to its end."""
        await self._stt.recognize(UTTERANCE)
        return await self._say(self._tokens())

    async def aclose(self) -> None:
        await self._adapter.aclose()
        await super().aclose()

    async def _tokens(self) -> AsyncIterator[str]:
        async with self._llm.chat(chat_ctx=asked()) as chunks:
            async for chunk in chunks:
                if chunk.delta is not None and chunk.delta.content:
                    yield chunk.delta.content

    async def _say(self, text: AsyncIterator[str]) -> Playback:
        playback = Playback()
        async with self._adapter.stream() as stream:
            pushing = asyncio.create_task(self._push(text, stream))
            async for audio in stream:
                playback.take(audio.frame.duration)
            await pushing
        await playback.finish()
        return playback

    async def _push(self, text: AsyncIterator[str], stream: tts.SynthesizeStream) -> None:
        async for token in text:
            stream.push_text(token)
        stream.end_input()


class SpekoTalker(Talker, SpekoPlugin):
    """This plugin."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._adapter = SpekoTTSAdapter(tts=self._tts, sentence_tokenizer=TOKENIZER)


class OpenAITalker(Talker, OpenAIPlugin):
    """livekit-plugins-openai with LiveKit's adapter."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._adapter = tts.StreamAdapter(tts=self._tts, sentence_tokenizer=TOKENIZER)
