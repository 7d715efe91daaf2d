"""Sessions on the wire: their options, what a response to one means, and turns. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .._checks import check_length, check_range, check_text, check_whole, check_words, text_or_none
from ..intent import Intent, PipelineConstraints
from .limits import MAX_KEYWORDS
from .options import SPEEDS, TEMPERATURES
from .requests import HttpRequest, build_constraints, build_intent
from .responses import as_object, malformed

MAX_FIRST_MESSAGE_CHARS = 2_000
"""Longest first message that the service takes."""

MAX_TTL_S = 86_400
"""Longest life of a session, in seconds."""

MAX_IDENTITY_CHARS = 128
"""Longest identity of a caller."""

MAX_TURNS = 200
"""Most turns that the service takes in one request."""

# Keys of the three mappings, in both spellings.
_LLM_KEYS = {"temperature": "temperature", "max_tokens": "maxTokens"}
_TTS_KEYS = {"sample_rate": "sampleRate", "speed": "speed"}
_STT_KEYS = {"keywords": "keywords", "language": "language"}


@dataclass(frozen=True, kw_only=True)
class VoiceSession:
    """A session that was made, with what its caller needs to join the room.

    Attributes:
        session_id: Id of the session.
        transport: Kind of room: ``livekit``, or ``daily``, which LiveKit's clients cannot join.
        transport_url: Address of the room's server.
        transport_token: The caller's token for the room. It is a secret: repr hides it.
        room_name: Name of the room; empty where the service did not say.
        identity: The caller's identity in the room; empty where the service did not say.
        expires_at: Time at which the token expires, ISO 8601; empty where the service did not say.
    """

    session_id: str
    transport: str
    transport_url: str
    transport_token: str = field(repr=False)
    room_name: str
    identity: str
    expires_at: str

    def for_browser(self) -> dict[str, str]:
        """Return what the caller's page needs, and may have, as Speko's client spells it."""
        return {
            "transportToken": self.transport_token,
            "transportUrl": self.transport_url,
            "transport": self.transport,
        }


@dataclass(frozen=True, kw_only=True)
class EndedSession:
    """The end of a session, as the service reports it.

    Attributes:
        status: ``ending``, or ``already_ended``.
        ended_at: Time of the end, ISO 8601. None while it is ending.
    """

    status: str
    ended_at: str | None


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """The options of a new session, checked. None leaves one to the service, or to the agent.

    The attributes are those of `Sessions.create`.
    """

    agent_id: str | None = None
    intent: Intent | None = None
    constraints: PipelineConstraints | None = None
    voice: str | None = None
    system_prompt: str | None = None
    first_message: str | None = None
    variables: Mapping[str, str] | None = None
    llm: Mapping[str, Any] | None = None
    tts_options: Mapping[str, Any] | None = None
    stt_options: Mapping[str, Any] | None = None
    background_audio: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    ttl_seconds: int | None = None
    identity: str | None = None

    def __post_init__(self) -> None:
        for name in ("agent_id", "voice"):
            object.__setattr__(self, name, text_or_none(f"Speko: {name}", getattr(self, name)))
        if self.agent_id is None and self.intent is None:
            raise ValueError("Speko: a session needs an agent_id or an intent, got neither.")
        for name in ("system_prompt", "first_message", "identity"):
            check_text(f"Speko: {name}", getattr(self, name))
        check_length("Speko: first_message", self.first_message, most=MAX_FIRST_MESSAGE_CHARS)
        check_whole("Speko: ttl_seconds", self.ttl_seconds, most=MAX_TTL_S)
        check_length("Speko: identity", self.identity, most=MAX_IDENTITY_CHARS)
        if self.identity is not None and not self.identity.strip():
            raise ValueError("Speko: identity must not be blank. Leave it out to get one made.")
        for name in ("variables", "background_audio", "metadata"):
            _check_mapping(name, getattr(self, name))
        for key, value in (self.variables or {}).items():
            check_text(f'Speko: variables["{key}"]', value)
            if value is None:
                raise ValueError(f'Speko: variables["{key}"] must be a string, got None.')


def build_create_session(options: SessionOptions) -> HttpRequest:
    """Build ``POST /v1/sessions`` for a session of the pipeline.

    Raises:
        ValueError: A key of `llm`, `tts_options` or `stt_options` that does not exist, or a value
            that the service refuses.
    """
    body = {
        "mode": "cascade",
        "agentId": options.agent_id,
        "intent": None if options.intent is None else build_intent(options.intent),
        "constraints": build_constraints(options.constraints),
        "voice": options.voice,
        "systemPrompt": options.system_prompt,
        "firstMessage": options.first_message,
        "variables": None if options.variables is None else dict(options.variables),
        "llm": _build_llm(options.llm),
        "ttsOptions": _build_tts(options.tts_options),
        "sttOptions": _build_stt(options.stt_options),
        "backgroundAudio": options.background_audio,
        "metadata": options.metadata,
        "ttlSeconds": options.ttl_seconds,
        "identity": options.identity,
    }
    said = (
        options.system_prompt or "",
        options.first_message or "",
        *(options.variables or {}).values(),
    )
    return build_json("/v1/sessions", body, said)


def build_report_turns(session_id: str, turns: Sequence[Mapping[str, Any]]) -> HttpRequest:
    """Build ``POST /v1/sessions/{id}/turns``.

    Raises:
        ValueError: No turn, more than 200, or one that is no mapping.
    """
    if isinstance(turns, str | Mapping) or not all(isinstance(turn, Mapping) for turn in turns):
        raise ValueError(f"Speko: turns must be a list of mappings, got {type(turns).__name__}.")
    if not 1 <= len(turns) <= MAX_TURNS:
        raise ValueError(f"Speko: turns must be 1 to {MAX_TURNS} mappings, got {len(turns)}.")
    said = tuple(text for turn in turns if isinstance(text := turn.get("text"), str))
    body = {"turns": [dict(turn) for turn in turns]}
    return build_json(f"/v1/sessions/{path_id(session_id)}/turns", body, said)


def build_json(path: str, body: Mapping[str, Any], said: tuple[str, ...] = ()) -> HttpRequest:
    """Build a POST of JSON, without the fields that are None.

    Raises:
        ValueError: A value that is no JSON.
    """
    given = {key: value for key, value in body.items() if value is not None}
    try:
        content = json.dumps(given, separators=(",", ":"), allow_nan=False, default=_plain)
    except TypeError as error:
        raise ValueError(f"Speko: the options must be JSON: {error}") from None
    headers = {"Content-Type": "application/json"}
    return HttpRequest(
        method="POST", path=path, headers=headers, content=content.encode(), said=said
    )


def path_id(value: str) -> str:
    """Return an id as one segment of a URL's path.

    Raises:
        ValueError: It is no string, or blank.
    """
    if not isinstance(value, str) or not value.strip().strip("."):
        raise ValueError(f"Speko: session_id must be the id of a session, got {value!r}.")
    return quote(value.strip(), safe="")


def parse_session(payload: Mapping[str, object]) -> VoiceSession:
    """Parse the response to a new session; an older service's names will do.

    Raises:
        SpekoApiError: It lacks its id, its address or its token.
    """
    session_id = _text_of(payload, "sessionId")
    url = _text_of(payload, "transportUrl", "livekitUrl")
    token = _text_of(payload, "transportToken", "conversationToken")
    if not (session_id and url and token):
        lacks = "sessionId" if not session_id else "transportUrl" if not url else "transportToken"
        raise malformed(f"the session has no {lacks}")
    return VoiceSession(
        session_id=session_id,
        transport=_text_of(payload, "transport") or "livekit",
        transport_url=url,
        transport_token=token,
        room_name=_text_of(payload, "roomName"),
        identity=_text_of(payload, "identity"),
        expires_at=_text_of(payload, "expiresAt"),
    )


def parse_entries(payload: Mapping[str, object]) -> list[dict[str, Any]]:
    """Parse a transcript: its entries as the wire spells them.

    Raises:
        SpekoApiError: It has no list of objects.
    """
    entries = payload.get("entries")
    if not isinstance(entries, list):
        raise malformed("the transcript has no list of entries")
    return [as_object(entry, "an entry of the transcript") for entry in entries]


def parse_end(payload: Mapping[str, object]) -> EndedSession:
    """Parse the response to a session's end."""
    return EndedSession(
        status=_text_of(payload, "status") or "ending",
        ended_at=_text_of(payload, "ended_at", "endedAt") or None,
    )


