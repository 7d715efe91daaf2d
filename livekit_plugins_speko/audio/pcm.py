"""PCM as it arrives: out of a WAV's pieces, and to the rate and the channels that are wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from livekit import rtc

from ..errors import SpekoAdapterError
from .wav import SAMPLE_BYTES, WavHeader, WavWalk, check_mono, check_wav_complete, read_wav_header

SAMPLE_RATES_HZ = range(4_000, 384_001)
"""Sample rates that can be resampled."""


MAX_CHANNELS = 64
"""How many channels of audio are mixed down to one."""


@dataclass(frozen=True)
class AudioFormat:
    """What comes and what is wanted.

    Attributes:
        content_type: Type of the bytes that come.
        provider: Who sends them, for the text of errors.
        sample_rate: Hz wanted, mono.
        convert: Whether to decode, resample and mix down what is something else.
    """

    content_type: str
    provider: str
    sample_rate: int
    convert: bool


class WavReader:
    """Takes the samples out of a WAV that arrives in pieces. Fed by hand, does no I/O."""

    def __init__(self) -> None:
        # None until the bytes in front of the samples have come.
        self.header: WavHeader | None = None
        # The start of the file, for as long as `header` is None.
        self._start = bytearray()
        # How far its chunks were walked over.
        self._walk = WavWalk()
        # Bytes of samples handed out.
        self._received = 0

    @property
    def complete(self) -> bool:
        """Whether every sample that the header declares has come. Never in a streamed WAV."""
        return (
            self.header is not None
            and self.header.data_bytes is not None
            and self._received >= self.header.data_bytes
        )

    def push(self, chunk: bytes) -> bytes:
        """Take the next bytes of the file; return those of them that are samples.

        Raises:
            SpekoAdapterError: As `audio.parse_wav`.
        """
        if self.header is None:
            self._start += chunk
            self.header = read_wav_header(self._start, self._walk)
            if self.header is None:
                return b""
            chunk = bytes(self._start[self.header.data_start :])
            self._start.clear()
        if self.header.data_bytes is not None:
            chunk = chunk[: max(0, self.header.data_bytes - self._received)]
        self._received += len(chunk)
        return chunk

    def finish(self) -> None:
        """Say that the file is over.

        Raises:
            SpekoAdapterError: It broke off, code ``MALFORMED_AUDIO``.
        """
        if self.header is not None:
            check_wav_complete(self.header, self._received)
        elif self._start:
            raise SpekoAdapterError(
                f"SpekoAdapter: malformed WAV: it ends after {len(self._start)} bytes, before its "
                "data chunk.",
                "MALFORMED_AUDIO",
            )


class Converter:
    """Makes PCM mono at the rate wanted. PCM that is already so passes untouched."""

    def __init__(self, sample_rate: int, channels: int, audio: AudioFormat) -> None:
        """Convert from `sample_rate` Hz and `channels`.

        Raises:
            SpekoAdapterError: Not what is wanted, and ``audio.convert`` is False
                (``UNSUPPORTED_CHANNELS``, ``SAMPLE_RATE_MISMATCH``); or a rate that can't be
                resampled (``UNSUPPORTED_AUDIO_FORMAT``), or more than `MAX_CHANNELS`.
        """
        if channels > MAX_CHANNELS:
            raise SpekoAdapterError(
                f"SpekoTTS: {audio.provider} returned audio with {channels} channels, expected "
                f"{MAX_CHANNELS} at most.",
                "UNSUPPORTED_CHANNELS",
            )
        if not audio.convert:
            check_mono(channels)
            check_rate(sample_rate, audio.sample_rate)
        self._channels = channels
        self._resampler = _resampler(sample_rate, audio)
        # The bytes of a frame that the last chunk ended in the middle of.
        self._rest = b""

    def push(self, chunk: bytes) -> bytes:
        """Convert the next bytes, cut anywhere."""
        if self._channels == 1 and self._resampler is None:
            return chunk
        chunk = self._rest + chunk
        whole = len(chunk) - len(chunk) % (SAMPLE_BYTES * self._channels)
        self._rest, chunk = chunk[whole:], chunk[:whole]
        if self._channels > 1:
            chunk = mix_down(chunk, self._channels)
        if self._resampler is None or not chunk:
            return chunk
        return _join(self._resampler.push(bytearray(chunk)))

    def flush(self) -> bytes:
        """Return what the resampler still holds."""
        return b"" if self._resampler is None else _join(self._resampler.flush())


def mix_down(pcm: bytes, channels: int) -> bytes:
    """Mix interleaved int16 channels to one: their mean, rounded."""
    frames = np.frombuffer(pcm, dtype="<i2").reshape(-1, channels)
    mixed: bytes = np.rint(frames.mean(axis=1)).astype("<i2").tobytes()
    return mixed


def check_rate(found: int, expected: int) -> None:
    """Raise ``SAMPLE_RATE_MISMATCH`` unless both rates, in Hz, are the same."""
    if found != expected:
        raise SpekoAdapterError(
            f"SpekoTTS: provider returned audio at {found} Hz but the TTS was configured for "
            f"{expected} Hz. Either set sample_rate={found} on SpekoTTS, pin the Speko router to a "
            "provider that matches the expected rate, or pass convert_audio=True.",
            "SAMPLE_RATE_MISMATCH",
        )


def _resampler(sample_rate: int, audio: AudioFormat) -> rtc.AudioResampler | None:
    if sample_rate == audio.sample_rate:
        return None
    if sample_rate not in SAMPLE_RATES_HZ:
        raise SpekoAdapterError(
            f"SpekoTTS: {audio.provider} returned audio at {sample_rate} Hz, expected a rate "
            f"between {SAMPLE_RATES_HZ[0]} and {SAMPLE_RATES_HZ[-1]} Hz.",
            "UNSUPPORTED_AUDIO_FORMAT",
        )
    return rtc.AudioResampler(
        sample_rate, audio.sample_rate, quality=rtc.AudioResamplerQuality.HIGH
    )


def _join(frames: list[rtc.AudioFrame]) -> bytes:
    return b"".join(frame.data for frame in frames)
