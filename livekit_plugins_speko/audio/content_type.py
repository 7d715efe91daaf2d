"""Content types of audio: their names, and what their parameters say of raw samples."""

from __future__ import annotations

WAV_TYPES = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"})
"""Media types of WAV files."""

PCM_TYPES = frozenset(
    {
        "audio/pcm",
        "audio/x-pcm",
        "audio/l16",
        "audio/x-l16",
        "audio/lpcm",
        "audio/x-lpcm",
        "audio/raw",
        "audio/x-raw",
    }
)
"""Media types of raw samples: int16, little-endian, interleaved, unless a parameter says otherwise.

``audio/L16`` is big-endian by its RFCs (2586, 3551) and little-endian from the providers of speech
that send it: Gemini (``audio/L16;codec=pcm;rate=24000``, which Google's own samples wrap into a WAV
as it is), IBM Watson (little-endian unless ``endianness=big-endian`` is given), Lemonade
(``audio/l16;rate=24000;endianness=little-endian``). So it is big-endian only where a parameter says
so. Yandex and Salute write ``audio/x-pcm;bit=16;rate=16000``, Amazon Lex ``audio/lpcm;
sample-rate=8000; sample-size-bits=16; channel-count=1; is-big-endian=false``.
"""

COMPRESSED_TYPES = frozenset(
    {
        "audio/mpeg",
        "audio/mp3",
        "audio/x-mpeg",
        "audio/aac",
        "audio/x-aac",
        "audio/flac",
        "audio/x-flac",
        "audio/opus",
        "audio/ogg",
        "audio/webm",
        "audio/mp4",
    }
)
"""Media types that LiveKit's `AudioStreamDecoder` knows besides WAV.

As it decodes with the least delay, some of them lose a little: FLAC the first 96 ms, Opus and WebM
about 20 ms (measured with livekit-agents 1.8.9). PCM and WAV lose nothing.
"""

_UNTYPED = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_SIGNATURES = {b"OggS": "audio/ogg", b"fLaC": "audio/flac", b"ID3": "audio/mpeg"}
_MAX_PARAMETER_DIGITS = 9


def media_type(content_type: str) -> str:
    """Return the bare type, lower case: ``audio/pcm`` for ``Audio/PCM; rate=8000``."""
    return content_type.partition(";")[0].strip().lower()


def pcm_sample_rate_from_content_type(content_type: str, fallback: int) -> int:
    """Read the ``rate`` parameter of a content type such as ``audio/pcm;rate=24000``.

    Args:
        content_type: A ``Content-Type``, in any case, with or without quotes and spaces.
        fallback: Returned when the rate is missing, zero or not a number, in Hz.

    Returns:
        The sample rate in Hz.
    """
    return number_parameter(content_type, "rate") or fallback


def number_parameter(content_type: str, *names: str) -> int:
    """Return the first parameter of these names that is a number; 0 when there is none."""
    for name, value in _parameters(content_type):
        if name in names and value.isascii() and value.isdigit():
            return int(value) if len(value) <= _MAX_PARAMETER_DIGITS else 0
    return 0


def text_parameter(content_type: str, *names: str) -> str:
    """Return the first parameter of these names, lower case; empty when there is none."""
    return next((text for name, text in _parameters(content_type) if name in names), "")


def _parameters(content_type: str) -> list[tuple[str, str]]:
    pairs = (parameter.partition("=") for parameter in content_type.split(";")[1:])
    return [(name.strip().lower(), value.strip().strip('"').lower()) for name, _, value in pairs]


def sniff(content_type: str, start: bytes) -> str | None:
    """Return the media type of audio, from its declared type and its first bytes.

    Providers and proxies label a WAV as ``audio/pcm`` or as nothing in particular. Played as PCM,
    its header would be a click; an Ogg, FLAC or MP3 file would be noise at full loudness.

    Args:
        content_type: The declared type. One that is no audio's (``text/html``) is taken at its
            word, and a compressed one in all but WAV: an AAC stream may begin with ``ID3`` too.
        start: The first bytes, as far as they have come. 12 of them always decide.

    Returns:
        A media type, or None when more bytes are needed.
    """
    kind = media_type(content_type)
    if kind in WAV_TYPES or not (kind.startswith("audio/") or kind in _UNTYPED):
        return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        return "audio/wav"
    undecided = b"RIFF".startswith(start[:4]) and b"WAVE".startswith(start[8:12])
    if kind in PCM_TYPES or kind in _UNTYPED:
        for signature, found in _SIGNATURES.items():
            if start.startswith(signature):
                return found
            undecided = undecided or signature.startswith(start)
    return None if undecided else kind
