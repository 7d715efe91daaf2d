"""Factories for tests: audio, conversations, and pieces of the wire."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
from livekit import rtc
from livekit.agents import llm
from livekit.agents.types import APIConnectOptions
from numpy.typing import NDArray

from livekit_plugins_speko.audio.wav import WAV_HEADER_BYTES
from livekit_plugins_speko.testing import ProviderRoute

FIXTURES = Path(__file__).parent.parent / "fixtures"
NO_RETRY = APIConnectOptions(max_retry=0, timeout=5.0)
QUICK_RETRY = APIConnectOptions(max_retry=2, retry_interval=0.0, timeout=5.0)
ACME = ProviderRoute("acme", "acme-2", failover_count=1, scores_run_id="run-7")


def tone(seconds: float = 0.1, *, rate: int = 24_000, channels: int = 1, hz: float = 440) -> bytes:
    """A tone as int16 little-endian PCM. No two samples near each other are alike."""
    times = np.arange(round(seconds * rate)) / rate
    samples = (8000 * np.sin(2 * np.pi * hz * times)).astype("<i2")
    return np.repeat(samples, channels).tobytes()


def frame(pcm: bytes, *, rate: int = 16_000, channels: int = 1) -> rtc.AudioFrame:
    """One audio frame with these samples."""
    return rtc.AudioFrame(pcm, rate, channels, len(pcm) // 2 // channels)


def wav(pcm: bytes, *, rate: int = 24_000, channels: int = 1, width: int = 2) -> bytes:
    """A WAV file as the standard library writes it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


def read_wav(data: bytes) -> tuple[int, int, int, bytes]:
    """The channels, sample width in bytes, rate in Hz and samples of a WAV."""
    with wave.open(io.BytesIO(data)) as file:
        return (
            file.getnchannels(),
            file.getsampwidth(),
            file.getframerate(),
            file.readframes(file.getnframes()),
        )


def streamed(wav_file: bytes, size: int) -> bytes:
    """A WAV as a stream begins it: both sizes unknown."""
    unknown = struct.pack("<I", size)
    return wav_file[:4] + unknown + wav_file[8:40] + unknown + wav_file[WAV_HEADER_BYTES:]


def compressed(
    pcm: bytes, *, container: str = "mp3", codec: str = "libmp3lame", rate: int = 24_000
) -> bytes:
    """A tone in a real compressed file; MP4 in fragments, which is how it can be streamed."""
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    file = io.BytesIO()
    with av.open(
        file, "w", format=container, options=options if container == "mp4" else {}
    ) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        samples = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def int16(pcm: bytes) -> NDArray[np.int64]:
    """The samples of PCM, in a type in which their differences do not overflow."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.int64)


def pitch(pcm: bytes, rate: int = 24_000) -> float:
    """The loudest frequency in Hz."""
    samples = int16(pcm)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def loud_s(side: NDArray[np.int16], *, above: int = 500) -> float:
    """Seconds of one side of a 24 kHz recording whose loudness (RMS) is above that."""
    blocks = side[: side.size // 480 * 480].reshape(-1, 480).astype(np.float64)
    return float((np.sqrt((blocks**2).mean(axis=1)) > above).sum() * 0.02)


def shown(value: object) -> str | None:
    """The name of a parameter in a test's id, where all of it would be too long."""
    return f"{len(value)}_bytes" if isinstance(value, bytes) else None


def conversation(*turns: tuple[str, str]) -> llm.ChatContext:
    """A chat context of (role, text) turns; without any, the caller says "hi"."""
    context = llm.ChatContext.empty()
    for role, text in turns or (("user", "hi"),):
        context.add_message(role=role, content=text)  # type: ignore[arg-type]
    return context


def cause(error: BaseException) -> Any:
    """The first cause of an error, which LiveKit's wrappers hide."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def errors_of(adapter: Any) -> list[Any]:
    """The error events of an adapter, as they come."""
    errors: list[Any] = []
    adapter.on("error", errors.append)
    return errors
