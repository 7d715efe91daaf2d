"""Frames of the speech-to-speech wire, and the events that they decode to."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from livekit_plugins_speko.api.realtime_events import Decoded, Transcript
from livekit_plugins_speko.api.realtime_messages import Codec, Frame, ProviderSession
from livekit_plugins_speko.api.realtime_messages.google import GoogleCodec
from livekit_plugins_speko.api.realtime_messages.proxy import ProxyCodec
from livekit_plugins_speko.api.realtime_messages.xai import XaiCodec

TOOL = {"name": "get_time", "description": "Tell the time.", "parameters": {"type": "object"}}
SESSION = ProviderSession(
    model="voice-1", voice="eve", instructions="Be brief.", temperature=0.0, tools=[TOOL]
)


def proxy() -> ProxyCodec:
    return ProxyCodec(input_sample_rate=24_000, output_sample_rate=24_000)


def xai(session: ProviderSession = SESSION) -> XaiCodec:
    return XaiCodec(session)


def google(session: ProviderSession = SESSION, *, handle: str | None = None) -> GoogleCodec:
    return GoogleCodec(session, handle=handle)


def decoded(codec: Codec, *frames: dict[str, Any] | bytes) -> list[Decoded]:
    """The events of frames that come one after the other."""
    wire = [each if isinstance(each, bytes) else json.dumps(each) for each in frames]
    return [event for frame in wire for event in codec.decode(frame)]


def parsed(frames: Iterable[Frame]) -> list[Any]:
    """The JSON of frames to send."""
    return [json.loads(frame) for frame in frames]


def encoded(pcm: bytes) -> str:
    return base64.b64encode(pcm).decode()


def user(text: str, *, final: bool = False) -> Transcript:
    return Transcript(role="user", text=text, final=final)


def agent(text: str, *, final: bool = False) -> Transcript:
    return Transcript(role="assistant", text=text, final=final)
