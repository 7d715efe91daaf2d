"""WAVs whole and in pieces: both are read alike, or refused alike."""

from __future__ import annotations

from typing import TypeAlias

from livekit_plugins_speko import SpekoAdapterError, parse_wav
from livekit_plugins_speko.audio.pcm import SampleFormat
from livekit_plugins_speko.audio.wav import WavHeader
from livekit_plugins_speko.audio.wav_reader import WavReader

Outcome: TypeAlias = str | list[tuple[SampleFormat, bytes]]
"""How the samples of each file are to be read, and the samples; or the code of the error."""

_FMT = b"fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0"
SEEDS = (
    b"\x2bRIFF\x28\0\0\0WAVE" + _FMT + b"data\x04\0\0\0abcd",
    b"\0RIFF\xff\xff\xff\xffWAVE" + _FMT + b"data\xff\xff\xff\xffabcdefg",
    b"\x07RIFF\x40\0\0\0WAVELIST\x03\0\0\0tag\0" + _FMT + b"data\x04\0\0\0abcdLIST\x02\0\0\0tt",
    2 * (b"\x09RIFF\x28\0\0\0WAVE" + _FMT + b"data\x04\0\0\0abcd"),
    b"\x09RIFF\x28\0\0\0WAVE" + _FMT + b"data\x04\0\0\0abcd\xff\xffmore samples",
)


def check(data: bytes) -> None:
    """Read files, the first byte of which says how long the pieces are."""
    size, file = data[0] + 1, data[1:]
    whole = read([file])
    assert isinstance(whole, str) or sum(len(pcm) for _, pcm in whole) <= len(file)
    assert read([file[at : at + size] for at in range(0, len(file), size)]) == whole
    try:
        assert len(parse_wav(file).pcm) <= len(file)
    except SpekoAdapterError:
        pass


def read(pieces: list[bytes]) -> Outcome:
    """What `WavReader` makes of the pieces."""
    reader = WavReader()
    try:
        items = [item for piece in pieces for item in reader.push(piece)] + reader.finish()
    except SpekoAdapterError as error:
        return error.code
    files: list[tuple[SampleFormat, bytes]] = []
    for item in items:
        if isinstance(item, WavHeader):
            files.append((item.format, b""))
        else:
            source, pcm = files[-1]
            files[-1] = (source, pcm + item)
    return files
