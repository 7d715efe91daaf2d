"""The sessions of the service: made for a caller, reported on, read and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..intent import ConstraintsLike, IntentLike, validate_constraints, validate_intent
from .requests import HttpRequest
from .responses import as_object
from .session_messages import (
    EndedSession,
    SessionOptions,
    VoiceSession,
    build_create_session,
    build_json,
    build_report_turns,
    parse_end,
    parse_entries,
    parse_session,
    path_id,
)
from .transport import Transport

__all__ = ["EndedSession", "Sessions", "VoiceSession"]


class Sessions:
    """Calls about sessions. Belongs to a `Speko`, as its ``sessions``."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self._transport = transport

    async def create(
        self,
        *,
        agent_id: str | None = None,
        intent: IntentLike | None = None,
        constraints: ConstraintsLike | None = None,
        voice: str | None = None,
        system_prompt: str | None = None,
        first_message: str | None = None,
        variables: Mapping[str, str] | None = None,
        llm: Mapping[str, Any] | None = None,
        tts_options: Mapping[str, Any] | None = None,
        stt_options: Mapping[str, Any] | None = None,
        background_audio: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl_seconds: int | None = None,
        identity: str | None = None,
    ) -> VoiceSession:
        """Make a session and its room, for a caller to join. Never retried: each call makes one.

        Args:
            agent_id: A hosted agent, whose settings the other arguments override.
            intent: Routing. Required without an `agent_id`.
            constraints: Providers allowed.
            voice: Voice of the provider.
            system_prompt: The agent's instructions.
            first_message: First words of the agent, 2000 characters at most. ``""`` opens the
                session listening.
            variables: Values for the placeholders of the agent's prompt.
            llm: ``temperature``, 0 to 2, and ``max_tokens``.
            tts_options: ``sample_rate`` in Hz, and ``speed``, 0.5 to 2.
            stt_options: ``keywords``, 200 at most, and ``language``.
            background_audio: ``{"ambient": {"clip": ..., "volume": ...}}``.
            metadata: Any JSON object, kept with the session.
            ttl_seconds: Life of the session in seconds, 1 to 86400. Default: the service's, 900.
            identity: The caller's identity in the room, 1 to 128 characters. Default: one is made.

        Raises:
            ValueError: An option that can't be used, or neither an agent nor an intent.
            SpekoApiError: The service failed, or its response can't be read. Among its codes:
                ``AGENT_NOT_FOUND``, ``MISSING_TEMPLATE_VARIABLES``, ``INSUFFICIENT_CREDITS``.
            httpx.HTTPError: The network failed.
        """
        options = SessionOptions(
            agent_id=agent_id,
            intent=None if intent is None else validate_intent(intent),
            constraints=validate_constraints(constraints),
            voice=voice,
            system_prompt=system_prompt,
            first_message=first_message,
            variables=variables,
            llm=llm,
            tts_options=tts_options,
            stt_options=stt_options,
            background_audio=background_audio,
            metadata=metadata,
            ttl_seconds=ttl_seconds,
            identity=identity,
        )
        payload = await self._fetch(build_create_session(options), "the session")
        return parse_session(payload)

    async def report_turns(self, session_id: str, turns: Sequence[Mapping[str, Any]]) -> None:
        """Hand the service turns of a conversation. The same index replaces an earlier turn.

        Args:
            session_id: The session.
            turns: 1 to 200 mappings in the wire's spelling: ``index`` (from 0), ``source``
                (``user``, ``agent`` or ``system``), ``text`` (1 to 16384 characters),
                ``startedAt`` (ISO 8601), and maybe ``endedAt``, ``provider`` and ``model``.

        Raises:
            ValueError: No turn, too many, or one that is no mapping.
            SpekoApiError: The service failed; ``SESSION_NOT_FOUND`` among its codes.
            httpx.HTTPError: The network failed.
        """
        async with self._transport.open(build_report_turns(session_id, turns)):
            pass

    async def transcript(self, session_id: str) -> list[dict[str, Any]]:
        """Return the conversation so far: a list of entries in the wire's spelling.

        Raises:
            ValueError: An id that names no session.
            SpekoApiError: The service failed, or its response can't be read.
            httpx.HTTPError: The network failed.
        """
        path = f"/v1/sessions/{path_id(session_id)}/transcript"
        request = HttpRequest(method="GET", path=path)
        return parse_entries(await self._fetch(request, "the transcript"))

    async def end(self, session_id: str) -> EndedSession:
        """End a live session: its room is closed, and every caller in it hung up on.

        Raises:
            ValueError: An id that names no session.
            SpekoApiError: The service failed, or its response can't be read.
            httpx.HTTPError: The network failed.
        """
        request = build_json(f"/v1/calls/{path_id(session_id)}/end", {})
        return parse_end(await self._fetch(request, "the end of the session"))

    async def _fetch(self, request: HttpRequest, what: str) -> dict[str, object]:
        """Send a request and read the JSON object of its response."""
        async with self._transport.open(request) as response:
            return as_object(await response.json(), what)
