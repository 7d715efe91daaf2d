"""The forms of the speech-to-speech wire, one codec each, to and from the same typed events.

A codec belongs to one connection. It does no I/O and never raises for what the other side sent:
frames that it does not know, or can't read, decode to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ...errors import NOT_SUPPORTED, SpekoApiError
from ..realtime_events import Decoded

Frame: TypeAlias = str | bytes
"""A text frame, or a binary one."""

SAMPLE_BYTES = 2
"""Bytes of a sample: int16, mono."""


class NotSupported(SpekoApiError):
    """The wire of this session has no message for it. A retry can't help."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 0, NOT_SUPPORTED)


@dataclass(frozen=True, kw_only=True)
class ProviderSession:
    """The settings that a provider is given in the first message.

    Attributes:
        model: Name of the model at the provider.
        voice: Voice, or None for the provider's own.
        instructions: System prompt, or None.
        temperature: The model's, or None for its own.
        tools: Tools with ``name``, ``description`` and ``parameters``.
    """

    model: str
    voice: str | None = None
    instructions: str | None = field(default=None, repr=False)
    temperature: float | None = None
    tools: Sequence[Mapping[str, Any]] = field(default=(), repr=False)


class Codec(Protocol):
    """One form of the wire. Methods that build return the frames to send, in order."""

    @property
    def can_take_text(self) -> bool:
        """True if typed text and instructions for one reply can be sent."""
        ...

    @property
    def reports_barge_in(self) -> bool:
        """True if the service reports each barge-in by an event of its own."""
        ...

    @property
    def input_sample_rate(self) -> int:
        """Rate of the audio to send, in Hz."""
        ...

    @property
    def output_sample_rate(self) -> int:
        """Rate of the audio received, in Hz."""
        ...

    def opening(self) -> list[Frame]:
        """Build the frames that open a session."""
        ...

    def decode(self, frame: Frame) -> list[Decoded]:
        """Decode a frame received."""
        ...

    def audio(self, pcm: bytes) -> list[Frame]:
        """Build frames of PCM of any length; half a sample waits for the next call."""
        ...

    def commit(self) -> list[Frame]:
        """Build the end of the caller's turn."""
        ...

    def interrupt(self) -> list[Frame]:
        """Build the end of the reply under way."""
        ...

    def tool_result(self, call_id: str, output: str) -> list[Frame]:
        """Build the result of a tool call."""
        ...

    def reply(self, instructions: str | None) -> list[Frame]:
        """Build the request of a reply; nothing where a commit alone requests it."""
        ...

    def user_text(self, text: str, instructions: str | None = None) -> list[Frame]:
        """Build the caller's typed words, and instructions for the reply to them."""
        ...
