"""The wire of Gemini Live: JSON objects with one key, which the service sends as binary frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..connection import read_json_object
from ..pieces import ErrorEvent, ToolCall
from ..realtime_pieces import (
    EndOfReply,
    Interruption,
    RealtimePiece,
    RealtimeReady,
    RealtimeTranscript,
    ResumptionHandle,
)
from ..shapes import (
    InvalidRequest,
    boolean,
    json_object,
    list_of,
    number,
    one_of,
    record,
    string,
    text,
    wrong,
)
from ..writer import to_json
from .form import Frame, Incoming, RealtimeForm, decode_audio, encode_audio

_MAX_TOOLS = 128
_TEXT_PART = record({"text": string}, required=("text",))
_PARTS = record({"parts": list_of(_TEXT_PART, least=1, most=10)}, required=("parts",))
_FUNCTION = record(
    {"name": text, "description": string, "parameters": json_object}, required=("name",)
)
_SETUP = record(
    {
        "model": text,
        "generationConfig": record(
            {
                "responseModalities": list_of(one_of("AUDIO"), least=1, most=1),
                "speechConfig": json_object,
                "temperature": number(0, 2),
                "thinkingConfig": json_object,
            },
            required=("responseModalities",),
        ),
        "inputAudioTranscription": record({}),
        "outputAudioTranscription": record({}),
        "sessionResumption": record({"handle": text}),
        "systemInstruction": _PARTS,
        "tools": list_of(
            record(
                {"functionDeclarations": list_of(_FUNCTION, least=1, most=_MAX_TOOLS)},
                required=("functionDeclarations",),
            ),
            most=1,
        ),
    },
    required=("model", "generationConfig", "inputAudioTranscription", "outputAudioTranscription"),
)
_REALTIME_INPUT = record(
    {
        "audio": record(
            {"mimeType": one_of("audio/pcm;rate=16000"), "data": string},
            required=("mimeType", "data"),
        ),
        "audioStreamEnd": boolean,
        "activityEnd": record({}),
    }
)
_TURN = record(
    {"role": one_of("user"), "parts": list_of(_TEXT_PART, least=1, most=10)},
    required=("role", "parts"),
)
_CLIENT_CONTENT = record(
    {"turns": list_of(_TURN, least=1, most=100), "turnComplete": boolean},
    required=("turns", "turnComplete"),
)
_RESPONSE = record(
    {"id": text, "name": text, "response": json_object}, required=("id", "name", "response")
)
_TOOL_RESPONSE = record(
    {"functionResponses": list_of(_RESPONSE, least=1, most=_MAX_TOOLS)},
    required=("functionResponses",),
)
_SHAPES = {
    "setup": _SETUP,
    "realtimeInput": _REALTIME_INPUT,
    "clientContent": _CLIENT_CONTENT,
    "toolResponse": _TOOL_RESPONSE,
}


class GoogleForm(RealtimeForm):
    """One connection in Gemini's form. The caller's words have no final on it."""

    def read(self, data: Frame) -> list[Incoming]:
        """Read a message."""
        body = read_json_object(data, "message")
        if len(body) != 1:
            raise InvalidRequest(f"message: found keys {', '.join(body)}, expected one")
        ((kind, value),) = body.items()
        one_of(*_SHAPES)(kind, "message")
        if (kind == "setup") == bool(self.opening):
            raise wrong("message", kind, "setup once, as the first")
        _SHAPES[kind](value, kind)
        if kind == "setup":
            return self._read_setup(value)
        if kind == "realtimeInput":
            return self._read_input(value)
        if kind == "clientContent":
            parts = [part["text"] for turn in value["turns"] for part in turn["parts"]]
            return [Incoming("text", text="\n".join(parts))]
        return [self._read_result(result) for result in value["functionResponses"]]

    def _read_setup(self, setup: dict[str, Any]) -> list[Incoming]:
        expected = f"models/{str(self.session.model).removeprefix('models/')}"
        if setup["model"] != expected:
            raise wrong("setup.model", setup["model"], expected)
        self.opening = setup
        return []

    def _read_input(self, value: dict[str, Any]) -> list[Incoming]:
        if len(value) != 1:
            raise InvalidRequest(f"realtimeInput: found keys {', '.join(value)}, expected one")
        if "audio" in value:
            where = "realtimeInput.audio.data"
            return [Incoming("audio", pcm=decode_audio(value["audio"]["data"], where))]
        return [Incoming("commit" if "audioStreamEnd" in value else "interrupt")]

    def _read_result(self, result: dict[str, Any]) -> Incoming:
        call = self.resolve(result["id"], "toolResponse.functionResponses.id")
        if result["name"] != call.name:
            raise wrong("toolResponse.functionResponses.name", result["name"], call.name)
        return Incoming("tool_result", call_id=call.id, text=to_json(result["response"]))

    def render(self, piece: RealtimePiece) -> Sequence[Frame]:
        """Return the messages of a piece, in binary frames."""
        return [to_json(message).encode() for message in self._messages(piece)]

    def _messages(self, piece: RealtimePiece) -> list[dict[str, Any]]:
        if isinstance(piece, bytes):
            kind = f"audio/pcm;rate={self.output_rate_hz}"
            part = {"inlineData": {"mimeType": kind, "data": encode_audio(piece)}}
            return [{"serverContent": {"modelTurn": {"parts": [part]}}}]
        if isinstance(piece, RealtimeReady):
            self.output_rate_hz = piece.output_rate_hz or self.output_rate_hz
            return [{"setupComplete": {}}]
        if isinstance(piece, RealtimeTranscript):
            side = "inputTranscription" if piece.role == "user" else "outputTranscription"
            rest = self.rest_of(piece)
            return [{"serverContent": {side: {"text": rest}}}] if rest else []
        if isinstance(piece, ToolCall):
            self.calls[piece.id] = piece
            args = json.loads(piece.args) if isinstance(piece.args, str) else dict(piece.args)
            call = {"id": piece.id, "name": piece.name, "args": args}
            return [{"toolCall": {"functionCalls": [call]}}]
        if isinstance(piece, EndOfReply):
            return _render_end(piece)
        if isinstance(piece, Interruption):
            return [{"serverContent": {"interrupted": True}}]
        if isinstance(piece, ErrorEvent):
            return [{"error": {"status": piece.code, "code": 500, "message": piece.error}}]
        if isinstance(piece, ResumptionHandle):
            update = {"newHandle": piece.handle, "resumable": True}
            return [{"sessionResumptionUpdate": update}]
        raise self.unknown(piece)


def _render_end(piece: EndOfReply) -> list[dict[str, Any]]:
    complete: dict[str, Any] = {"serverContent": {"turnComplete": True}}
    if not piece.usage:
        return [complete]
    spent = {
        "promptTokenCount": piece.input_audio_tokens,
        "responseTokenCount": piece.output_audio_tokens,
    }
    return [complete, {"usageMetadata": spent}]
