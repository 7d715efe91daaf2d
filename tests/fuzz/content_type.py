"""A content type and some audio: a response is decoded, or refused."""

from __future__ import annotations

from dataclasses import dataclass

from livekit_plugins_speko import (
    SpekoAdapterError,
    decode_synthesis_result,
    pcm_sample_rate_from_content_type,
)
from livekit_plugins_speko.audio.content_type import media_type
from livekit_plugins_speko.audio.pcm import pcm_format_from_content_type


@dataclass(frozen=True)
class Result:
    """What `decode_synthesis_result` reads."""

    audio: bytes
    content_type: str


def check(data: bytes) -> None:
    """Decode a response: its content type, a line end, its audio."""
    header, _, audio = data.partition(b"\n")
    content_type = header.decode("latin-1")
    assert media_type(content_type) == media_type(content_type).strip().lower()
    assert 0 < pcm_sample_rate_from_content_type(content_type, 24_000) < 10**9
    source = pcm_format_from_content_type(content_type, 24_000)
    assert 0 < source.channels < 10**9 and 0 < source.sample_rate < 10**9
    try:
        pcm, rate, channels = decode_synthesis_result(Result(audio, content_type))
    except SpekoAdapterError:
        return
    assert 0 < len(pcm) <= len(audio) and len(pcm) % 2 == 0
    assert (channels, rate > 0) == (1, True)
