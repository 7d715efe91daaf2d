"""WAV and PCM: what goes out to recognition, and what comes back from synthesis.

PCM is int16, little-endian, interleaved, everywhere in this package. Nothing here knows of the
network. RIFF's layout is that of Microsoft's and IBM's "Multimedia Programming Interface and Data
Specifications 1.0".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

from ..errors import SpekoAdapterError

WAV_HEADER_BYTES = 44
"""Size of the RIFF header that `frames_to_wav` writes, in bytes."""

STREAMED_WAV_SIZE = 0x7FFF_0000
"""Chunk sizes from here on mean "unknown": streams write 0xFFFFFFFF, some tools 0x7FFFxxxx."""

DEFAULT_SAMPLE_RATE = 24_000
"""Hz of PCM whose content type doesn't say, and of `SpekoTTS`."""

SAMPLE_BYTES = 2
"""Size of an int16 sample, in bytes."""

MAX_WAV_HEADER_BYTES = 64 * 1024
"""How far from its start, in bytes, a WAV's ``data`` chunk may be. Room for tags, no more."""

_PCM_FORMAT = 1
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FMT = struct.Struct("<HHIIHH")
_CHUNK = struct.Struct("<4sI")
_MAX_PARAMETER_DIGITS = 9

PCM_TYPE = "audio/pcm"
"""Media type of raw samples."""

WAV_TYPES = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"})
"""Media types of WAV files."""


class SynthesisResult(Protocol):
    """What `decode_synthesis_result` needs of a whole answer from ``synthesize()``."""

    @property
    def audio(self) -> bytes:
        """Every byte of the answer."""
        ...

    @property
    def content_type(self) -> str:
        """Its format, such as ``audio/pcm;rate=24000``."""
        ...


@dataclass(frozen=True)
class WavAudio:
    """The audio of a WAV file.

    Attributes:
        pcm: int16 little-endian samples, interleaved.
        sample_rate: In Hz.
        channels: 1 for mono, 2 for stereo.
    """

    pcm: bytes
    sample_rate: int
    channels: int

    @property
    def samples(self) -> NDArray[np.int16]:
        """A read-only int16 view of shape (frames, channels) that shares `pcm`'s bytes."""
        return np.frombuffer(self.pcm, dtype="<i2").reshape(-1, self.channels)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / (SAMPLE_BYTES * self.channels * self.sample_rate)


@dataclass(frozen=True)
class WavHeader:
    """What stands in front of a WAV's samples.

    Attributes:
        sample_rate: In Hz.
        channels: How many samples make a frame.
        data_start: Where the samples begin, in bytes from the start of the file.
        data_bytes: How many bytes of samples follow, or None in a streamed WAV, whose samples go
            on to its end.
    """

    sample_rate: int
    channels: int
    data_start: int
    data_bytes: int | None


def frames_to_wav(frames: rtc.AudioFrame | Iterable[rtc.AudioFrame]) -> bytes:
    """Put audio frames into a WAV file.

    Args:
        frames: One frame or several, mono, int16, all at one sample rate.

    Returns:
        A 44-byte RIFF header and the samples, mono PCM16 at the frames' own rate.

    Raises:
        ValueError: No frames, something else, more than one channel or sample rate (a
            `SpekoAdapterError` with code ``UNSUPPORTED_CHANNELS`` or ``UNSUPPORTED_AUDIO_FORMAT``).
    """
    frames = [frames] if isinstance(frames, rtc.AudioFrame) else list(frames)
    for frame in frames:
        if not isinstance(frame, rtc.AudioFrame):
            raise SpekoAdapterError(
                f"SpekoSTT: expected livekit's audio frames, got {type(frame).__name__}.",
                "UNSUPPORTED_AUDIO_FORMAT",
            )
    if not frames:
        raise SpekoAdapterError(
            "SpekoSTT: expected at least one audio frame, got none.", "UNSUPPORTED_AUDIO_FORMAT"
        )
    for channels in {frame.num_channels for frame in frames} - {1}:
        raise SpekoAdapterError(
            f"SpekoSTT: expected mono audio (1 channel), got {channels}. Ask LiveKit for mono "
            "(AudioInputOptions(num_channels=1)), or mix the channels down before recognition.",
            "UNSUPPORTED_CHANNELS",
        )
    rates = sorted({frame.sample_rate for frame in frames})
    if len(rates) > 1:
        raise SpekoAdapterError(
            f"SpekoSTT: expected frames of one sample rate, got {rates} Hz. Resample them to one "
            "rate before recognition.",
            "UNSUPPORTED_AUDIO_FORMAT",
        )
    data_bytes = sum(frame.data.nbytes for frame in frames)
    return b"".join([_wav_header(data_bytes, rates[0]), *(frame.data for frame in frames)])


