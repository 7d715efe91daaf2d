"""WAV files in every form of header that providers send."""

from __future__ import annotations

from tests.faults.stages import SPEECH
from tests.helpers.support import compressed, streamed, tone, wav
from tests.helpers.wav_files import chunk, extensible, fmt, riff, sized

LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0\0")
NOTE = chunk(b"note", b"odd")
DATA = chunk(b"data", SPEECH)
HALF = len(SPEECH) // 2
# Less than 0.1 s at 24000 Hz, and more.
LITTLE, MUCH = 4_000, 6_000

PLAYED = {
    "44 bytes of header": wav(SPEECH),
    "a LIST chunk before data": riff(fmt(), LIST, DATA),
    "a LIST chunk before fmt": riff(LIST, fmt(), DATA),
    "an odd, padded chunk before data": riff(fmt(), NOTE, DATA),
    "sizes 0": streamed(wav(SPEECH), 0),
    "sizes 0xFFFFFFFF": streamed(wav(SPEECH), 0xFFFFFFFF),
    "sizes 0x7FFFFFFF": streamed(wav(SPEECH), 0x7FFFFFFF),
    "sizes 2000000000": streamed(wav(SPEECH), 2_000_000_000),
    "a size too large by 0.08 s": sized(SPEECH, len(SPEECH) + LITTLE),
    "a size of the first block alone": sized(SPEECH, 1_000),
    "fmt of 18 bytes": riff(fmt(more=b"\0\0"), DATA),
    "fmt of 40 bytes": riff(fmt(more=bytes(24)), DATA),
    "fmt 0xFFFE (extensible), 16 bits": riff(extensible(), DATA),
    "trailing chunks": riff(fmt(), DATA, LIST, NOTE),
    "two in a row": wav(SPEECH[:HALF]) + wav(SPEECH[HALF:]),
    "two in a row, sizes 0": streamed(wav(SPEECH[:HALF]), 0) + streamed(wav(SPEECH[HALF:]), 0),
    "two with chunks in between": riff(fmt(), chunk(b"data", SPEECH[:HALF]), LIST, NOTE)
    + wav(SPEECH[HALF:]),
}
"""Each is played completely."""

TONE = tone(0.5)
CONVERTED = {
    "8 bits": compressed(TONE, container="wav", codec="pcm_u8"),
    "24 bits": compressed(TONE, container="wav", codec="pcm_s24le"),
    "32 bits": compressed(TONE, container="wav", codec="pcm_s32le"),
    "32-bit floats": compressed(TONE, container="wav", codec="pcm_f32le"),
    "A-law": compressed(TONE, container="wav", codec="pcm_alaw"),
    "mu-law": compressed(TONE, container="wav", codec="pcm_mulaw"),
}
"""Each is `TONE` as ffmpeg writes it, and played only after conversion."""

UNSUPPORTED = {
    "ADPCM": riff(fmt(kind=0x11, bits=4, frame_bytes=256), DATA),
    "an unknown extensible format": riff(extensible(tail=bytes(14)), DATA),
    **CONVERTED,
}
"""None is played, and no retry would help."""

MALFORMED = {
    "no data chunk": riff(fmt(), LIST),
    "an end inside the header": wav(SPEECH)[:30],
    "data before fmt": riff(DATA, fmt()),
    "not RIFF": b"OggS" + wav(SPEECH)[4:],
    "a header above 64 KiB": riff(fmt(), chunk(b"LIST", bytes(70_000)), DATA),
}
"""None is played; another provider may do better."""
