"""WAV files: those that recognition uploads, and the headers of those that synthesis returns.

RIFF's layout is that of Microsoft's and IBM's "Multimedia Programming Interface and Data
Specifications 1.0", the extensible format that of Microsoft's "Multiple Channel Audio Data and WAVE
Files".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

from ..errors import SpekoAdapterError
from .pcm import INT16, SAMPLE_BYTES, Encoding, SampleFormat

WAV_HEADER_BYTES = 44
"""Size of the RIFF header that `frames_to_wav` writes, in bytes."""

MAX_WAV_HEADER_BYTES = 64 * 1024
"""How far from its start, in bytes, a WAV's ``data`` chunk may be. Room for tags, no more."""

MAX_WAV_S = 600
"""Declared lengths from here on, in seconds, mean "unknown", as 0 does.

A stream's writer does not know its length and makes one up: 0xFFFFFFFF (OpenAI, ffmpeg), 0x7FFFFFFF
and some less (ElevenLabs, DashScope), 2,000,000,000 (Pocket TTS). Providers take some 5,000 to
10,000 characters in a request, which are ten minutes at most.
"""

_EXTENSIBLE = 0xFFFE
# What follows the two bytes of the format tag in the GUID of an extensible format.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_FMT = struct.Struct("<HHIIHH")
_EXTENDED_FMT_BYTES = 40
CHUNK = struct.Struct("<4sI")


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
    """The header of a WAV: all that precedes its samples.

    Attributes:
        format: How its samples are to be read.
        data_start: Where the samples begin, in bytes from the start of the file.
        data_bytes: How many bytes of samples follow, or None in a streamed WAV, whose samples
            continue to its end.
    """

    format: SampleFormat
    data_start: int
    data_bytes: int | None


def frames_to_wav(frames: rtc.AudioFrame | Iterable[rtc.AudioFrame]) -> bytes:
    """Put audio frames into a WAV file.

    Args:
        frames: One frame or several: int16, shape (frames, 1), all at one sample rate in Hz.

    Returns:
        A 44-byte RIFF header and the samples: int16, little-endian, mono, at the frames' own rate.

    Raises:
        ValueError: No frames, something else, more than one channel or sample rate (a
            `SpekoAdapterError` with code ``UNSUPPORTED_CHANNELS`` or ``UNSUPPORTED_AUDIO_FORMAT``,
            neither retried).
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
    # As a list of one, a single frame would be copied once more.
    merged = rtc.combine_audio_frames(frames) if len(frames) > 1 else frames[0]
    return merged.to_wav_bytes()


def parse_wav(data: bytes) -> WavAudio:
    """Read a whole WAV file.

    Args:
        data: RIFF/WAVE, PCM (format 1, plain or extensible), 16 bit, any number of channels. Chunks
            before ``data`` are walked over, and what follows it is left out. A size of 0, or one
            that no speech has (`MAX_WAV_S`), means "to the end".

    Returns:
        Its samples: int16, little-endian, shape (frames, channels), at the rate in Hz that it says.

    Raises:
        ValueError: Anything else (a `SpekoAdapterError` with code ``UNSUPPORTED_AUDIO_FORMAT`` for
            a format that is whole but not PCM16, ``MALFORMED_AUDIO`` for one that was cut or is no
            WAV at all). The text says what was found.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise SpekoAdapterError(
            f"SpekoAdapter: expected the bytes of a WAV, got {type(data).__name__}.",
            "MALFORMED_AUDIO",
        )
    data = bytes(data)
    header = read_wav_header(data)
    if header is None:
        raise malformed(f"it ends after {len(data)} bytes, before its data chunk")
    check_wav_encoding(header.format.encoding)
    pcm = data[header.data_start :]
    if header.data_bytes is not None:
        check_wav_complete(header, len(pcm))
        pcm = pcm[: header.data_bytes]
    whole = len(pcm) - len(pcm) % header.format.frame_bytes
    return WavAudio(bytes(pcm[:whole]), header.format.sample_rate, header.format.channels)


@dataclass
class WavWalk:
    """How far a WAV's chunks were walked over, for a file that comes in pieces.

    Attributes:
        position: Where the next chunk begins, in bytes from the start of the file.
        format: What the ``fmt`` chunk says. None before it.
    """

    position: int = 12
    format: SampleFormat | None = None


