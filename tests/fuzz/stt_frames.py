"""A frame of streaming recognition: a typed frame, or a `SpekoApiError`; and its place in time."""

from __future__ import annotations

import math

from livekit_plugins_speko import SpekoApiError
from livekit_plugins_speko.api.stt_messages import Failure, Transcript, parse_frame
from livekit_plugins_speko.api.unconfirmed_audio import UnconfirmedAudio

SECONDS = 1.0
EXAMPLES = (
    '{"type": "ready", "provider": "acme", "model": "acme-2"}',
    '{"type": "transcript", "text": "Hi.", "isFinal": true, "confidence": 0.9, "words":'
    ' [{"text": "Hi.", "start": 0.1, "end": 1e308, "confidence": 1}]}',
    '{"type": "error", "code": "TIRED", "message": "Not today."}',
    '{"type": "end"}',
)


def check(data: bytes) -> None:
    """Parse a frame, and confirm the audio that it covers."""
    try:
        frame = parse_frame(data)
    except SpekoApiError as error:
        assert error.code == "MALFORMED_RESPONSE"
        return
    if isinstance(frame, Failure):
        assert frame.code and frame.message
    if isinstance(frame, Transcript):
        assert math.isfinite(frame.confidence)
        _place(frame)


def _place(frame: Transcript) -> None:
    audio = UnconfirmedAudio(16_000)
    audio.push(bytes(32_000), 0.0)
    while audio.take(SECONDS) is not None:
        pass
    for word in frame.words or ():
        for moment in (audio.stream_s(word.start), audio.stream_s(word.end, end=True)):
            assert 0.0 <= moment <= SECONDS
    audio.confirm(SECONDS, frame.end_s)
    audio.rewind()
