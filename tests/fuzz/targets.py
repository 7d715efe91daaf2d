"""The parsers that take bytes from outside, by name: a check of each, and examples to begin with.

A check raises for what no bytes may do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fuzz import (
    content_type,
    credentials,
    metadata,
    packets,
    payloads,
    realtime_frames,
    stt_frames,
    tool_rows,
)


@dataclass(frozen=True)
class Target:
    """A check, and bytes to begin with.

    Attributes:
        check: Takes any bytes.
        examples: Texts that it knows.
    """

    check: Callable[[bytes], None]
    examples: Sequence[str] = ()


def _as_events(data: bytes) -> None:
    """Check an event whose name is one byte."""
    name = payloads.EVENTS[data[0] % len(payloads.EVENTS)] if data else "delta"
    payloads.check(name, data[1:])


TARGETS = {
    "stt_frames": Target(stt_frames.check, stt_frames.EXAMPLES),
    "realtime_frames": Target(realtime_frames.check, realtime_frames.EXAMPLES),
    "credentials": Target(credentials.check, credentials.EXAMPLES),
    "metadata": Target(metadata.check, metadata.EXAMPLES),
    "packets": Target(packets.check, packets.EXAMPLES),
    "tool_rows": Target(tool_rows.check, ('{"name": "f", "source": {"kind": "inline"}}',)),
    "content_type": Target(content_type.check, ('audio/pcm;rate="16000"\nabcd',)),
    "events": Target(_as_events, ('a{"text": "Hi.", "usage": {"promptTokens": 1}}',)),
}
NEW_WIRES = ("stt_frames", "realtime_frames", "credentials", "metadata", "packets")
"""Targets of JSON frames, which hypothesis makes of the words in their examples."""
