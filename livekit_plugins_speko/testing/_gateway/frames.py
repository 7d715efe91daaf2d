"""The frames that a WebSocket client sent, as the checks of its route have read them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias

FrameKind: TypeAlias = Literal[
    "audio", "flush", "end", "commit", "interrupt", "tool_result", "text", "instructions"
]
"""The meaning of a frame, whatever the wire calls it."""


@dataclass(frozen=True)
class ReceivedFrame:
    """One frame of a client, after the frames that open the connection.

    Attributes:
        kind: The meaning: `audio`; `flush` and `end` of a recognition; `commit`, `interrupt`,
            `tool_result`, `text` (typed by the caller) and `instructions` (a reply requested by
            the agent) of speech to speech.
        at: The time of its arrival, in seconds of `time.perf_counter`.
        offset: The audio received before it on this connection, in bytes.
        pcm: The samples of `audio`: int16, little-endian, mono. Empty for other kinds.
        text: The output of a tool, the typed text or the instructions. Empty for other kinds.
        call_id: The call that a `tool_result` is for; None for other kinds.
    """

    kind: FrameKind
    _: KW_ONLY
    at: float
    offset: int
    pcm: bytes = b""
    text: str = ""
    call_id: str | None = None
