"""What tests make again and again: audio, conversations, and the wire's own pieces."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import llm
from livekit.agents.types import APIConnectOptions

FIXTURES = Path(__file__).parent / "fixtures"
NO_RETRY = APIConnectOptions(max_retry=0, timeout=5.0)
QUICK_RETRY = APIConnectOptions(max_retry=2, retry_interval=0.0, timeout=5.0)


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
