"""Sessions that talk and listen in real time, for `sessions`: what each of them heard, and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from livekit.agents import llm, tokenize, tts

from benchmarks._callers import MESSAGE, UTTERANCE, OpenAIPlugin, Plugin, SpekoPlugin
from livekit_plugins_speko.tts.stream_adapter import SpekoTTSAdapter

FRAME_S = 0.02
SENTENCE = "It is sunny in Paris today, with a light wind from the west."
TOKENIZER = tokenize.basic.SentenceTokenizer(retain_format=True)


@dataclass
class Heard:
    """What a player heard. Times are `time.monotonic`'s.

    The player's clock begins with the first frame, and takes a frame every 20 ms from then on. It
    has nothing in store, and a late frame shifts none of those behind it.

    Attributes:
        began_s: When the first frame was there; None before that.
        late_ms: For each frame, how much later than its turn it was there; 0 for none.
    """

    began_s: float | None = None
    late_ms: list[float] = field(default_factory=list)
    # Seconds of audio that came and make no frame yet.
    _rest_s: float = 0.0

    def take(self, duration_s: float) -> None:
        """Take note of audio that is there now."""
        now_s = time.monotonic()
        self._rest_s += duration_s
        while self._rest_s > FRAME_S - 1e-9:
            self._rest_s -= FRAME_S
            if self.began_s is None:
                self.began_s = now_s
            self.late_ms.append(max(0.0, 1e3 * (now_s - self._due_s())))

    async def to_the_end(self) -> None:
        """Wait until the last frame was played."""
        await asyncio.sleep(max(0.0, self._due_s() - time.monotonic()))

    def _due_s(self) -> float:
        return (self.began_s or 0.0) + FRAME_S * len(self.late_ms)


class Talker(Plugin):
    """One session's three parts, used as a session uses them, but for the VAD."""

    # Cuts a reply into sentences, and has the voice speak them.
    _adapter: tts.StreamAdapter

    async def speak(self) -> Heard:
        """Say one sentence, and listen to its end."""

        async def sentence() -> AsyncIterator[str]:
            yield SENTENCE

        return await self._say(sentence())

    async def take_turn(self) -> Heard:
        """Understand somebody, answer, and listen to the answer's end."""
        await self._stt.recognize(UTTERANCE)
        return await self._say(self._tokens())

    async def aclose(self) -> None:
        await self._adapter.aclose()
        await super().aclose()

    async def _tokens(self) -> AsyncIterator[str]:
        context = llm.ChatContext.empty()
        context.add_message(role="user", content=MESSAGE)
        async with self._llm.chat(chat_ctx=context) as chunks:
            async for chunk in chunks:
                if chunk.delta is not None and chunk.delta.content:
                    yield chunk.delta.content

    async def _say(self, text: AsyncIterator[str]) -> Heard:
        heard = Heard()
        async with self._adapter.stream() as stream:
            pushing = asyncio.create_task(self._push(text, stream))
            async for audio in stream:
                heard.take(audio.frame.duration)
            await pushing
        await heard.to_the_end()
        return heard

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
