"""The wire to xAI's voice models, which are OpenAI's realtime events. No I/O."""

from __future__ import annotations

from typing import Any

from ..realtime_events import (
    Audio,
    Decoded,
    Error,
    Interruption,
    Ready,
    ToolCall,
    TurnComplete,
    Usage,
)
from . import Frame, ProviderSession
from .pieces import (
    WholeSamples,
    read_base64,
    read_count,
    read_map,
    read_object,
    read_text,
    to_base64,
    to_json,
)
from .texts import GrowingText

SAMPLE_RATE_HZ = 24_000
"""Rate of the audio in both directions."""

TRANSCRIPTION_MODEL = "grok-transcribe"
"""Model that writes down the caller's words."""

_PCM = {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ}


class XaiCodec:
    """The codec of one connection to xAI."""

    can_take_text = True
    reports_barge_in = True
    input_sample_rate = SAMPLE_RATE_HZ
    output_sample_rate = SAMPLE_RATE_HZ

    def __init__(self, session: ProviderSession) -> None:
        """Open a session with these settings."""
        self._session = session
        self._sent = WholeSamples()
        self._received = WholeSamples()
        self._agent = GrowingText("assistant")
        # True while the rest of an utterance that was cut may come.
        self._is_cut = False
        # The caller's utterance, and the item that it belongs to.
        self._caller = GrowingText("user")
        self._caller_item = ""
        # The reply under way, and the one that was cut, whose late rest is dropped. Empty without.
        self._response = ""
        self._cut_response = ""
        # Calls of the reply whose results were not sent. The last result requests the next reply.
        self._open_calls: set[str] = set()
        self._readers = {
            "session.updated": self._ready,
            "response.created": self._response_created,
            "response.output_audio.delta": self._audio_delta,
            "response.audio.delta": self._audio_delta,
            "response.output_audio_transcript.delta": self._agent_delta,
            "response.audio_transcript.delta": self._agent_delta,
            "response.output_audio_transcript.done": self._agent_done,
            "response.audio_transcript.done": self._agent_done,
            "response.function_call_arguments.done": self._tool_call,
            "response.done": self._response_done,
            "conversation.item.input_audio_transcription.delta": self._caller_text,
            "conversation.item.input_audio_transcription.updated": self._caller_text,
            "conversation.item.input_audio_transcription.completed": self._caller_done,
            "input_audio_buffer.speech_started": self._speech_started,
            "error": self._error,
        }

    def opening(self) -> list[Frame]:
        """Build the update that opens a session."""
        settings: dict[str, Any] = {
            "type": "realtime",
            "model": self._session.model,
            "output_modalities": ["audio"],
            "turn_detection": {"type": "server_vad"},
            "audio": {
                "input": {"format": _PCM, "transcription": {"model": TRANSCRIPTION_MODEL}},
                "output": {"format": _PCM},
            },
            "tool_choice": "auto",
        }
        if self._session.voice is not None:
            settings["voice"] = self._session.voice
        if self._session.instructions is not None:
            settings["instructions"] = self._session.instructions
        if self._session.tools:
            settings["tools"] = [{"type": "function", **tool} for tool in self._session.tools]
        return [to_json({"type": "session.update", "session": settings})]

    def decode(self, frame: Frame) -> list[Decoded]:
        """Decode a message."""
        message = read_object(frame)
        if message is None:
            return []
        reader = self._readers.get(read_text(message.get("type")))
        return [] if reader is None else reader(message)

    def audio(self, pcm: bytes) -> list[Frame]:
        """Build messages of 20 ms of audio at most."""
        # Written by hand: base64 needs no escapes, which an encoder would look for.
        return [
            f'{{"type":"input_audio_buffer.append","audio":"{to_base64(frame)}"}}'
            for frame in self._sent.frames(pcm, SAMPLE_RATE_HZ)
        ]

    def commit(self) -> list[Frame]:
        """Build the end of the caller's turn."""
        return [to_json({"type": "input_audio_buffer.commit"})]

    def interrupt(self) -> list[Frame]:
        """Build the end of the reply under way, whose late rest is dropped from now on."""
        self._cut()
        return [to_json({"type": "response.cancel"})]

    def tool_result(self, call_id: str, output: str) -> list[Frame]:
        """Build the result of a tool call; the last one of a reply requests the next reply."""
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        frames: list[Frame] = [to_json({"type": "conversation.item.create", "item": item})]
        self._open_calls.discard(call_id)
        return frames if self._open_calls else [*frames, *self.reply(None)]

    def reply(self, instructions: str | None) -> list[Frame]:
        """Build the request of a reply. Instructions come after the session's own."""
        request: dict[str, Any] = {"type": "response.create"}
        if instructions is not None:
            # Those of a response replace the session's for it.
            both = [text for text in (self._session.instructions, instructions) if text]
            request["response"] = {"instructions": "\n\n".join(both)}
        return [to_json(request)]

    def user_text(self, text: str, instructions: str | None = None) -> list[Frame]:
        """Build the caller's typed words, and the request of a reply."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        frame = to_json({"type": "conversation.item.create", "item": item})
        return [frame, *self.reply(instructions)]

    def _ready(self, message: dict[str, Any]) -> list[Decoded]:
        return [Ready(input_sample_rate=SAMPLE_RATE_HZ, output_sample_rate=SAMPLE_RATE_HZ)]

    def _response_created(self, message: dict[str, Any]) -> list[Decoded]:
        self._response = read_text(read_map(message, "response").get("id"))
        self._cut_response = ""
        self._open_calls.clear()
        self._received.reset()
        return self._finish_agent()

    def _is_late(self, message: dict[str, Any]) -> bool:
        """Return True for a part of a reply that was cut; else note the reply under way."""
        response = read_text(message.get("response_id"))
        if response and response == self._cut_response:
            return True
        self._response = response or self._response
        return False

    def _cut(self) -> None:
        self._cut_response, self._response = self._response or self._cut_response, ""
        self._received.reset()
        if self._agent.text:
            self._is_cut = True
            self._agent.drop()

    def _finish_agent(self) -> list[Decoded]:
        """End the utterance under way; one that was cut has no final."""
        if self._is_cut:
            self._is_cut = False
            self._agent.drop()
        return [*self._agent.finish()]

    def _audio_delta(self, message: dict[str, Any]) -> list[Decoded]:
        if self._is_late(message):
            return []
        pcm = self._received.feed(read_base64(message.get("delta")))
        return [Audio(pcm=pcm, sample_rate=SAMPLE_RATE_HZ)] if pcm else []

    def _agent_delta(self, message: dict[str, Any]) -> list[Decoded]:
        if self._is_late(message):
            return []
        return [*self._agent.append(read_text(message.get("delta")))]

    def _agent_done(self, message: dict[str, Any]) -> list[Decoded]:
        if self._is_late(message):
            return []
        return [*self._agent.finish(read_text(message.get("transcript")))]

    def _tool_call(self, message: dict[str, Any]) -> list[Decoded]:
        call_id = read_text(message.get("call_id"))
        if not call_id:
            return []  # there is no way to respond to it
        self._open_calls.add(call_id)
        name, arguments = (read_text(message.get(key)) for key in ("name", "arguments"))
        return [ToolCall(call_id=call_id, name=name, arguments=arguments)]

    def _response_done(self, message: dict[str, Any]) -> list[Decoded]:
        response = read_map(message, "response")
        self._response = self._cut_response = ""
        self._received.reset()
        events = self._finish_agent()
        if response.get("status") == "failed":
            events += self._error(dict(read_map(response, "status_details")))
        if isinstance(response.get("usage"), dict):
            came = read_map(response, "usage", "input_token_details")
            went = read_map(response, "usage", "output_token_details")
            events.append(
                Usage(
                    input_audio_tokens=read_count(came.get("audio_tokens")),
                    output_audio_tokens=read_count(went.get("audio_tokens")),
                    input_text_tokens=read_count(came.get("text_tokens")),
                    output_text_tokens=read_count(went.get("text_tokens")),
                )
            )
        return [*events, TurnComplete()]

    def _caller_text(self, message: dict[str, Any]) -> list[Decoded]:
        item = read_text(message.get("item_id"))
        # An utterance of which no end came ends with the next one.
        events = self._caller.finish() if item != self._caller_item else []
        self._caller_item = item
        if whole := read_text(message.get("transcript")):
            return [*events, *self._caller.replace(whole)]
        return [*events, *self._caller.append(read_text(message.get("delta")))]

    def _caller_done(self, message: dict[str, Any]) -> list[Decoded]:
        text = read_text(message.get("transcript"))
        if read_text(message.get("item_id")) == self._caller_item:
            return [*self._caller.finish(text)]
        return [*GrowingText("user").finish(text)]

    def _speech_started(self, message: dict[str, Any]) -> list[Decoded]:
        self._cut()
        return [Interruption(at="user")]

    def _error(self, message: dict[str, Any]) -> list[Decoded]:
        error = read_map(message, "error")
        code = read_text(error.get("code")) or read_text(error.get("type")) or "UNKNOWN"
        return [Error(code=code, message=read_text(error.get("message")) or "no reason given")]
