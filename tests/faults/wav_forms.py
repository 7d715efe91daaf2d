"""WAV files in every form of header that providers send."""

from __future__ import annotations

import struct

from tests.faults.stages import SPEECH
from tests.helpers.support import streamed, wav
from tests.helpers.wav_files import chunk, fmt, riff

LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0\0")
NOTE = chunk(b"note", b"odd")
DATA = chunk(b"data", SPEECH)
_FIELDS = fmt()[8:]
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
_EXTENDED = struct.pack("<HHI16s", 22, 16, 4, _PCM_GUID)


def _extensible() -> bytes:
    return chunk(b"fmt ", struct.pack("<H", 0xFFFE) + _FIELDS[2:] + _EXTENDED)


PLAYED = {
    "44 bytes of header": wav(SPEECH),
    "a LIST chunk before data": riff(fmt(), LIST, DATA),
    "a LIST chunk before fmt": riff(LIST, fmt(), DATA),
    "an odd, padded chunk before data": riff(fmt(), NOTE, DATA),
    "sizes 0": streamed(wav(SPEECH), 0),
    "sizes 0xFFFFFFFF": streamed(wav(SPEECH), 0xFFFFFFFF),
    "sizes 0x7FFFFFFF": streamed(wav(SPEECH), 0x7FFFFFFF),
    "fmt of 18 bytes": riff(chunk(b"fmt ", _FIELDS + b"\0\0"), DATA),
    "fmt of 40 bytes": riff(chunk(b"fmt ", _FIELDS + _EXTENDED), DATA),
    "trailing chunks": riff(fmt(), DATA, LIST, NOTE),
}
"""Each is heard, whole."""

UNSUPPORTED = {
    "fmt 0xFFFE (extensible)": riff(_extensible(), DATA),
    "32-bit floats": riff(fmt(kind=3, bits=32), DATA),
    "8 bits": riff(fmt(bits=8), DATA),
}
"""None is heard, and no retry would help."""

MALFORMED = {
    "no data chunk": riff(fmt(), LIST),
    "an end inside the header": wav(SPEECH)[:30],
    "data before fmt": riff(DATA, fmt()),
    "not RIFF": b"OggS" + wav(SPEECH)[4:],
    "a header above 64 KiB": riff(fmt(), chunk(b"LIST", bytes(70_000)), DATA),
}
"""None is heard; another provider may do better."""
