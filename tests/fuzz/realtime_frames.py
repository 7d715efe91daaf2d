"""Frames of speech to speech, in each of its forms: typed events, whatever came."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from livekit_plugins_speko.api.realtime_events import Audio, Decoded, ToolCall, Transcript, Usage
from tests.helpers.realtime_frames import google, proxy, xai

EXAMPLES = (
    '{"t": "ready", "inputSampleRate": 16000, "outputSampleRate": 24000}',
    '{"t": "transcript", "role": "user", "text": "Hi.", "final": true}',
    '{"t": "tool_call", "callId": "c1", "name": "get_time", "arguments": "{}"}',
    '{"t": "usage", "inputAudioTokens": 7, "outputAudioTokens": 11}',
    '{"t": "error", "code": "busy", "message": "try later"}',
    '{"type": "session.updated", "session": {}}',
    '{"type": "response.output_audio.delta", "response_id": "r1", "delta": "AAA="}',
    '{"type": "response.done", "response": {"id": "r1", "usage": {"input_tokens": 1,'
    ' "input_token_details": {"audio_tokens": 1}}}}',
    '{"type": "conversation.item.input_audio_transcription.completed", "item_id": "i1",'
    ' "transcript": "Hi."}',
    '{"type": "response.function_call_arguments.done", "call_id": "c1", "name": "f",'
    ' "arguments": "{}"}',
    '{"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType":'
    ' "audio/pcm;rate=24000", "data": "AAA="}}]}, "turnComplete": true}}',
    '{"toolCall": {"functionCalls": [{"id": "c1", "name": "f", "args": {"a": [1]}}]}}',
    '{"usageMetadata": {"promptTokenCount": 1, "responseTokensDetails": [{"modality": "AUDIO",'
    ' "tokenCount": 1}]}}',
    '{"sessionResumptionUpdate": {"newHandle": "h", "resumable": true}}',
)


def check(data: bytes) -> None:
    """Decode the lines of some bytes as the frames of a connection, in each form."""
    for make in (proxy, xai, google):
        codec = make()
        for line in data.split(b"\n"):
            for frame in (line, line.decode("utf-8", "replace")):
                for event in codec.decode(frame):
                    _check_event(event)
        for built in (codec.commit(), codec.interrupt(), codec.tool_result("c1", "{}")):
            assert all(isinstance(frame, str | bytes) for frame in built)


def _check_event(event: Decoded) -> None:
    assert isinstance(repr(event), str)
    if isinstance(event, Audio):
        assert event.pcm and len(event.pcm) % 2 == 0
        return
    if isinstance(event, Transcript):
        event.text.encode()
    if isinstance(event, ToolCall):
        # A model's arguments may be no JSON, which is for whoever runs the tool.
        (event.call_id + event.name + event.arguments).encode()
    if isinstance(event, Usage):
        counts = [value for name, value in asdict(event).items() if name != "type"]
        assert all(_is_count(value) for value in counts)
    assert is_dataclass(event)


def _is_count(value: Any) -> bool:
    return value is None or (isinstance(value, int) and 0 <= value <= 10**12)
