"""The wire to Google's Gemini Live, whose JSON comes in text or binary frames. No I/O."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ..realtime_events import (
    Audio,
    Decoded,
    Error,
    Interruption,
    Ready,
    ResumptionHandle,
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
from .texts import GrowingText, ReplyEnds

INPUT_RATE_HZ = 16_000
"""Rate of the audio to send."""

OUTPUT_RATE_HZ = 24_000
"""Rate of the audio received where its type names none."""

MAX_CALLS = 1_000
"""Most tool calls whose names are kept. A result must name the function again."""

_RATE = re.compile(r"rate=([1-9]\d{3,5})\b", re.ASCII)


class GoogleCodec:
    """The codec of one connection to Gemini Live."""

    can_take_text = True
    reports_barge_in = True
    input_sample_rate = INPUT_RATE_HZ
    output_sample_rate = OUTPUT_RATE_HZ

    def __init__(self, session: ProviderSession, *, handle: str | None = None) -> None:
        """Open a session with these settings, or continue the one of a resumption `handle`."""
        self._session = session
        self._handle = handle
        self._sent = WholeSamples()
        self._received = WholeSamples()
        self._caller = GrowingText("user")
        self._agent = GrowingText("assistant")
        # Ends the words before a tool call, which have no end of their own.
        self._ends = ReplyEnds()
        # True from the first part of a reply to its end.
        self._replying = False
        # True after an interruption, until its turn ends or another reply begins.
        self._cut = False
        # The latest usage of the reply under way, which ends it and so waits for its end. None
        # before it came.
        self._spent: Usage | None = None
        # Names of the functions called, by call id.
        self._names: OrderedDict[str, str] = OrderedDict()

    def opening(self) -> list[Frame]:
        """Build the setup."""
        session = self._session
        generation: dict[str, Any] = {"responseModalities": ["AUDIO"]}
        if session.voice is not None:
            voice = {"prebuiltVoiceConfig": {"voiceName": session.voice}}
            generation["speechConfig"] = {"voiceConfig": voice}
        if session.temperature is not None:
            generation["temperature"] = session.temperature
        setup: dict[str, Any] = {
            "model": f"models/{session.model.removeprefix('models/')}",
            "generationConfig": generation,
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
            "sessionResumption": {} if self._handle is None else {"handle": self._handle},
        }
        if session.instructions is not None:
            setup["systemInstruction"] = {"parts": [{"text": session.instructions}]}
        if session.tools:
            setup["tools"] = [{"functionDeclarations": [dict(tool) for tool in session.tools]}]
        return [to_json({"setup": setup})]

    def decode(self, frame: Frame) -> list[Decoded]:
        """Decode a message, whose parts come in the order in which they happened."""
        message = read_object(frame)
        if message is None:
            return []
        events: list[Decoded] = []
        if "setupComplete" in message:
            ready = Ready(input_sample_rate=INPUT_RATE_HZ, output_sample_rate=OUTPUT_RATE_HZ)
            events.append(ready)
        events += self._resumption(read_map(message, "sessionResumptionUpdate"))
        content = read_map(message, "serverContent")
        events += self._content(content)
        events += self._tool_calls(read_map(message, "toolCall"))
        is_over = content.get("turnComplete") is True
        if is_over:
            events += [*self._caller.finish(), *self._agent.finish()]
        events += self._usage(message.get("usageMetadata"), is_over=is_over)
        if is_over:
            self._replying = self._cut = False
            self._ends.reset()
            self._received.reset()
            events.append(TurnComplete())
        return [*events, *self._error(message.get("error"))]

    def audio(self, pcm: bytes) -> list[Frame]:
        """Build messages of 20 ms of audio at most."""
        # Written by hand: base64 needs no escapes, which an encoder would look for.
        start = (
            f'{{"realtimeInput":{{"audio":{{"mimeType":"audio/pcm;rate={INPUT_RATE_HZ}","data":"'
        )
        frames = self._sent.frames(pcm, INPUT_RATE_HZ)
        return [f'{start}{to_base64(frame)}"}}}}}}' for frame in frames]

    def commit(self) -> list[Frame]:
        """Build the end of the caller's turn."""
        return [to_json({"realtimeInput": {"audioStreamEnd": True}})]

    def interrupt(self) -> list[Frame]:
        """Build the end of the reply under way."""
        return [to_json({"realtimeInput": {"activityEnd": {}}})]

    def tool_result(self, call_id: str, output: str) -> list[Frame]:
        """Build the result of a tool call: the output's JSON object, else the output itself."""
        name = self._names.pop(call_id, "")
        self._ends.led_on()
        result = {"id": call_id, "name": name, "response": _to_object(output)}
        return [to_json({"toolResponse": {"functionResponses": [result]}})]

    def reply(self, instructions: str | None) -> list[Frame]:
        """Build the request of a reply; nothing without instructions, as after a commit."""
        return [] if instructions is None else self.user_text(instructions)

    def user_text(self, text: str, instructions: str | None = None) -> list[Frame]:
        """Build the caller's typed words, behind the instructions for the reply to them."""
        parts = [{"text": each} for each in (instructions, text) if each is not None]
        turn = {"role": "user", "parts": parts}
        return [to_json({"clientContent": {"turns": [turn], "turnComplete": True}})]

    def _content(self, content: Mapping[str, Any]) -> list[Decoded]:
        transcript = read_text(read_map(content, "inputTranscription").get("text"))
        events: list[Decoded] = [*self._caller.append(transcript)]
        parts = read_map(content, "modelTurn").get("parts")
        audio = [
            each
            for part in (parts if isinstance(parts, list) else [])
            if (each := self._audio(read_map(part, "inlineData"))) is not None
        ]
        if audio:
            self._cut = False
        said = read_text(read_map(content, "outputTranscription").get("text"))
        if audio or (said and not self._cut):
            if self._ends.begin_next(is_audio=bool(audio)):
                events += self._agent.finish()
                self._replying = False
            events += self._begin_reply()
            events += [*self._agent.append(said), *audio]
        if content.get("interrupted") is True:
            late = self._caller.finish() if self._replying else []
            events += [*late, *self._agent.finish(), Interruption(at="assistant")]
            # Without a reply under way there is no rest of one that could come.
            self._cut, self._replying = self._cut or self._replying, False
            self._ends.reset()
            self._received.reset()
        return events

    def _begin_reply(self) -> list[Decoded]:
        """Make the caller's line final, which has no final of its own, as a reply begins."""
        if self._replying:
            return []
        self._replying = True
        return [*self._caller.finish()]

    def _audio(self, data: Mapping[str, Any]) -> Audio | None:
        rate = _RATE.search(read_text(data.get("mimeType")))
        pcm = self._received.feed(read_base64(data.get("data")))
        return Audio(pcm=pcm, sample_rate=int(rate[1]) if rate else OUTPUT_RATE_HZ) if pcm else None

    def _tool_calls(self, tool_call: Mapping[str, Any]) -> list[Decoded]:
        calls = tool_call.get("functionCalls")
        events: list[Decoded] = []
        for call in calls if isinstance(calls, list) else []:
            call_id, name = (read_text(read_map(call).get(key)) for key in ("id", "name"))
            if not call_id:
                continue  # there is no way to respond to it
            self._names[call_id] = name
            if len(self._names) > MAX_CALLS:
                self._names.popitem(last=False)
            arguments = read_text(call.get("args")) or to_json(read_map(call, "args"))
            events.append(ToolCall(call_id=call_id, name=name, arguments=arguments))
        if not events:
            return []
        self._ends.ended()
        return [*self._caller.finish(), *events]

    def _usage(self, usage: object, *, is_over: bool) -> list[Decoded]:
        """Read the usage, which comes during a reply too; the latest counts."""
        if isinstance(usage, dict):
            self._spent = Usage(
                input_audio_tokens=read_count(usage.get("promptTokenCount")),
                output_audio_tokens=read_count(usage.get("responseTokenCount")),
            )
        elif not is_over:
            return []
        if self._spent is None or (self._replying and not is_over):
            return []
        spent, self._spent = self._spent, None
        return [spent]

    def _resumption(self, update: Mapping[str, Any]) -> list[Decoded]:
        handle = read_text(update.get("newHandle"))
        if not handle or update.get("resumable") is False:
            return []
        return [ResumptionHandle(handle=handle)]

    def _error(self, error: object) -> list[Decoded]:
        if not isinstance(error, dict):
            return []
        code = read_text(error.get("status")) or str(read_count(error.get("code")) or "UNKNOWN")
        return [Error(code=code, message=read_text(error.get("message")) or "no reason given")]


def _to_object(output: str) -> object:
    """Parse the output as a JSON object, or wrap it in one: the wire takes no other value."""
    try:
        value = json.loads(output, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return {"result": output}
    return value if isinstance(value, dict) else {"result": output}


def _refuse_constant(name: str) -> float:
    """Refuse NaN and the infinities, which Python writes and JSON does not know."""
    raise ValueError(name)
