"""A WAV whole and in pieces: both are read alike, or refused alike."""

from __future__ import annotations

from typing import TypeAlias

from livekit_plugins_speko import SpekoAdapterError, parse_wav
from livekit_plugins_speko.audio.pcm import WavReader

Outcome: TypeAlias = str | tuple[bytes, int, int]
"""The samples, their rate in Hz and their channels; or the code of the error."""

_FMT = b"fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0"
SEEDS = (
    b"\x2bRIFF\x28\0\0\0WAVE" + _FMT + b"data\x04\0\0\0abcd",
    b"\0RIFF\xff\xff\xff\xffWAVE" + _FMT + b"data\xff\xff\xff\xffabcdefg",
    b"\x07RIFF\x40\0\0\0WAVELIST\x03\0\0\0tag\0" + _FMT + b"data\x04\0\0\0abcdLIST\x02\0\0\0tt",
)


def check(data: bytes) -> None:
    """Read a file, the first byte of which says how long the pieces are."""
    size, file = data[0] + 1, data[1:]
    whole = read_whole(file)
    assert isinstance(whole, str) or len(whole[0]) <= len(file)
    assert read_pieces([file[at : at + size] for at in range(0, len(file), size)]) == whole


def read_whole(file: bytes) -> Outcome:
    """What `parse_wav` makes of a file."""
    try:
        wav = parse_wav(file)
    except SpekoAdapterError as error:
        return error.code
    return wav.pcm, wav.sample_rate, wav.channels


def read_pieces(pieces: list[bytes]) -> Outcome:
    """What `WavReader` makes of it, in whole frames as `parse_wav` gives them."""
    reader = WavReader()
    try:
        pcm = b"".join([reader.push(piece) for piece in pieces])
        reader.finish()
    except SpekoAdapterError as error:
        return error.code
    if reader.header is None:
        return "MALFORMED_AUDIO"  # nothing came: whoever reads calls that empty
    whole = len(pcm) - len(pcm) % (2 * reader.header.channels)
    return pcm[:whole], reader.header.sample_rate, reader.header.channels
