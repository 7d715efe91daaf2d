"""The official SDK's client and its handle, as a connector and a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from ..api.realtime_events import (
    Audio,
    Close,
    Error,
    Interruption,
    RealtimeEvent,
    ToolCall,
    Usage,
)
from ..api.realtime_messages.pieces import WholeSamples
from ..api.realtime_messages.texts import GrowingText, ReplyText
from .connections import Connection
from .microphone import frame_bytes

T = TypeVar("T")


async def _from_network(call: Awaitable[T]) -> T:
    """Await a call of the SDK.

    Raises:
        ConnectionError: The connection failed.
    """
    try:
        return await call
    except Exception as fault:
        lost = _to_lost(fault)
        if lost is None:
            raise
    # Outside of the handler: the library's error may hold the credential.
    raise lost


def _to_lost(fault: Exception) -> ConnectionError | None:
    """Return the error of a connection that failed, or None for a programming error.

    Without what may quote the credential: the texts of libraries, and details behind a colon.
    """
    if type(fault).__module__.partition(".")[0] in ("websockets", "aiortc", "aioice"):
        told = type(fault).__name__
    elif type(fault) in (RuntimeError, EOFError):  # the SDK's, for a setup or a channel of WebRTC
        told = str(fault).partition(":")[0]
    else:
        return None
    return ConnectionError(f"The connection to the provider failed ({told}).")


class SdkConnector:
    """Connects with the official SDK's client."""

    def __init__(self, speko: Any) -> None:
        """Use `speko`, which stays the caller's."""
        self._speko = speko

    async def connect(self, options: Mapping[str, Any]) -> Connection:
        """Make a session and connect to it."""
        known = {name: value for name, value in options.items() if value is not None}
        if "tools" in known:
            known["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                }
                for tool in known["tools"]
            ]
        return SdkConnection(await _from_network(self._speko.connect_realtime(known)))


class SdkConnection:
    """A handle of ``AsyncSpeko.connect_realtime`` as a `Connection`."""

    can_take_text = False
    reports_barge_in = True
    lease_expires_at = None

    def __init__(self, handle: Any) -> None:
        """Adapt an open handle."""
        self._handle = handle
        self._reply = ReplyText()
        # The caller's line. The SDK marks each piece of Gemini's as final, so that the line is only
        # over once something else comes.
        self._line = GrowingText("user")
        # True once an interim text of the caller began with the one before it: all of them do then.
        self._is_cumulative = False
        self._samples = WholeSamples()
        self.session_id: str = handle.session_id
        self.expires_at: str | None = handle.expires_at
        self.input_sample_rate: int = handle.input_sample_rate
        self.output_sample_rate: int = handle.output_sample_rate

    async def send_audio(self, pcm: bytes, /) -> None:
        """Send the caller's audio, in frames of 20 ms."""
        size = frame_bytes(self.input_sample_rate)
        for at in range(0, len(pcm), size):
            await _from_network(self._handle.send_audio(pcm[at : at + size]))

    async def commit(self) -> None:
        """End the caller's turn."""
        self._reply.committed()
        await _from_network(self._handle.commit())

    async def interrupt(self) -> None:
        """Cancel the reply under way."""
        self._reply.cut()
        await _from_network(self._handle.interrupt())

    async def send_tool_result(self, call_id: str, output: str) -> None:
        """Send the result of a tool."""
        self._reply.answered()
        await _from_network(self._handle.send_tool_result(call_id, output))

    async def reply(self, instructions: str | None = None, /) -> None:
        """Raise: the SDK's handle takes no instructions."""
        raise NotImplementedError("the official SDK's handle takes no instructions")

    async def send_text(self, text: str, instructions: str | None = None, /) -> None:
        """Raise: the SDK's handle takes no text."""
        raise NotImplementedError("the official SDK's handle takes no text")

    async def close(self, code: int = 1000, reason: str = "client_closed") -> None:
        """Close the handle. One whose connection is gone is closed already."""
        with suppress(ConnectionError):
            await _from_network(self._handle.close(code, reason))

    async def __aiter__(self) -> AsyncIterator[RealtimeEvent]:
        try:
            async for frame in self._handle:
                for event in self._to_events(frame):
                    yield event
            return
        except Exception as fault:
            lost = fault if isinstance(fault, ConnectionError) else _to_lost(fault)
            if lost is None:
                raise
            reason = str(lost)
        yield Close(code=1006, reason=reason)

    def _to_events(self, frame: Mapping[str, Any]) -> list[RealtimeEvent]:
        kind = frame.get("type")
        if kind == "transcript":
            return self._to_transcripts(frame)
        event = self._to_event(kind, frame)
        if event is None:
            return [*self._line.finish()]
        before = self._reply.audio_came() if isinstance(event, Audio) else []
        return [*self._line.finish(), *before, event]

    def _to_transcripts(self, frame: Mapping[str, Any]) -> list[RealtimeEvent]:
        text, final = frame["text"], frame["final"]
        if frame["role"] != "user":
            return [*self._line.finish(), *self._reply.feed(text, final=final)]
        before = self._line.text
        self._reply.caller_said(is_first=not final and not before)
        is_whole = text.startswith(before)
        self._is_cumulative |= bool(before) and is_whole and not final
        if is_whole or self._is_cumulative:
            return [*self._line.replace(text)]
        return [*self._line.append(text)]

    def _to_event(self, kind: object, frame: Mapping[str, Any]) -> RealtimeEvent | None:
        if kind == "audio":
            pcm = self._samples.feed(frame["pcm"])
            return Audio(pcm=pcm, sample_rate=frame["sample_rate"]) if pcm else None
        if kind == "tool_call":
            if not frame["call_id"]:
                return None  # there is no way to respond to it: the SDK raises for Gemini's
            self._reply.ended()
            return ToolCall(
                call_id=frame["call_id"], name=frame["name"], arguments=frame["arguments"]
            )
        if kind == "usage":
            self._reply.ended()
            return Usage(
                input_audio_tokens=frame["input_audio_tokens"],
                output_audio_tokens=frame["output_audio_tokens"],
            )
        if kind == "interruption":
            self._reply.interrupted()
            return Interruption(at=frame["at"])
        if kind == "error":
            return Error(code=frame.get("code") or "UNKNOWN", message=frame.get("message") or "")
        if kind == "close":
            reason = frame.get("reason") or ""
            # The SDK names no code. An agent that hangs up gives a reason; a connection that was
            # closed, or failed, has none.
            return Close(code=frame.get("code", None if reason else 1006), reason=reason)
        return None
