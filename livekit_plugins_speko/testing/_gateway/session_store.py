"""The voice sessions that a gateway has made: their credentials, turns and ends."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias
from uuid import uuid4

SessionForm: TypeAlias = Literal["cascade", "proxy", "xai", "google", "openai", "hosted"]
"""The form of a session's credentials: a room, or one of the forms of speech to speech."""


def iso_time(moment: float) -> str:
    """Return a moment of `time.time` in ISO 8601, as the service spells it."""
    text = datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


@dataclass(eq=False)
class GatewaySession:
    """One session of a gateway. Tests read it.

    Attributes:
        id: The session's id.
        form: The form of its credentials.
        settings: The body of the request that made it; empty for a registered one.
        provider: The provider; None for a room.
        model: The model; None for a room.
        expires_at: The end of its credential, in seconds of `time.time`.
        ends_at: The end of its life, in seconds of `time.time`.
        lease_expires_at: The end of the lease, in seconds of `time.time`.
        lease_s: The length of a lease, in seconds.
        renewable: Whether the lease can be renewed.
        ended: True once a client has ended it.
        turns: The reported turns by their index.
        telemetry: The events that were posted for it, in order.
        renewals: How often its lease was renewed.
    """

    id: str
    form: SessionForm
    settings: Mapping[str, Any]
    provider: str | None
    model: str | None
    expires_at: float
    ends_at: float
    lease_expires_at: float
    lease_s: float
    renewable: bool = False
    ended: bool = False
    turns: dict[int, dict[str, Any]] = field(default_factory=dict)
    telemetry: list[dict[str, Any]] = field(default_factory=list)
    renewals: int = 0
    # What the service knows and a log must not show.
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    telemetry_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    attempt_id: str = field(default_factory=lambda: f"attempt_{uuid4().hex[:12]}")

    @property
    def s2s(self) -> Mapping[str, Any]:
        """The part of the request about speech to speech; empty without one."""
        part = self.settings.get("s2s", {})
        return part if isinstance(part, dict) else {}

    @property
    def input_rate_hz(self) -> int:
        """The rate of the caller's audio: xAI's and Gemini's are fixed, in Hz."""
        fixed = {"xai": 24_000, "google": 16_000}
        return fixed.get(self.form) or int(self.s2s.get("inputSampleRate", 24_000))

    @property
    def output_rate_hz(self) -> int:
        """The rate of the agent's audio: xAI's and Gemini's are fixed, in Hz."""
        if self.form in ("xai", "google"):
            return 24_000
        return int(self.s2s.get("outputSampleRate", 24_000))

    def accepts(self, token: str) -> bool:
        """Tell if a token is this session's and has not expired."""
        right = secrets.compare_digest(token.encode(), self.token.encode())
        return right and time.time() < self.expires_at and not self.ended

    def renew(self) -> None:
        """Begin a new lease, with a new credential."""
        self.renewals += 1
        self.token = secrets.token_urlsafe(24)
        self.lease_expires_at = self.expires_at = time.time() + self.lease_s
        self.ends_at = max(self.ends_at, self.lease_expires_at)


class SessionStore:
    """The sessions of one gateway, for the endpoints that are about them."""

    def __init__(self) -> None:
        """Make one without sessions."""
        self._sessions: dict[str, GatewaySession] = {}
        # By idempotency key: the body of the first request, and the response.
        self._minted: dict[str, tuple[bytes, dict[str, Any]]] = {}

    def __iter__(self) -> Iterator[GatewaySession]:
        """Iterate over the sessions in the order of their making."""
        return iter(self._sessions.values())

    def get(self, session_id: str | None) -> GatewaySession | None:
        """Return a session; None if there is none."""
        return self._sessions.get(session_id or "")

    @property
    def last(self) -> GatewaySession | None:
        """The session that was made last; None before the first."""
        return next(reversed(self._sessions.values()), None)

    def add(self, session: GatewaySession) -> GatewaySession:
        """Add a session and return it."""
        self._sessions[session.id] = session
        return session

    def find_token(self, token: str, form: SessionForm) -> GatewaySession | None:
        """Find the session that a token lets in, of the form that belongs to the address."""
        for session in self:
            if session.form == form and session.accepts(token):
                return session
        return None

    def find_telemetry_token(self, token: str) -> GatewaySession | None:
        """Find the session that a token of its telemetry belongs to."""
        for session in self:
            if secrets.compare_digest(token.encode(), session.telemetry_token.encode()):
                return session
        return None

    def remember(self, key: str | None, body: bytes, response: dict[str, Any]) -> None:
        """Keep a response for a repetition of its request."""
        if key is not None:
            self._minted[key] = (body, response)

    def recall(self, key: str | None) -> tuple[bytes, dict[str, Any]] | None:
        """Return the body and the response of the first request with a key."""
        return self._minted.get(key or "")
