"""The packets between a page with Speko's client and an agent, as typed values. No I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

from ..api.options import SPEEDS

MAX_PACKET_BYTES = 15 * 1024
"""Largest packet read or sent, in bytes: what WebRTC carries reliably in one piece."""

TOPICS = (None, "", "speko.control")
"""Topics of packets for an agent: none, or the one that some variants of the client use."""


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """The settings that a page asked for, and that its author allows. None is one not asked for.

    Attributes:
        prompt: Instructions in place of the agent's.
        first_message: First words in place of the agent's. ``""`` means that the caller speaks
            first.
        language: BCP-47 tag in place of the intent's.
        voice: Voice of the provider.
        speed: Factor of the voice's own speed, 0.5 to 2.
    """

    prompt: str | None = None
    first_message: str | None = None
    language: str | None = None
    voice: str | None = None
    speed: float | None = None

    def given(self) -> dict[str, str | float]:
        """Return those that were asked for."""
        values = {name: getattr(self, name) for name in OVERRIDES}
        return {name: value for name, value in values.items() if value is not None}

    def only(self, allowed: Collection[str]) -> Overrides:
        """Return a copy without the fields that are not `allowed`."""
        return Overrides(**{k: v for k, v in self.given().items() if k in allowed})  # type: ignore[arg-type]

    def updated(self, later: Overrides) -> Overrides:
        """Return a copy in which what was asked for later wins."""
        return replace(self, **later.given())  # type: ignore[arg-type]


OVERRIDES = tuple(each.name for each in fields(Overrides))
"""The settings that a page may ask for."""


@dataclass(frozen=True)
class OverridesPacket:
    """A page's wishes for the settings of its session.

    Attributes:
        overrides: Those whose values can be used.
        unusable: Names of the settings whose values can't.
    """

    overrides: Overrides
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True)
class UserMessage:
    """Words that the caller typed: a turn.

    Attributes:
        text: The words; not blank.
    """

    text: str


@dataclass(frozen=True)
class ContextualUpdate:
    """Context for the next reply, which starts none.

    Attributes:
        text: The context; not blank.
    """

    text: str


Packet: TypeAlias = OverridesPacket | UserMessage | ContextualUpdate


def parse_packet(data: bytes) -> Packet | None:
    """Parse a packet of a page; None for one that is for others, too large or malformed."""
    if len(data) > MAX_PACKET_BYTES:
        return None
    try:
        payload = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict):
        return None
    kind = payload.get("type")
    if kind == "overrides":
        return _parse_overrides(payload.get("overrides"))
    if kind not in ("user_message", "contextual_update"):
        return None
    text = _text(payload.get("text"))
    if text is None or not text.strip():
        return None
    return UserMessage(text) if kind == "user_message" else ContextualUpdate(text)


def _parse_overrides(found: object) -> OverridesPacket | None:
    if not isinstance(found, Mapping):
        return None
    agent, tts = found.get("agent"), found.get("tts")
    agent = agent if isinstance(agent, Mapping) else {}
    tts = tts if isinstance(tts, Mapping) else {}
    asked = {
        "prompt": agent.get("prompt"),
        "first_message": agent.get("firstMessage"),
        "language": agent.get("language"),
        "voice": tts.get("voiceId"),
        "speed": tts.get("speed"),
    }
    usable = {name: _override(name, value) for name, value in asked.items()}
    return OverridesPacket(
        Overrides(**usable),  # type: ignore[arg-type]
        tuple(name for name, value in asked.items() if value is not None and usable[name] is None),
    )


def _override(name: str, value: object) -> str | float | None:
    """Return the value if it has its setting's type and range, else None."""
    if name == "speed":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if number and _in_range(value) else None  # type: ignore[arg-type]
    text = _text(value)
    if text is None or (name != "first_message" and not text.strip()):
        return None
    return text


def _in_range(value: float) -> bool:
    slowest, fastest = SPEEDS
    return slowest <= value <= fastest and math.isfinite(value)


def _text(value: object) -> str | None:
    """Replace lone surrogates in a text: JSON can spell them, UTF-8 can't."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def build_echo(text: str) -> bytes:
    """Build the echo of a `UserMessage`, for the page's transcript."""
    return _build({"type": "user_message_echo"}, text)


def build_transcript(source: Literal["user", "agent"], text: str, *, final: bool) -> bytes:
    """Build a line of the transcript."""
    return _build({"type": "transcript", "source": source, "isFinal": final}, text)


def build_agent_message(text: str, *, final: bool) -> bytes:
    """Build the agent's words so far; `final` closes them."""
    return _build({"type": "agent_message", "isFinal": final}, text)


def _build(packet: Mapping[str, object], text: str) -> bytes:
    """Write a packet; the end of a text that does not fit is left out."""
    text = text[:MAX_PACKET_BYTES].encode("utf-8", "replace").decode()
    while len(data := _json({**packet, "text": text})) > MAX_PACKET_BYTES:
        over = len(data) - MAX_PACKET_BYTES
        # A letter takes six bytes at most, so this never cuts more than is needed.
        text = text[: -max(1, over // 6)]
    return data


def _json(packet: Mapping[str, object]) -> bytes:
    return json.dumps(packet, separators=(",", ":"), ensure_ascii=False).encode()