def _wav_header(data_bytes: int, sample_rate: int) -> bytes:
    return _HEADER.pack(
        b"RIFF",
        WAV_HEADER_BYTES - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        _FMT.size,
        _PCM_FORMAT,
        1,
        sample_rate,
        sample_rate * SAMPLE_BYTES,
        SAMPLE_BYTES,
        8 * SAMPLE_BYTES,
        b"data",
        data_bytes,
    )


def parse_wav(data: bytes) -> WavAudio:
    """Read a whole WAV file.

    Args:
        data: RIFF/WAVE, PCM format 1, 16 bit, any number of channels. Chunks before ``data`` are
            walked over, and those after it left out; a size of 0 or 0xFFFFFFFF (a streamed WAV)
            means "to the end".

    Raises:
        ValueError: Anything else (a `SpekoAdapterError` with code ``UNSUPPORTED_AUDIO_FORMAT`` for
            a format that is whole but not PCM16, ``MALFORMED_AUDIO`` for one that is broken off or
            no WAV at all). The text says what was found.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise SpekoAdapterError(
            f"SpekoAdapter: expected the bytes of a WAV, got {type(data).__name__}.",
            "MALFORMED_AUDIO",
        )
    data = bytes(data)
    header = read_wav_header(data)
    if header is None:
        raise _malformed(f"it ends after {len(data)} bytes, before its data chunk")
    pcm = data[header.data_start :]
    if header.data_bytes is not None:
        check_wav_complete(header, len(pcm))
        pcm = pcm[: header.data_bytes]
    whole = len(pcm) - len(pcm) % (SAMPLE_BYTES * header.channels)
    return WavAudio(bytes(pcm[:whole]), header.sample_rate, header.channels)


@dataclass
class WavWalk:
    """How far a WAV's chunks were walked over, for a file that comes in pieces.

    Attributes:
        position: Where the next chunk begins, in bytes from the start of the file.
        fmt: Sample rate in Hz and channels. None before the ``fmt`` chunk.
    """

    position: int = 12
    fmt: tuple[int, int] | None = None


def read_wav_header(data: bytes | bytearray, walk: WavWalk | None = None) -> WavHeader | None:
    """Read a WAV's header from the first bytes of it.

    Args:
        data: The file from its start, as far as it has come.
        walk: How far an earlier call came with less of it; it is moved on.

    Returns:
        The header, or None when it isn't complete yet.

    Raises:
        SpekoAdapterError: As `parse_wav`.
    """
    if not b"RIFF".startswith(data[:4]) or (len(data) >= 12 and data[8:12] != b"WAVE"):
        raise _malformed(f"it begins with {bytes(data[:12])!r}, expected RIFF and WAVE")
    walk = walk or WavWalk()
    while len(data) >= walk.position + _CHUNK.size:
        name, size = _CHUNK.unpack_from(data, walk.position)
        start = walk.position + _CHUNK.size
        if name == b"data":
            if walk.fmt is None:
                raise _malformed("its data chunk comes before its fmt chunk")
            streamed = size == 0 or size >= STREAMED_WAV_SIZE
            return WavHeader(*walk.fmt, start, None if streamed else size)
        if name == b"fmt ":
            if size < _FMT.size:
                raise _malformed(f"its fmt chunk has {size} bytes, expected {_FMT.size} or more")
            if len(data) < start + _FMT.size:
                return None
            walk.fmt = _read_fmt(data, start)
        walk.position = start + size + size % 2
        if walk.position > MAX_WAV_HEADER_BYTES:
            raise _malformed(f"its data chunk does not begin in {MAX_WAV_HEADER_BYTES} bytes")
    return None


def _read_fmt(data: bytes | bytearray, position: int) -> tuple[int, int]:
    audio_format, channels, sample_rate, _, _, bits = _FMT.unpack_from(data, position)
    if audio_format != _PCM_FORMAT or bits != 8 * SAMPLE_BYTES:
        raise SpekoAdapterError(
            f"SpekoAdapter: expected a WAV of format 1 (PCM) with 16 bits, got format "
            f"{audio_format} with {bits} bits.",
            "UNSUPPORTED_AUDIO_FORMAT",
        )
    if channels == 0 or sample_rate == 0:
        raise _malformed(f"it declares {channels} channels at {sample_rate} Hz")
    return sample_rate, channels


def check_wav_complete(header: WavHeader, received: int) -> None:
    """Raise ``MALFORMED_AUDIO`` when a WAV holds fewer bytes of samples than it declares.

    Args:
        header: Its header.
        received: Bytes of samples that came.
    """
    if header.data_bytes is not None and received < header.data_bytes:
        raise _malformed(f"it holds {received} bytes of the {header.data_bytes} it declares")


def _malformed(found: str) -> SpekoAdapterError:
    return SpekoAdapterError(f"SpekoAdapter: malformed WAV: {found}.", "MALFORMED_AUDIO")


def media_type(content_type: str) -> str:
    """The type without its parameters, lower case: ``audio/pcm`` of ``Audio/PCM; rate=8000``."""
    return content_type.partition(";")[0].strip().lower()


def pcm_sample_rate_from_content_type(content_type: str, fallback: int) -> int:
    """The ``rate`` parameter of a content type such as ``audio/pcm;rate=24000``.

    Args:
        content_type: A ``Content-Type``, in any case, with or without quotes and spaces.
        fallback: What to answer when the rate is missing, zero or not a number.

    Returns:
        The sample rate in Hz.
    """
    return _number_parameter(content_type, "rate") or fallback


def pcm_channels_from_content_type(content_type: str) -> int:
    """The ``channels`` parameter of a content type, 1 when it doesn't say."""
    return _number_parameter(content_type, "channels") or 1


