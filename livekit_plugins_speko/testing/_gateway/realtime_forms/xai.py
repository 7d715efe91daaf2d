"""The wire of xAI, which has OpenAI's realtime events: JSON with a `type` in text frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..connection import read_json_object
from ..pieces import ErrorEvent, ToolCall
from ..realtime_pieces import (
    EndOfReply,
    Interruption,
    RealtimePiece,
    RealtimeReady,
    RealtimeTranscript,
)
from ..session_store import GatewaySession
from ..shapes import (
    Check,
    InvalidRequest,
    json_object,
    list_of,
    number,
    one_of,
    record,
    string,
    text,
    wrong,
)
from .form import Frame, Incoming, RealtimeForm, decode_audio, encode_audio, message

_MAX_TOOLS = 128


def _exactly(value: Any) -> Check:
    """Make a check for one value."""

    def check(found: Any, where: str) -> None:
        if found != value:
            raise wrong(where, found, str(value))

    return check


_FORMAT = record({"type": one_of("audio/pcm"), "rate": _exactly(24_000)}, required=("type", "rate"))
_TOOL = record(
    {"type": one_of("function"), "name": text, "description": string, "parameters": json_object},
    required=("type", "name", "parameters"),
)
_SESSION = record(
    {
        "type": one_of("realtime"),
        "model": text,
        "output_modalities": _exactly(["audio"]),
        "voice": text,
        "instructions": string,
        "temperature": number(0, 2),
        "turn_detection": record({"type": one_of("server_vad")}, required=("type",)),
        "audio": record(
            {
                "input": record(
                    {"format": _FORMAT, "transcription": record({"model": text})},
                    required=("format", "transcription"),
                ),
                "output": record({"format": _FORMAT}, required=("format",)),
            },
            required=("input", "output"),
        ),
        "tools": list_of(_TOOL, most=_MAX_TOOLS),
        "tool_choice": one_of("auto"),
    },
    required=("type", "model", "output_modalities", "turn_detection", "audio"),
)
_INPUT_TEXT = record({"type": one_of("input_text"), "text": string}, required=("type", "text"))
_ITEMS = {
    "function_call_output": record(
        {"type": text, "call_id": text, "output": string}, required=("call_id", "output")
    ),
    "message": record(
        {
            "type": text,
            "role": one_of("user"),
            "content": list_of(_INPUT_TEXT, least=1, most=1),
        },
        required=("role", "content"),
    ),
}


class XaiForm(RealtimeForm):
    """One connection in xAI's form. An item counts once a `response.create` follows it."""

    def __init__(self, session: GatewaySession) -> None:
        """Make the wire of a new connection.

        Args:
            session: The session that it belongs to.
        """
        super().__init__(session)
        # Items that await their `response.create`.
        self._items: list[Incoming] = []
        # Number of replies so far. Each is announced before its first piece.
        self._replies = 0
        # True from there to the reply's end.
        self._replying = False
        # True once the caller has barged in on it: its late rest is no reply of its own.
        self._is_cut = False
        self._readers: dict[str, Callable[[dict[str, Any]], list[Incoming]]] = {
            "session.update": self._read_session,
            "input_audio_buffer.append": self._read_audio,
            "input_audio_buffer.commit": lambda event: [Incoming("commit")],
            "response.cancel": lambda event: [Incoming("interrupt")],
            "conversation.item.create": self._read_item,
            "response.create": self._read_response,
        }

    def read(self, data: Frame) -> list[Incoming]:
        """Read an event."""
        if isinstance(data, bytes):
            raise InvalidRequest("frame: found a binary frame, expected JSON text")
        event = read_json_object(data, "event")
        kind = event.get("type")
        one_of(*self._readers)(kind, "event.type")
        if not self.opening and kind != "session.update":
            raise wrong("event.type", kind, "session.update first")
        return self._readers[str(kind)](event)

    def _read_session(self, event: dict[str, Any]) -> list[Incoming]:
        _SESSION(event.get("session"), "event.session")
        if event["session"]["model"] != self.session.model:
            raise wrong("event.session.model", event["session"]["model"], str(self.session.model))
        self.opening = event["session"]
        return []

    def _read_audio(self, event: dict[str, Any]) -> list[Incoming]:
        return [Incoming("audio", pcm=decode_audio(event.get("audio"), "event.audio"))]

    def _read_item(self, event: dict[str, Any]) -> list[Incoming]:
        item = event.get("item")
        json_object(item, "event.item")
        assert isinstance(item, dict)
        one_of(*_ITEMS)(item.get("type"), "event.item.type")
        _ITEMS[item["type"]](item, "event.item")
        if item["type"] == "message":
            self._items.append(Incoming("text", text=item["content"][0]["text"]))
        else:
            call = self.resolve(item["call_id"], "event.item.call_id")
            result = Incoming("tool_result", call_id=call.id, text=item["output"])
            self._items.append(result)
        return []

    def _read_response(self, event: dict[str, Any]) -> list[Incoming]:
        response = event.get("response", {})
        record({"instructions": string})(response, "event.response")
        items, self._items = self._items, []
        if "instructions" in response or not items:
            items.append(Incoming("instructions", text=response.get("instructions", "")))
        return items

    def render(self, piece: RealtimePiece) -> Sequence[Frame]:
        """Return the event of a piece, behind the one that announces its reply."""
        return [*self._announce(piece), *self._render(piece)]

    def _announce(self, piece: RealtimePiece) -> list[Frame]:
        """Announce a reply before its first piece, and note its end.

        One that was cut ends, at the latest, where the caller's turn does.
        """
        words = piece if isinstance(piece, RealtimeTranscript) else None
        if isinstance(piece, Interruption):
            self._is_cut = self._replying
        elif isinstance(piece, EndOfReply) or (
            self._is_cut and words is not None and words.role == "user" and words.final
        ):
            self._replying = self._is_cut = False
        is_reply = words.role == "assistant" if words else isinstance(piece, bytes | ToolCall)
        if self._replying or not is_reply:
            return []
        self._replying = True
        self._replies += 1
        response = {"id": f"resp_{self._replies}", "status": "in_progress"}
        return [message(type="response.created", response=response)]

    def _render(self, piece: RealtimePiece) -> list[Frame]:
        if isinstance(piece, bytes):
            return [message(type="response.output_audio.delta", delta=encode_audio(piece))]
        if isinstance(piece, RealtimeReady):
            return [message(type="session.updated", session=self.opening)]
        if isinstance(piece, RealtimeTranscript):
            return self._render_words(piece)
        if isinstance(piece, ToolCall):
            self.calls[piece.id] = piece
            call = piece.wire()
            named = {"call_id": call["id"], "name": call["name"], "arguments": call["args"]}
            return [message(type="response.function_call_arguments.done", **named)]
        if isinstance(piece, EndOfReply):
            return [message(type="response.done", response=_render_response(piece))]
        if isinstance(piece, Interruption):
            return [message(type="input_audio_buffer.speech_started")]
        if isinstance(piece, ErrorEvent):
            return [message(type="error", error={"code": piece.code, "message": piece.error})]
        raise self.unknown(piece)

    def _render_words(self, words: RealtimeTranscript) -> list[Frame]:
        """Render the caller's words cumulatively, and the agent's piece by piece."""
        rest = self.rest_of(words)
        if words.role == "user":
            end = "completed" if words.final else "updated"
            kind = f"conversation.item.input_audio_transcription.{end}"
            return [message(type=kind, transcript=words.text)]
        if words.final:
            kind = "response.output_audio_transcript.done"
            return [message(type=kind, transcript=words.text)]
        return [message(type="response.output_audio_transcript.delta", delta=rest)]


def _render_response(piece: EndOfReply) -> dict[str, Any]:
    if not piece.usage:
        return {"status": "completed"}
    usage = {
        "input_token_details": {"audio_tokens": piece.input_audio_tokens},
        "output_token_details": {"audio_tokens": piece.output_audio_tokens},
    }
    return {"status": "completed", "usage": usage}
