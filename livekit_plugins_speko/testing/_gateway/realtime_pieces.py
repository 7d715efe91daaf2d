"""Messages of the service in a speech-to-speech session, in a form that fits every wire."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias

from .pieces import ErrorEvent, ServerToolCall, ToolCall


@dataclass(frozen=True)
class RealtimeReady:
    """The message that the session is ready, or that its rates have changed.

    Attributes:
        input_rate_hz: The rate of the caller's audio; None for the session's own.
        output_rate_hz: The rate of the agent's audio; None for the session's own.
    """

    _: KW_ONLY
    input_rate_hz: int | None = None
    output_rate_hz: int | None = None


@dataclass(frozen=True)
class RealtimeTranscript:
    """The words of one side.

    Attributes:
        role: The side: `user` is the caller, `assistant` the agent.
        text: The whole text so far; a wire that sends pieces gets the rest of it.
        final: Whether it is complete. Gemini's caller has no final.
    """

    role: Literal["user", "assistant"]
    text: str
    _: KW_ONLY
    final: bool = False


@dataclass(frozen=True)
class Interruption:
    """A barge-in: what is queued for playing is void.

    Attributes:
        at: The side that spoke, as the proxy's form says it.
    """

    at: Literal["user", "assistant"] = "user"


@dataclass(frozen=True)
class EndOfReply:
    """The end of a reply, with its usage.

    Attributes:
        input_audio_tokens: The usage of the caller's audio, in tokens.
        output_audio_tokens: The usage of the agent's audio, in tokens.
        usage: False if no usage comes. The proxy's form then says nothing at all.
    """

    _: KW_ONLY
    input_audio_tokens: int = 10
    output_audio_tokens: int = 20
    usage: bool = True


@dataclass(frozen=True)
class ResumptionHandle:
    """A handle with which a later connection resumes the session; Gemini's form alone has it.

    Attributes:
        handle: The handle.
    """

    handle: str


RealtimePiece: TypeAlias = (
    bytes
    | RealtimeReady
    | RealtimeTranscript
    | ToolCall
    | ServerToolCall
    | Interruption
    | EndOfReply
    | ErrorEvent
    | ResumptionHandle
)
"""Bytes are audio of the agent: int16, little-endian, mono, cut anywhere."""