def read_wav_header(data: bytes | bytearray, walk: WavWalk | None = None) -> WavHeader | None:
    """Read a WAV's header from the first bytes of it, whatever its encoding.

    Args:
        data: The file from its start, as far as it has come.
        walk: How far an earlier call came with less of it; it is moved on.

    Returns:
        The header, or None when it isn't complete yet.

    Raises:
        SpekoAdapterError: It is no WAV, code ``MALFORMED_AUDIO``. Retried.
    """
    if not b"RIFF".startswith(data[:4]) or (len(data) >= 12 and data[8:12] != b"WAVE"):
        raise malformed(f"it begins with {bytes(data[:12])!r}, expected RIFF and WAVE")
    walk = walk or WavWalk()
    while len(data) >= walk.position + CHUNK.size:
        name, size = CHUNK.unpack_from(data, walk.position)
        start = walk.position + CHUNK.size
        if name == b"data":
            if walk.format is None:
                raise malformed("its data chunk comes before its fmt chunk")
            return WavHeader(walk.format, start, declared_bytes(size, walk.format))
        if name == b"fmt ":
            if size < _FMT.size:
                raise malformed(f"its fmt chunk has {size} bytes, expected {_FMT.size} or more")
            if len(data) < start + min(size, _EXTENDED_FMT_BYTES):
                return None
            walk.format = _read_fmt(bytes(data[start : start + min(size, _EXTENDED_FMT_BYTES)]))
        walk.position = start + size + size % 2
        if walk.position > MAX_WAV_HEADER_BYTES:
            raise malformed(f"its data chunk does not begin in {MAX_WAV_HEADER_BYTES} bytes")
    return None


def _read_fmt(fmt: bytes) -> SampleFormat:
    kind, channels, sample_rate, _, frame_bytes, bits = _FMT.unpack_from(fmt)
    if channels == 0 or sample_rate == 0:
        raise malformed(f"it declares {channels} channels at {sample_rate} Hz")
    if kind == _EXTENSIBLE and fmt[26:] == _GUID_TAIL:
        kind = int.from_bytes(fmt[24:26], "little")
    encoding = Encoding(kind, bits)
    if encoding != INT16 and encoding.convertible:
        # Where they disagree the samples would be noise. PCM16 was always played without a look.
        expected = channels * encoding.sample_bytes
        if frame_bytes != expected:
            raise malformed(f"its frames have {frame_bytes} bytes, expected {expected}")
    return SampleFormat(encoding, sample_rate, channels)


def declared_bytes(size: int, audio: SampleFormat) -> int | None:
    """Size of a ``data`` chunk in bytes; None for one that is unknown, or that can't be."""
    longest = MAX_WAV_S * audio.sample_rate * audio.frame_bytes
    return size if 0 < size < longest else None


def check_wav_encoding(encoding: Encoding, *, convert: bool = False, remedy: str = "") -> None:
    """Raise ``UNSUPPORTED_AUDIO_FORMAT`` for samples that are not int16, nor can be made so.

    Args:
        encoding: How they are stored.
        convert: Whether they may be converted.
        remedy: How else they can be played, for the text of the error.
    """
    if encoding == INT16 or (convert and encoding.convertible):
        return
    raise SpekoAdapterError(
        f"SpekoAdapter: expected a WAV of format 1 (PCM) with 16 bits, got format "
        f"{encoding.kind} with {encoding.bits} bits. {remedy}".rstrip(),
        "UNSUPPORTED_AUDIO_FORMAT",
    )


def check_wav_complete(header: WavHeader, received: int, *, slack_s: float = 0.0) -> None:
    """Raise ``MALFORMED_AUDIO`` when a WAV holds fewer bytes of samples than it declares.

    Args:
        header: Its header.
        received: Bytes of samples that came.
        slack_s: Less than so many seconds may be missing.
    """
    if header.data_bytes is None or received >= header.data_bytes:
        return
    slack_bytes = slack_s * header.format.sample_rate * header.format.frame_bytes
    if header.data_bytes - received >= slack_bytes:
        raise malformed(f"it holds {received} bytes of the {header.data_bytes} it declares")


def malformed(found: str) -> SpekoAdapterError:
    """Build the error for bytes that are a broken WAV or no WAV. Retried."""
    return SpekoAdapterError(f"SpekoAdapter: malformed WAV: {found}.", "MALFORMED_AUDIO")
