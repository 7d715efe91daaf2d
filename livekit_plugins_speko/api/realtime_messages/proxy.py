"""The wire through Speko's proxy: control in JSON, audio in binary frames. No I/O."""

from __future__ import annotations

from typing import Any

from ..realtime_events import (
    Audio,
    Close,
    Decoded,
    Error,
    Interruption,
    Ready,
    ServerToolCall,
    ToolCall,
    Usage,
)
from . import Frame, NotSupported
from .pieces import WholeSamples, read_count, read_object, read_text, to_json
from .texts import CallerText, ReplyText

SAMPLE_RATES = (16_000, 24_000)
"""Rates that the wire knows, in Hz."""


class ProxyCodec:
    """The codec of one connection to Speko's proxy."""

    can_take_text = False
    reports_barge_in = False

    def __init__(self, *, input_sample_rate: int, output_sample_rate: int) -> None:
        """Use these rates, in Hz, until `ready` names others."""
        self.input_sample_rate = input_sample_rate
        self.output_sample_rate = output_sample_rate
        self._sent = WholeSamples()
        self._received = WholeSamples()
        self._caller = CallerText()
        self._agent = ReplyText()
        self._readers = {
            "ready": self._ready,
            "transcript": self._transcript,
            "tool_call": self._tool_call,
            "server_tool_call": self._server_tool_call,
            "usage": self._usage,
            "interruption": self._interruption,
            "error": self._error,
            "end": self._end,
        }

    def opening(self) -> list[Frame]:
        """Build nothing: the proxy has all it needs from the POST."""
        return []

    def decode(self, frame: Frame) -> list[Decoded]:
        """Decode a frame: audio, or a message."""
        if isinstance(frame, bytes):
            pcm = self._received.feed(frame)
            if not pcm:
                return []
            self._caller.reply_came()
            return [
                *self._agent.audio_came(),
                Audio(pcm=pcm, sample_rate=self.output_sample_rate),
            ]
        message = read_object(frame)
        if message is None:
            return []
        reader = self._readers.get(read_text(message.get("t")))
        return [] if reader is None else reader(message)

    def audio(self, pcm: bytes) -> list[Frame]:
        """Build frames of 20 ms at most."""
        return [*self._sent.frames(pcm, self.input_sample_rate)]

    def commit(self) -> list[Frame]:
        """Build the end of the caller's turn."""
        self._agent.committed()
        return [to_json({"t": "control", "action": "commit"})]

    def interrupt(self) -> list[Frame]:
        """Build the end of the reply under way."""
        self._cut_reply()
        self._agent.cut()
        return [to_json({"t": "interrupt"})]

    def tool_result(self, call_id: str, output: str) -> list[Frame]:
        """Build the result of a tool call. The provider continues by itself."""
        self._agent.answered()
        return [to_json({"t": "tool_result", "callId": call_id, "output": output})]

    def reply(self, instructions: str | None) -> list[Frame]:
        """Build nothing without instructions: a commit is responded to by itself.

        Raises:
            NotSupported: There are instructions.
        """
        if instructions is not None:
            raise NotSupported("Speko's proxy takes no instructions for a single reply.")
        return []

    def user_text(self, text: str, instructions: str | None = None) -> list[Frame]:
        """Refuse: the wire has no text.

        Raises:
            NotSupported: Always.
        """
        raise NotSupported("Speko's proxy takes no typed text, only audio.")

    def _ready(self, message: dict[str, Any]) -> list[Decoded]:
        rates = [message.get(key) for key in ("inputSampleRate", "outputSampleRate")]
        known = [rate if isinstance(rate, int) and rate in SAMPLE_RATES else None for rate in rates]
        self.input_sample_rate = known[0] or self.input_sample_rate
        self.output_sample_rate = known[1] or self.output_sample_rate
        return [Ready(input_sample_rate=known[0], output_sample_rate=known[1])]

    def _transcript(self, message: dict[str, Any]) -> list[Decoded]:
        role, text = (read_text(message.get(key)) for key in ("role", "text"))
        final = message.get("final") is True
        if role == "assistant":
            self._caller.reply_came()
            return [*self._agent.feed(text, final=final)]
        if role != "user":
            return []
        if text.strip():
            self._agent.caller_said(is_first=not final and not self._caller.is_open)
        return [*self._caller.feed(text, final=final)]

    def _tool_call(self, message: dict[str, Any]) -> list[Decoded]:
        call_id = read_text(message.get("callId"))
        if not call_id:
            return []  # there is no way to respond to it
        self._agent.ended()
        name, arguments = (read_text(message.get(key)) for key in ("name", "arguments"))
        return [ToolCall(call_id=call_id, name=name, arguments=arguments)]

    def _server_tool_call(self, message: dict[str, Any]) -> list[Decoded]:
        call_id, name, status = (read_text(message.get(key)) for key in ("id", "name", "status"))
        return [ServerToolCall(id=call_id, name=name, status=status)]

    def _usage(self, message: dict[str, Any]) -> list[Decoded]:
        self._received.reset()
        self._caller.reply_ended()
        self._agent.ended()
        return [
            Usage(
                input_audio_tokens=read_count(message.get("inputAudioTokens")),
                output_audio_tokens=read_count(message.get("outputAudioTokens")),
            )
        ]

    def _interruption(self, message: dict[str, Any]) -> list[Decoded]:
        self._received.reset()
        self._caller.interrupted()
        self._cut_reply()
        self._agent.interrupted()
        return [Interruption(at="assistant" if message.get("at") == "assistant" else "user")]

    def _cut_reply(self) -> None:
        if self._agent.has_begun:
            self._caller.reply_cut()

    def _error(self, message: dict[str, Any]) -> list[Decoded]:
        code = read_text(message.get("code")) or "UNKNOWN"
        return [Error(code=code, message=read_text(message.get("message")) or "no reason given")]

    def _end(self, message: dict[str, Any]) -> list[Decoded]:
        return [Close(code=None, reason=read_text(message.get("reason")))]
