"""Events of a speech-to-speech connection, the same for each form of the wire. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["user", "assistant"]
"""The caller, or the agent."""


@dataclass(frozen=True, kw_only=True)
class Audio:
    """A piece of the reply: PCM, int16, little-endian, mono, at `sample_rate` Hz."""

    pcm: bytes = field(repr=False)
    sample_rate: int
    type: Literal["audio"] = "audio"


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """Words of one utterance. `text` is all of it so far; a final one is its last."""

    role: Role
    text: str
    final: bool
    type: Literal["transcript"] = "transcript"


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """The model calls a tool. `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str
    type: Literal["tool_call"] = "tool_call"


@dataclass(frozen=True, kw_only=True)
class ServerToolCall:
    """A tool runs, or ran, inside the service. `status` is started, completed or failed."""

    id: str
    name: str
    status: str
    type: Literal["server_tool_call"] = "server_tool_call"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens that a reply took. The counts of text are 0 where the wire has none."""

    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_text_tokens: int = 0
    output_text_tokens: int = 0
    type: Literal["usage"] = "usage"


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """The caller barged in: audio that still waits to be played is void."""

    at: Role
    type: Literal["interruption"] = "interruption"


@dataclass(frozen=True, kw_only=True)
class TurnComplete:
    """The reply is complete, or was cut. The proxy's wire has no such event."""

    type: Literal["turn_complete"] = "turn_complete"


@dataclass(frozen=True, kw_only=True)
class Error:
    """The service reported a fault. It does not end the connection by itself."""

    code: str
    message: str
    type: Literal["error"] = "error"


@dataclass(frozen=True, kw_only=True)
class Close:
    """The connection is over; the last event.

    Attributes:
        code: The WebSocket's close code, 1006 when no close frame came, or None when the service
            said in a message that the session is over.
        reason: The reason that came with it, or empty.
    """

    code: int | None
    reason: str
    type: Literal["close"] = "close"


RealtimeEvent: TypeAlias = (
    Audio
    | Transcript
    | ToolCall
    | ServerToolCall
    | Usage
    | Interruption
    | TurnComplete
    | Error
    | Close
)
"""An event of a connection, distinguished by its ``type``."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The other side is ready. A rate that it did not name is None. For the connection alone."""

    input_sample_rate: int | None = None
    output_sample_rate: int | None = None
    type: Literal["ready"] = "ready"


@dataclass(frozen=True, kw_only=True)
class ResumptionHandle:
    """A handle by which a new socket continues the session. For the connection alone."""

    handle: str = field(repr=False)
    type: Literal["resumption_handle"] = "resumption_handle"


Decoded: TypeAlias = RealtimeEvent | Ready | ResumptionHandle
"""One result of decoding a frame."""
