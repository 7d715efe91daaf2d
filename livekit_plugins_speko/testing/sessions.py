"""Scripted answers about voice sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from ._gateway.session_store import SessionForm
from ._gateway.writer import AnswerWriter
from .answers import Answer


@dataclass(frozen=True)
class JsonAnswer(Answer):
    """A JSON response, for any route that has one.

    Attributes:
        data: The value to send as JSON; None sends no body.
        status: The HTTP status.
    """

    serves: ClassVar[frozenset[str] | None] = None

    data: Any = None
    _: KW_ONLY
    status: int = 200

    async def write(self, writer: AnswerWriter) -> None:
        """Send the response."""
        if self.data is None:
            await writer.start(self.status, {"Content-Length": "0"})
        else:
            await writer.json(self.status, self.data)


@dataclass(frozen=True)
class MintedSession(Answer):
    """A new session and its credentials, for `sessions`.

    The tokens are made anew for each session, and let in at the gateway's own sockets alone.
    Without a script the gateway answers each valid request with `MintedSession()`.

    Attributes:
        form: The form of the credentials. None: a room in `mode` cascade; in `mode` s2s that of
            the provider for xai and google, else the proxy's.
        ttl_s: The session's life, in seconds. None: the request's `ttlSeconds`, or else the
            service's default, 900 for a room and 1800 for speech to speech.
        token_ttl_s: The time in which a client may connect, in seconds. None: the session's life.
        lease_s: The length of the lease of xai and google, in seconds. None: the session's life.
        changes: Fields of the response to replace, for services of another age; None removes one.
        lost: True if the session is made, but the connection is cut in place of a response.
    """

    serves: ClassVar[frozenset[str] | None] = frozenset({"sessions"})

    form: SessionForm | None = None
    _: KW_ONLY
    ttl_s: float | None = None
    token_ttl_s: float | None = None
    lease_s: float | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    lost: bool = False

    async def write(self, writer: AnswerWriter) -> None:
        """Refuse: the route makes the session and sends its response."""
        raise RuntimeError("MintedSession: only the route sessions of a gateway can send it.")


@dataclass(frozen=True)
class LostAnswer(Answer):
    """A connection that is cut in place of a response, for any route."""

    serves: ClassVar[frozenset[str] | None] = None

    async def write(self, writer: AnswerWriter) -> None:
        """Cut the connection."""
        writer.abort()
