"""WAVs in one piece and in many: the same audio, or the same error."""

from __future__ import annotations

from typing import TypeAlias

from livekit_plugins_speko import SpekoAdapterError, parse_wav
from livekit_plugins_speko.audio.pcm import SampleFormat
from livekit_plugins_speko.audio.wav import WavHeader
from livekit_plugins_speko.audio.wav_reader import WavReader

Outcome: TypeAlias = str | list[tuple[SampleFormat, bytes]]
"""The format of each file's samples, and the samples; or the code of the error."""


def check(file: bytes, pieces: list[bytes]) -> None:
    """Read a file in one piece, and in these."""
    whole = read([file])
    assert isinstance(whole, str) or sum(len(pcm) for _, pcm in whole) <= len(file)
    assert read(pieces) == whole
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
