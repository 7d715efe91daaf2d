"""Samples of the phone line: reading the caller's WAVs, changing rates, writing the recording.

All audio here is int16; arrays are mono of shape (samples,) unless a function says otherwise.
"""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

Samples = NDArray[np.int16]

SAMPLE_BYTES = 2


def to_samples(speech: str | os.PathLike[str] | bytes | Samples, rate_hz: int) -> Samples:
    """Read speech given as a WAV or as samples.

    Args:
        speech: The path of a WAV file, the bytes of one, or int16 samples of shape (samples,)
            that are already at `rate_hz`. A WAV has 16 bits, any rate and any channel count; its
            channels are averaged.
        rate_hz: The rate of the samples to return.

    Returns:
        Mono int16 samples at `rate_hz`.

    Raises:
        TypeError: `speech` is an array of another type than int16.
        ValueError: The array is not one-dimensional, or the WAV is not 16-bit PCM.
    """
    if isinstance(speech, np.ndarray):
        if speech.dtype != np.int16:
            raise TypeError(f"CallLine: expected int16 samples, got {speech.dtype}")
        if speech.ndim != 1:
            raise ValueError(f"CallLine: expected samples of shape (n,), got {speech.shape}")
        return speech
    data = speech if isinstance(speech, bytes) else Path(speech).read_bytes()
    samples, found_hz = _read_wav(data)
    return resample(samples, found_hz, rate_hz)


def _read_wav(data: bytes) -> tuple[Samples, int]:
    try:
        with wave.open(io.BytesIO(data)) as reader:
            width, channels = reader.getsampwidth(), reader.getnchannels()
            rate_hz, pcm = reader.getframerate(), reader.readframes(reader.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"CallLine: expected a 16-bit PCM WAV, got {error}") from error
    if width != SAMPLE_BYTES:
        raise ValueError(f"CallLine: expected a 16-bit PCM WAV, got {8 * width} bits")
    return to_mono(np.frombuffer(pcm, dtype="<i2"), channels), rate_hz


def to_mono(interleaved: Samples, channels: int) -> Samples:
    """Average the channels of interleaved int16 samples; one channel comes back as it is."""
    if channels == 1:
        return interleaved
    mean: Samples = interleaved.reshape(-1, channels).mean(axis=1).astype(np.int16)
    return mean


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Change the rate of a whole piece of mono audio."""
    if from_hz == to_hz or not samples.size:
        return samples
    resampler = rtc.AudioResampler(from_hz, to_hz)
    frames = [*resampler.push(bytearray(samples.tobytes())), *resampler.flush()]
    return np.frombuffer(b"".join(bytes(frame.data) for frame in frames), dtype=np.int16)


def write_stereo_wav(path: str | os.PathLike[str], samples: Samples, rate_hz: int) -> None:
    """Write int16 samples of shape (frames, 2) as a WAV; make missing folders."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(target), "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(SAMPLE_BYTES)
        writer.setframerate(rate_hz)
        writer.writeframes(samples.astype("<i2").tobytes())


class RateConverter:
    """Converts the frames of one stretch of speech to mono PCM at one rate.

    Used by one task. The rate may change between frames: the samples in the old resampler come
    out before the first sample of the new rate.
    """

    def __init__(self, rate_hz: int) -> None:
        """Make a converter.

        Args:
            rate_hz: The rate of the PCM to return.
        """
        self._rate_hz = rate_hz
        # The resampler in use; None while the frames already have the right rate.
        self._resampler: rtc.AudioResampler | None = None
        self._source_hz = rate_hz

    def push(self, frame: rtc.AudioFrame) -> bytes:
        """Convert a frame.

        Args:
            frame: int16 audio of any rate and channel count.

        Returns:
            Mono int16 PCM, possibly empty while the resampler fills.
        """
        held = b"" if frame.sample_rate == self._source_hz else self._change_source(frame)
        interleaved = np.frombuffer(frame.data, dtype=np.int16)
        pcm = to_mono(interleaved, frame.num_channels).tobytes()
        if self._resampler is None:
            return held + pcm
        return held + _join(self._resampler.push(bytearray(pcm)))

    def flush(self) -> bytes:
        """Return the samples that are left in the resampler, as mono int16 PCM."""
        return b"" if self._resampler is None else _join(self._resampler.flush())

    def _change_source(self, frame: rtc.AudioFrame) -> bytes:
        held = self.flush()
        self._source_hz = frame.sample_rate
        self._resampler = None
        if frame.sample_rate != self._rate_hz:
            self._resampler = rtc.AudioResampler(frame.sample_rate, self._rate_hz)
        return held


def _join(frames: list[rtc.AudioFrame]) -> bytes:
    return b"".join(bytes(frame.data) for frame in frames)
