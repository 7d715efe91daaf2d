"""The frames of streaming recognition as typed values. No I/O."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..intent import Intent, PipelineConstraints
from .requests import build_constraints, build_intent
from .responses import as_object, malformed, parse_json

FLUSH = '{"type":"flush"}'
"""The frame that requests the final of the speech so far."""

END = '{"type":"end"}'
"""The frame after the last audio."""

_UNKNOWN_SIZE = 0xFFFFFFFF
_SAMPLE_BYTES = 2


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The router picked a provider for the connection."""

    provider: str = "unknown"
    model: str = "unknown"
    type: Literal["ready"] = "ready"


@dataclass(frozen=True)
class Word:
    """A word and its place.

    Attributes:
        text: The word.
        start: Its start, in seconds.
        end: Its end, in seconds.
        confidence: From 0 to 1, or None when the provider reports none.
    """

    text: str
    start: float
    end: float
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """A piece of recognised speech.

    Attributes:
        text: An interim text is that of the whole segment so far, a final text will not change.
        is_final: True for the final text of a segment.
        confidence: From 0 to 1; 1.0 when the provider reports none.
        words: The words that have times, or None without any.
        end_s: End of the last word, in seconds. None when that word has no times.
    """

    text: str
    is_final: bool
    confidence: float = 1.0
    words: tuple[Word, ...] | None = None
    end_s: float | None = field(default=None, repr=False, compare=False)
    type: Literal["transcript"] = "transcript"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The service reports a problem. The connection stays open."""

    code: str
    message: str
    type: Literal["error"] = "error"


@dataclass(frozen=True, kw_only=True)
class End:
    """The response to `END`: every final has come."""

    type: Literal["end"] = "end"


Frame: TypeAlias = Ready | Transcript | Failure | End
"""A frame of the service, distinguished by its ``type``."""


def build_config(
    *,
    intent: Intent,
    constraints: PipelineConstraints | None,
    keywords: Sequence[str] | None,
    stt_language: str | None,
    prompt: str | None,
    sample_rate: int,
    interim_results: bool,
) -> str:
    """Build the first frame of a connection."""
    optional = {
        "constraints": build_constraints(constraints),
        "keywords": list(keywords) if keywords else None,
        "prompt": prompt,
        "sttOptions": None if stt_language is None else {"language": stt_language},
    }
    config = {
        "type": "config",
        **build_intent(intent),
        **{name: value for name, value in optional.items() if value is not None},
        "interimResults": interim_results,
        "contentType": "audio/wav",
        "sampleRate": sample_rate,
        "encoding": "pcm_s16le",
    }
    return json.dumps(config, separators=(",", ":"))


def build_wav_header(sample_rate: int) -> bytes:
    """Build the 44 bytes before the first audio: mono PCM16 whose length is not known."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", _UNKNOWN_SIZE, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, sample_rate * _SAMPLE_BYTES, _SAMPLE_BYTES, 16),
        *(b"data", _UNKNOWN_SIZE),
    )


def parse_frame(text: str | bytes) -> Frame | None:
    """Read a frame; None for a type that this version does not know.

    Raises:
        SpekoApiError: It is no JSON object, or a transcript without a text; status 200, code
            ``MALFORMED_RESPONSE``.
    """
    payload = as_object(parse_json(text, "a frame"), "a frame")
    kind = payload.get("type")
    if kind == "transcript":
        return _transcript(payload)
    if kind == "ready":
        return Ready(
            provider=_text(payload.get("provider")) or "unknown",
            model=_text(payload.get("model")) or "unknown",
        )
    if kind == "error":
        return Failure(
            code=_text(payload.get("code")) or "STREAM_ERROR",
            message=_text(payload.get("message")) or "no reason given",
        )
    return End() if kind == "end" else None


def _transcript(payload: Mapping[str, Any]) -> Transcript:
    text, words = payload.get("text"), payload.get("words")
    if not isinstance(text, str):
        raise malformed("a transcript has no text")
    rows = words if isinstance(words, list) else []
    found = [_word(row) for row in rows]
    confidence = _number(payload.get("confidence"))
    return Transcript(
        text=text,
        is_final=payload.get("isFinal") is True,
        confidence=1.0 if confidence is None else confidence,
        words=tuple(word for word in found if word is not None) or None,
        end_s=found[-1].end if found and found[-1] is not None else None,
    )


def _word(row: Any) -> Word | None:
    """Read a word; None for one without a text and finite times."""
    if not isinstance(row, Mapping):
        return None
    text = row.get("text")
    start, end = _number(row.get("start")), _number(row.get("end"))
    if not isinstance(text, str) or start is None or end is None:
        return None
    return Word(text, start, end, _number(row.get("confidence")))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    """Return a finite number as a float, and None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
