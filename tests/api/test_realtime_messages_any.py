"""The three codecs under invalid frames, and audio split anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko.api.realtime_events import Audio
from livekit_plugins_speko.api.realtime_messages import Codec
from tests.helpers.realtime_frames import encoded, google, proxy, xai

CODECS = pytest.mark.parametrize("make", [proxy, xai, google])

# Names of the wire, so that hostile values reach the code that parses them.
WORDS = st.sampled_from(
    [
        *("t", "type", "role", "text", "final", "user", "assistant", "ready", "transcript"),
        *("tool_call", "callId", "usage", "end", "error", "code", "message", "interruption"),
        *("session.updated", "response.done", "response", "response.created", "delta", "usage"),
        *("response.output_audio.delta", "response.function_call_arguments.done", "call_id"),
        *("conversation.item.input_audio_transcription.completed", "item_id", "transcript"),
        *("serverContent", "modelTurn", "parts", "inlineData", "data", "mimeType", "toolCall"),
        *("functionCalls", "id", "name", "args", "inputTranscription", "outputTranscription"),
        *("turnComplete", "interrupted", "usageMetadata", "promptTokenCount", "setupComplete"),
        *("sessionResumptionUpdate", "newHandle", "audio/pcm;rate=99999", "input_token_details"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
FRAMES = (
    st.binary(max_size=64)
    | st.text(max_size=64)
    | st.dictionaries(WORDS, VALUES, max_size=5).map(json.dumps)
    | st.dictionaries(WORDS, VALUES, max_size=5).map(lambda value: json.dumps(value).encode())
)


@CODECS
@given(frames=st.lists(FRAMES, max_size=8))
def test_no_frame_raises(make: Callable[[], Codec], frames: list[str | bytes]) -> None:
    codec = make()
    for frame in frames:
        for event in codec.decode(frame):
            assert not isinstance(event, Audio) or (event.pcm and len(event.pcm) % 2 == 0)
            assert isinstance(repr(event), str)


def cut(pcm: bytes, places: list[int]) -> list[bytes]:
    """PCM in pieces, cut at these places."""
    edges = [0, *sorted(place % (len(pcm) + 1) for place in places), len(pcm)]
    return [pcm[left:right] for left, right in zip(edges, edges[1:], strict=False)]


def as_frame(make: Callable[[], Codec], pcm: bytes) -> str | bytes:
    if make is proxy:
        return pcm
    if make is xai:
        return json.dumps({"type": "response.output_audio.delta", "delta": encoded(pcm)})
    inline: dict[str, Any] = {"inlineData": {"data": encoded(pcm)}}
    return json.dumps({"serverContent": {"modelTurn": {"parts": [inline]}}})


@CODECS
@given(pcm=st.binary(max_size=200), places=st.lists(st.integers(0, 200), max_size=6))
def test_audio_received_is_the_same_however_it_is_split(
    make: Callable[[], Codec], pcm: bytes, places: list[int]
) -> None:
    codec = make()
    events = [event for piece in cut(pcm, places) for event in codec.decode(as_frame(make, piece))]
    received = b"".join(event.pcm for event in events if isinstance(event, Audio))
    assert received == pcm[: len(pcm) - len(pcm) % 2]


def pcm_of(frame: str | bytes) -> bytes:
    """The audio of a frame to send."""
    if isinstance(frame, bytes):
        return frame
    message = json.loads(frame)
    audio = message.get("audio") or message["realtimeInput"]["audio"]["data"]
    return base64.b64decode(audio)


@CODECS
@given(pcm=st.binary(max_size=4_000), places=st.lists(st.integers(0, 4_000), max_size=6))
def test_audio_is_sent_in_frames_of_20_ms_however_it_is_split(
    make: Callable[[], Codec], pcm: bytes, places: list[int]
) -> None:
    codec = make()
    frames = [frame for piece in cut(pcm, places) for frame in codec.audio(piece)]
    most = 640 if make is google else 960
    assert all(0 < len(pcm_of(frame)) <= most for frame in frames)
    assert b"".join(map(pcm_of, frames)) == pcm[: len(pcm) - len(pcm) % 2]
