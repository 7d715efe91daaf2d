"""The wire of Speko's own proxy: JSON with a `t` in text frames, audio in binary frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..connection import read_json_object
from ..pieces import ErrorEvent, ServerToolCall, ToolCall
from ..realtime_pieces import (
    EndOfReply,
    Interruption,
    RealtimePiece,
    RealtimeReady,
    RealtimeTranscript,
)
from ..shapes import one_of, record, string, text
from .form import Frame, Incoming, RealtimeForm, message, read_pcm

_KIND = one_of("control", "interrupt", "tool_result")
_SHAPES = {
    "control": record({"t": text, "action": one_of("commit")}, required=("t", "action")),
    "interrupt": record({"t": text}),
    "tool_result": record(
        {"t": text, "callId": text, "output": string}, required=("callId", "output")
    ),
}


class ProxyForm(RealtimeForm):
    """One connection to the proxy, which is ready by itself."""

    needs_opening = False

    def read(self, data: Frame) -> list[Incoming]:
        """Read audio, or a message with a `t`."""
        if isinstance(data, bytes):
            return [Incoming("audio", pcm=read_pcm(data))]
        frame = read_json_object(data, "frame")
        _KIND(frame.get("t"), "frame.t")
        _SHAPES[frame["t"]](frame, "frame")
        if frame["t"] == "control":
            return [Incoming("commit")]
        if frame["t"] == "interrupt":
            return [Incoming("interrupt")]
        call = self.resolve(frame["callId"], "frame.callId")
        return [Incoming("tool_result", call_id=call.id, text=frame["output"])]

    def render(self, piece: RealtimePiece) -> Sequence[Frame]:
        """Return the frames of a piece; the end of a reply without usage has none."""
        if isinstance(piece, bytes):
            return [piece]
        if isinstance(piece, ServerToolCall):
            return [message(t="server_tool_call", **event) for event in piece.wire()]
        if isinstance(piece, EndOfReply) and not piece.usage:
            return []
        return [message(**self._message(piece))]

    def end(self, reason: str) -> Sequence[Frame]:
        """Return the `end` frame."""
        return [message(t="end", reason=reason)]

    def _message(self, piece: RealtimePiece) -> dict[str, Any]:
        if isinstance(piece, RealtimeReady):
            self.input_rate_hz = piece.input_rate_hz or self.input_rate_hz
            self.output_rate_hz = piece.output_rate_hz or self.output_rate_hz
            rates = {"inputSampleRate": self.input_rate_hz, "outputSampleRate": self.output_rate_hz}
            return {"t": "ready", **rates}
        if isinstance(piece, RealtimeTranscript):
            words = {"role": piece.role, "text": piece.text, "final": piece.final}
            return {"t": "transcript", **words}
        if isinstance(piece, ToolCall):
            self.calls[piece.id] = piece
            call = piece.wire()
            named = {"callId": call["id"], "name": call["name"], "arguments": call["args"]}
            return {"t": "tool_call", **named}
        if isinstance(piece, EndOfReply):
            spent = {
                "inputAudioTokens": piece.input_audio_tokens,
                "outputAudioTokens": piece.output_audio_tokens,
            }
            return {"t": "usage", **spent}
        if isinstance(piece, Interruption):
            return {"t": "interruption", "at": piece.at}
        if isinstance(piece, ErrorEvent):
            return {"t": "error", "code": piece.code, "message": piece.error}
        raise self.unknown(piece)
