"""The check of uploaded audio: a WAV that a provider could read."""

from __future__ import annotations

import struct

from .shapes import InvalidRequest

_STREAMED_SIZES = (0, 0xFFFFFFFF)


def check_wav(audio: bytes) -> None:
    """Check that bytes are a PCM WAV with at least one sample.

    Args:
        audio: A whole RIFF file. Streamed sizes, 0 or 0xFFFFFFFF, mean the rest of the file.

    Raises:
        InvalidRequest: Status 400, code `INVALID_AUDIO`.
    """
    if len(audio) < 12 or audio[:4] != b"RIFF" or audio[8:12] != b"WAVE":
        raise _invalid(f"found {len(audio)} bytes that begin {audio[:12]!r}", "a RIFF/WAVE header")
    (riff_bytes,) = struct.unpack_from("<I", audio, 4)
    if riff_bytes not in _STREAMED_SIZES and riff_bytes + 8 > len(audio):
        raise _invalid(f"found {len(audio)} bytes", f"{riff_bytes + 8}, as its header says")
    frame_bytes = _check_format(_find_chunk(audio, b"fmt "))
    data_bytes = len(_find_chunk(audio, b"data"))
    if data_bytes == 0 or data_bytes % frame_bytes:
        raise _invalid(
            f"found {data_bytes} bytes of samples", f"whole frames of {frame_bytes} bytes"
        )


def _check_format(fmt: bytes) -> int:
    """Check the format chunk and return the size of a frame in bytes."""
    if len(fmt) < 16:
        raise _invalid(f"found a fmt chunk of {len(fmt)} bytes", "16 or more")
    kind, channels, rate_hz, byte_rate, frame_bytes, bits = struct.unpack_from("<HHIIHH", fmt)
    if kind != 1 or bits not in (8, 16, 24, 32):
        raise _invalid(f"found format {kind} with {bits} bits", "PCM (1) with 8, 16, 24 or 32")
    if channels == 0 or rate_hz == 0:
        raise _invalid(f"found {channels} channels at {rate_hz} Hz", "one or more of each")
    if frame_bytes != channels * bits // 8 or byte_rate != rate_hz * frame_bytes:
        raise _invalid(
            f"found frames of {frame_bytes} bytes and {byte_rate} bytes a second",
            f"{channels * bits // 8} and {rate_hz * channels * bits // 8}",
        )
    return int(frame_bytes)


def _find_chunk(audio: bytes, name: bytes) -> bytes:
    """Return the content of the first chunk with that name."""
    at = 12
    while at + 8 <= len(audio):
        found, size = struct.unpack_from("<4sI", audio, at)
        at += 8
        if found == b"data" and size in _STREAMED_SIZES:
            size = len(audio) - at
        if at + size > len(audio):
            raise _invalid(
                f"found a {found!r} chunk of {size} bytes", f"at most the {len(audio) - at} left"
            )
        if found == name:
            return audio[at : at + size]
        at += size + size % 2
    raise _invalid(f"found no {name!r} chunk", "one")


def _invalid(found: str, expected: str) -> InvalidRequest:
    return InvalidRequest(f"audio: {found}, expected {expected}", code="INVALID_AUDIO")
