"""Speech-to-speech clients of the gateway, in each of its wires' own frames."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from livekit_plugins_speko.testing import LocalGateway
from tests.helpers.gateway_requests import connect
from tests.helpers.gateway_sockets import SocketClient, connect_socket

FORMS = ["proxy", "xai", "google"]
MODELS = {"proxy": "gpt-realtime", "xai": "grok-voice", "google": "gemini-live"}
PROVIDERS = {"proxy": "openai", "xai": "xai", "google": "google"}
PCM = {"type": "audio/pcm", "rate": 24_000}
XAI_SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": MODELS["xai"],
    "output_modalities": ["audio"],
    "turn_detection": {"type": "server_vad"},
    "audio": {
        "input": {"format": PCM, "transcription": {"model": "grok-transcribe"}},
        "output": {"format": PCM},
    },
    "tool_choice": "auto",
}
GOOGLE_SETUP: dict[str, Any] = {
    "model": f"models/{MODELS['google']}",
    "generationConfig": {"responseModalities": ["AUDIO"]},
    "inputAudioTranscription": {},
    "outputAudioTranscription": {},
    "sessionResumption": {},
}
OPENING: dict[str, Any] = {
    "xai": {"type": "session.update", "session": XAI_SESSION},
    "google": {"setup": GOOGLE_SETUP},
}
READY: dict[str, Any] = {
    "proxy": {"t": "ready", "inputSampleRate": 24_000, "outputSampleRate": 24_000},
    "xai": {"type": "session.updated", "session": XAI_SESSION},
    "google": {"setupComplete": {}},
}
COMMIT: dict[str, Any] = {
    "proxy": {"t": "control", "action": "commit"},
    "xai": {"type": "input_audio_buffer.commit"},
    "google": {"realtimeInput": {"audioStreamEnd": True}},
}
INTERRUPT: dict[str, Any] = {
    "proxy": {"t": "interrupt"},
    "xai": {"type": "response.cancel"},
    "google": {"realtimeInput": {"activityEnd": {}}},
}


def base64_of(pcm: bytes) -> str:
    """Audio as JSON has it."""
    return base64.b64encode(pcm).decode()


def audio_frame(form: str, pcm: bytes) -> bytes | dict[str, Any]:
    """A frame of the caller's audio."""
    if form == "proxy":
        return pcm
    if form == "xai":
        return {"type": "input_audio_buffer.append", "audio": base64_of(pcm)}
    audio = {"mimeType": "audio/pcm;rate=16000", "data": base64_of(pcm)}
    return {"realtimeInput": {"audio": audio}}


def tool_result(form: str, call_id: str, name: str, output: str) -> list[dict[str, Any]]:
    """The frames of a tool's result."""
    if form == "proxy":
        return [{"t": "tool_result", "callId": call_id, "output": output}]
    if form == "xai":
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        return [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]
    result = {"id": call_id, "name": name, "response": json.loads(output)}
    return [{"toolResponse": {"functionResponses": [result]}}]


class RealtimeClient(SocketClient):
    """A client of one of the wires."""

    async def message(self) -> Any:
        """Receive a frame; Gemini's binary ones are JSON too."""
        received = await super().message()
        is_json = isinstance(received, bytes) and received.startswith(b"{")
        return json.loads(received) if is_json else received


async def mint(gateway: LocalGateway, form: str, **fields: Any) -> dict[str, Any]:
    """Make a session of a form."""
    s2s = {"provider": PROVIDERS[form], "model": MODELS[form], **fields}
    async with connect(gateway) as client:
        response = await client.post("/v1/sessions", json={"mode": "s2s", "s2s": s2s})
        minted: dict[str, Any] = response.raise_for_status().json()
        return minted


def address(minted: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL of a session's socket, and the options of its handshake."""
    if "wsUrl" in minted:
        return minted["wsUrl"], {"protocols": [minted["wsToken"]]}
    token = minted["credential"]["value"]
    if minted["provider"] == "google":
        return f"{minted['endpoint']}?access_token={token}", {}
    url = f"{minted['endpoint']}?model={minted['model']}"
    return url, {"protocols": [f"xai-client-secret.{token}"]}


@asynccontextmanager
async def connect_realtime(
    gateway: LocalGateway, form: str, *, opening: bool = True, **fields: Any
) -> AsyncIterator[RealtimeClient]:
    """Make a session of a form and connect to it; send what opens the wire."""
    url, options = address(await mint(gateway, form, **fields))
    async with connect_socket(gateway, url, key=None, **options) as socket:
        client = RealtimeClient(socket.socket)
        if opening and form in OPENING:
            await client.send(OPENING[form])
        yield client
