"""Samples: how they are stored, and how they become int16 mono at the rate that is wanted.

PCM is int16, little-endian, interleaved, everywhere else in this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

from ..errors import SpekoAdapterError
from .content_type import number_parameter, pcm_sample_rate_from_content_type, text_parameter

DEFAULT_SAMPLE_RATE = 24_000
"""Hz of PCM whose content type doesn't say, and of `SpekoTTS`."""

SAMPLE_BYTES = 2
"""Size of an int16 sample, in bytes."""

SAMPLE_RATES_HZ = range(4_000, 384_001)
"""Sample rates that can be resampled."""

MAX_CHANNELS = 64
"""How many channels of audio are mixed down to one."""

INTEGERS, FLOATS, A_LAW, MU_LAW = 1, 3, 6, 7
"""Format tags of WAV files, by which `Encoding` names the kinds of samples."""

_Samples: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Encoding:
    """How each sample is stored.

    Attributes:
        kind: A WAV file's format tag: `INTEGERS`, `FLOATS`, `A_LAW`, `MU_LAW` or any other.
        bits: Size of a sample. Integers of 8 bits are unsigned, larger ones signed.
        big_endian: Whether the most significant byte comes first. Never so in a WAV file.
    """

    kind: int
    bits: int
    big_endian: bool = False

    @property
    def sample_bytes(self) -> int:
        """Size of a sample, in bytes."""
        return self.bits // 8

    @property
    def convertible(self) -> bool:
        """True if `to_int16` converts it."""
        return self == INT16_BIG_ENDIAN or (
            not self.big_endian and (self.kind, self.bits) in _CONVERTIBLE
        )

    def to_int16(self, samples: bytes) -> _Samples:
        """Convert whole samples to int16, rounded and clipped. Needs to be `convertible`."""
        if self == INT16:
            return np.frombuffer(samples, dtype="<i2")
        if self == INT16_BIG_ENDIAN:
            return np.frombuffer(samples, dtype=">i2").astype("<i2")
        if self.kind in (A_LAW, MU_LAW):
            table = _A_LAW_TABLE if self.kind == A_LAW else _MU_LAW_TABLE
            return table[np.frombuffer(samples, dtype=np.uint8)]
        if self.kind == FLOATS:
            scaled = np.frombuffer(samples, dtype=f"<f{self.sample_bytes}") * 32768.0
            return _rounded(np.nan_to_num(scaled, nan=0.0, posinf=32767.0, neginf=-32768.0))
        if self.bits == 8:
            return (np.frombuffer(samples, dtype=np.uint8).astype("<i2") - 128) * 256
        if self.bits == 24:
            padded = np.zeros((len(samples) // 3, 4), dtype=np.uint8)
            padded[:, 1:] = np.frombuffer(samples, dtype=np.uint8).reshape(-1, 3)
            samples = padded.tobytes()
        return _rounded(np.frombuffer(samples, dtype="<i4") / 65536.0)


INT16 = Encoding(INTEGERS, 16)
INT16_BIG_ENDIAN = Encoding(INTEGERS, 16, big_endian=True)
_CONVERTIBLE = frozenset(
    {
        *((INTEGERS, bits) for bits in (8, 16, 24, 32)),
        *((FLOATS, bits) for bits in (32, 64)),
        (A_LAW, 8),
        (MU_LAW, 8),
    }
)


def _rounded(samples: _Samples) -> _Samples:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2")


def _g711_tables() -> tuple[_Samples, _Samples]:
    """Compute the int16 sample of each byte in A-law and mu-law (ITU-T G.711)."""
    codes = np.arange(256)
    a, mu = codes ^ 0x55, codes ^ 0xFF
    a_chord, a_step = (a >> 4) & 7, a & 15
    a_size = np.where(
        a_chord == 0, (a_step << 4) + 8, ((a_step << 4) + 264) << np.maximum(a_chord - 1, 0)
    )
    mu_size = ((((mu & 15) << 3) + 132) << ((mu >> 4) & 7)) - 132
    return (
        np.where(a & 128, a_size, -a_size).astype("<i2"),
        np.where(mu & 128, -mu_size, mu_size).astype("<i2"),
    )


_A_LAW_TABLE, _MU_LAW_TABLE = _g711_tables()

_NAMED_ENCODINGS = {
    "s16be": INT16_BIG_ENDIAN,
    "u8": Encoding(INTEGERS, 8),
    "s24le": Encoding(INTEGERS, 24),
    "s32le": Encoding(INTEGERS, 32),
    "float": Encoding(FLOATS, 32),
    "f32le": Encoding(FLOATS, 32),
    "f64le": Encoding(FLOATS, 64),
    "alaw": Encoding(A_LAW, 8),
    "ulaw": Encoding(MU_LAW, 8),
    "mulaw": Encoding(MU_LAW, 8),
}


@dataclass(frozen=True)
class SampleFormat:
    """How samples that come are to be read.

    Attributes:
        encoding: How each of them is stored.
        sample_rate: In Hz.
        channels: How many of them make a frame, interleaved.
    """

    encoding: Encoding
    sample_rate: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        """Size of a frame, one sample of each channel, in bytes."""
        return self.encoding.sample_bytes * self.channels


@lru_cache(maxsize=64)
def pcm_format_from_content_type(content_type: str, fallback_rate: int) -> SampleFormat:
    """Return the format of raw samples, from the parameters of their content type.

    A name of an encoding that is not known is taken for int16, little-endian: nearly all PCM of
    speech is, and names for it are many (``linear16``, ``pcm_s16le``, ``signed-integer``).

    Args:
        content_type: One of `PCM_TYPES`, with its parameters.
        fallback_rate: Hz of samples whose type doesn't say.

    Returns:
        The format: int16, little-endian and mono where the type doesn't say.
    """
    rate = pcm_sample_rate_from_content_type(content_type, 0) or number_parameter(
        content_type, "sample-rate", "sample_rate", "samplerate"
    )
    channels = number_parameter(content_type, "channels", "channel-count") or 1
    return SampleFormat(_pcm_encoding(content_type), rate or fallback_rate, channels)


def _pcm_encoding(content_type: str) -> Encoding:
    name = text_parameter(content_type, "encoding", "format", "codec").removeprefix("pcm_")
    encoding = _NAMED_ENCODINGS.get(name, INT16)
    bits = number_parameter(content_type, "bits", "bit", "sample-size-bits")
    if bits and encoding.kind in (INTEGERS, FLOATS):
        encoding = Encoding(encoding.kind, bits, encoding.big_endian)
    big_endian = (
        text_parameter(content_type, "endianness").startswith("big")
        or text_parameter(content_type, "big-endian", "is-big-endian") == "true"
    )
    return Encoding(encoding.kind, encoding.bits, True) if big_endian else encoding


@dataclass(frozen=True)
class AudioFormat:
    """The format that comes, and the one that is wanted.

    Attributes:
        content_type: Type of the bytes that come.
        provider: Which provider sends them, for the text of errors.
        sample_rate: Hz wanted, mono.
        convert: Whether to decode, resample and mix down what is something else.
    """

    content_type: str
    provider: str
    sample_rate: int
    convert: bool


class Converter:
    """Makes samples int16 mono at the rate wanted. Those that are already so pass untouched."""

    def __init__(self, source: SampleFormat, audio: AudioFormat) -> None:
        """Convert from `source`.

        Raises:
            SpekoAdapterError: Not what is wanted, and ``audio.convert`` is False
                (``UNSUPPORTED_CHANNELS``, ``SAMPLE_RATE_MISMATCH``); or a rate that can't be
                resampled (``UNSUPPORTED_AUDIO_FORMAT``), or more than `MAX_CHANNELS`. None of
                these is retried.
        """
        if source.channels > MAX_CHANNELS:
            raise SpekoAdapterError(
                f"SpekoTTS: {audio.provider} returned audio with {source.channels} channels, "
                f"expected {MAX_CHANNELS} at most.",
                "UNSUPPORTED_CHANNELS",
            )
        if not audio.convert:
            check_mono(source.channels)
            check_rate(source.sample_rate, audio.sample_rate)
        self.source = source
        self._resampler = _resampler(source.sample_rate, audio)
        # Start of a frame whose other bytes have not come.
        self._rest = b""

    def push(self, chunk: bytes) -> bytes:
        """Convert the next bytes, cut anywhere; return whole samples."""
        if self._rest:
            chunk = self._rest + chunk
        whole = len(chunk) - len(chunk) % self.source.frame_bytes
        self._rest, chunk = chunk[whole:], chunk[:whole]
        if not chunk:
            return b""
        if self.source.encoding != INT16:
            chunk = self.source.encoding.to_int16(chunk).tobytes()
        if self.source.channels > 1:
            chunk = mix_down(chunk, self.source.channels)
        if self._resampler is None:
            return chunk
        return _join(self._resampler.push(bytearray(chunk)))

    def drop_rest(self) -> None:
        """Forget a frame that is not whole, since what follows begins with a new one."""
        self._rest = b""

    def flush(self) -> bytes:
        """Return the rest that the resampler holds."""
        return b"" if self._resampler is None else _join(self._resampler.flush())


def mix_down(pcm: bytes, channels: int) -> bytes:
    """Mix interleaved int16 channels to one: their mean, rounded."""
    frames = np.frombuffer(pcm, dtype="<i2").reshape(-1, channels)
    mixed: bytes = np.rint(frames.mean(axis=1)).astype("<i2").tobytes()
    return mixed


def check_mono(channels: int) -> None:
    """Raise ``UNSUPPORTED_CHANNELS`` for anything but one channel."""
    if channels != 1:
        raise SpekoAdapterError(
            f"SpekoTTS: expected mono audio (1 channel), got {channels} channels. Pin the Speko "
            "router to a provider that sends mono, or pass convert_audio=True.",
            "UNSUPPORTED_CHANNELS",
        )


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