def _build_llm(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    wire = _spelled("llm", options, _LLM_KEYS)
    if wire is not None:
        check_range('Speko: llm["temperature"]', wire.get("temperature"), *TEMPERATURES)
        check_whole('Speko: llm["max_tokens"]', wire.get("maxTokens"))
    return wire


def _build_tts(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    wire = _spelled("tts_options", options, _TTS_KEYS)
    if wire is not None:
        check_whole('Speko: tts_options["sample_rate"]', wire.get("sampleRate"))
        check_range('Speko: tts_options["speed"]', wire.get("speed"), *SPEEDS)
    return wire


def _build_stt(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    wire = _spelled("stt_options", options, _STT_KEYS)
    if wire is not None:
        check_words('Speko: stt_options["keywords"]', wire.get("keywords"), most=MAX_KEYWORDS)
        check_text('Speko: stt_options["language"]', wire.get("language"))
    return wire


def _spelled(
    name: str, options: Mapping[str, Any] | None, keys: Mapping[str, str]
) -> dict[str, Any] | None:
    """Spell a mapping as the service does, without what is None; None for None."""
    _check_mapping(name, options)
    if options is None:
        return None
    return dict(_pairs(name, options, keys))


def _pairs(
    name: str, options: Mapping[str, Any], keys: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        wire = keys.get(key, key if key in keys.values() else None)
        if wire is None:
            raise ValueError(
                f'Speko: unknown option "{key}" in {name}. Expected: {", ".join(keys)}.'
            )
        if value is not None:
            yield wire, list(value) if isinstance(value, tuple) else value


def _check_mapping(name: str, value: object) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"Speko: {name} must be a mapping, got {type(value).__name__}.")


def _plain(value: object) -> object:
    """Let any mapping be written as JSON."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is none")


def _text_of(payload: Mapping[str, object], *names: str) -> str:
    """Return the first of these fields that is a text and not blank, else an empty text."""
    for name in names:
        value = payload.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return ""
