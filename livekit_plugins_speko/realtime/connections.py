"""The connection below a session: what is asked of it, and of what makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from ..api.realtime_credentials import parse_time
from ..api.realtime_events import RealtimeEvent


class Connection(Protocol):
    """One open session of a voice model. `RealtimeConnection` is one."""

    @property
    def session_id(self) -> str:
        """The service's id of the session."""

    @property
    def expires_at(self) -> Any:
        """End of the session's life: ISO 8601, or None where it is not known."""

    @property
    def lease_expires_at(self) -> Any:
        """End of the lease, likewise."""

    @property
    def input_sample_rate(self) -> int:
        """Rate of the caller's audio, in Hz."""

    @property
    def output_sample_rate(self) -> int:
        """Rate of the agent's audio, in Hz."""

    @property
    def can_take_text(self) -> bool:
        """True if the wire has instructions for one reply and typed text."""

    @property
    def reports_barge_in(self) -> bool:
        """True if the service reports each barge-in by an event of its own."""

    async def send_audio(self, pcm: bytes, /) -> None:
        """Send the caller's audio: PCM16, mono, any length. The wire has frames of 20 ms."""

    async def commit(self) -> None:
        """End the caller's turn."""

    async def interrupt(self) -> None:
        """Cancel the reply under way."""

    async def send_tool_result(self, call_id: str, output: str) -> None:
        """Send the result of a tool."""

    async def reply(self, instructions: str | None = None, /) -> None:
        """Request a reply. Where `can_take_text`."""

    async def send_text(self, text: str, instructions: str | None = None, /) -> None:
        """Send what the user typed, and request a reply to it. Where `can_take_text`."""

    async def close(self, code: int = 1000, reason: str = "client_closed") -> None:
        """Close it."""

    def __aiter__(self) -> AsyncIterator[RealtimeEvent]: ...


class Connector(Protocol):
    """Makes sessions of the service and connects to them. One a LiveKit session."""

    async def connect(self, options: Mapping[str, Any]) -> Connection:
        """Make a session of these options of `Realtime.connect`, and connect to it."""


def to_timestamp(moment: Any) -> float | None:
    """Return a moment as seconds since the epoch: text as `parse_time` reads it, or a datetime.

    None and what cannot be read are None.
    """
    if isinstance(moment, str):
        return parse_time(moment)
    return moment.timestamp() if isinstance(moment, datetime) else None