def _number_parameter(content_type: str, name: str) -> int:
    for parameter in content_type.split(";")[1:]:
        key, _, value = parameter.partition("=")
        number = value.strip().strip('"')
        if key.strip().lower() == name and number.isascii() and number.isdigit():
            return int(number) if len(number) <= _MAX_PARAMETER_DIGITS else 0
    return 0


def decode_synthesis_result(result: SynthesisResult) -> tuple[bytes, int, int]:
    """Decode the whole answer of ``synthesize()``.

    Args:
        result: What `Speko.synthesize` (or the official SDK's) returned.

    Returns:
        The samples (int16, little-endian), their rate in Hz (24000 for PCM that doesn't say), and
        the number of channels, which is 1.

    Raises:
        SpekoAdapterError: ``EMPTY_AUDIO``; ``UNSUPPORTED_CONTENT_TYPE`` for everything but PCM and
            WAV, ``audio/mpeg`` included; ``UNSUPPORTED_CHANNELS`` for more than one channel; and
            `parse_wav`'s.
    """
    kind = media_type(result.content_type)
    if not result.audio:
        raise empty_audio()
    if kind in WAV_TYPES:
        wav = parse_wav(result.audio)
        pcm, rate, channels = wav.pcm, wav.sample_rate, wav.channels
    elif kind == PCM_TYPE:
        whole = len(result.audio) - len(result.audio) % SAMPLE_BYTES
        pcm = result.audio[:whole]
        rate = pcm_sample_rate_from_content_type(result.content_type, DEFAULT_SAMPLE_RATE)
        channels = pcm_channels_from_content_type(result.content_type)
    else:
        raise SpekoAdapterError(
            f"SpekoTTS: expected audio/pcm or audio/wav, got {kind or 'no content type'}. Pin the "
            "Speko router to a provider that sends PCM, or let SpekoTTS(convert_audio=True) "
            "decode it.",
            "UNSUPPORTED_CONTENT_TYPE",
        )
    check_mono(channels)
    if not pcm:
        raise empty_audio()
    return pcm, rate, channels


def check_mono(channels: int) -> None:
    """Raise ``UNSUPPORTED_CHANNELS`` for anything but one channel."""
    if channels != 1:
        raise SpekoAdapterError(
            f"SpekoTTS: expected mono audio (1 channel), got {channels} channels. Pin the Speko "
            "router to a provider that sends mono, or pass convert_audio=True.",
            "UNSUPPORTED_CHANNELS",
        )


def empty_audio() -> SpekoAdapterError:
    """The error of an answer without a single sample."""
    return SpekoAdapterError("SpekoTTS: provider returned empty audio", "EMPTY_AUDIO")
