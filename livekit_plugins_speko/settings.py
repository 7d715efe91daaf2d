"""The settings of one session: out of a job's metadata, completed by a hosted agent."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ._checks import (
    check_range,
    check_rate,
    check_session_id,
    check_text,
    check_whole,
    check_words,
    text_or_none,
)
from .api.agents import AgentProfile
from .api.limits import MAX_KEYWORDS, MAX_PROMPT_CHARS
from .api.options import SPEEDS, TEMPERATURES
from .audio.pcm import SAMPLE_RATES_HZ
from .intent import (
    INTENT_KEYS,
    Intent,
    IntentLike,
    PipelineConstraints,
    validate_constraints,
    validate_intent,
)
from .log import logger

# Each key in the service's spelling and in Python's, with the name of its setting.
_KEYS = {
    "sessionId": "session_id",
    "intent": "intent",
    "constraints": "constraints",
    "voice": "voice",
    "systemPrompt": "system_prompt",
    "firstMessage": "first_message",
    "agentId": "agent_id",
}
_SETTINGS = {**_KEYS, **{name: name for name in _KEYS.values()}}

# Options of a hosted agent: the wire's spelling, and the one of `create_speko_components`.
_LLM_OPTIONS = {"temperature": "temperature", "maxTokens": "max_tokens"}
_TTS_OPTIONS = {"sampleRate": "sample_rate", "speed": "speed"}
_STT_OPTIONS = {"keywords": "keywords", "prompt": "prompt", "language": "language"}

# The checks of these, each of which raises ValueError. A hosted agent's bad option is left out.
_CHECKS: dict[str, Callable[[Any], None]] = {
    "temperature": lambda value: check_range("temperature", value, *TEMPERATURES),
    "max_tokens": lambda value: check_whole("max_tokens", value),
    "sample_rate": lambda value: check_rate("sample_rate", value, SAMPLE_RATES_HZ),
    "speed": lambda value: check_range("speed", value, *SPEEDS),
    "keywords": lambda value: check_words("keywords", value, most=MAX_KEYWORDS),
    "prompt": lambda value: check_text("prompt", value),
    "language": lambda value: check_text("language", value),
}


class AskedFor(Protocol):
    """The overrides of a page, as `SpekoDataChannel.overrides` returns them."""

    @property
    def prompt(self) -> str | None:
        """Instructions in place of the agent's."""

    @property
    def first_message(self) -> str | None:
        """First words in place of the agent's."""

    @property
    def language(self) -> str | None:
        """BCP-47 tag in place of the intent's."""

    @property
    def voice(self) -> str | None:
        """Voice of the provider."""

    @property
    def speed(self) -> float | None:
        """Factor of the voice's own speed."""


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """The settings of one session. None is a setting that was not given.

    Attributes:
        session_id: Session to book the calls to, and to report turns of.
        intent: Routing.
        constraints: Providers allowed.
        voice: Voice of the provider.
        system_prompt: The agent's instructions.
        first_message: The agent's first words. ``""`` means that the caller speaks first.
        agent_id: Hosted agent whose settings and tools take part.
        llm: Options of the model that a hosted agent has.
        tts_options: Options of speech that a hosted agent has.
        stt_options: Options of recognition that a hosted agent has.
    """

    session_id: str | None = None
    intent: Intent | None = None
    constraints: PipelineConstraints | None = None
    voice: str | None = None
    system_prompt: str | None = None
    first_message: str | None = None
    agent_id: str | None = None
    llm: Mapping[str, Any] | None = None
    tts_options: Mapping[str, Any] | None = None
    stt_options: Mapping[str, Any] | None = None

    @classmethod
    def from_metadata(
        cls, metadata: str | None, *, intent: IntentLike | None = None
    ) -> SessionSettings:
        """Read a job's metadata, in Speko's spelling (camelCase) or in Python's.

        Args:
            metadata: JSON, ``ctx.job.metadata``. Blank means the defaults. Keys that are not known
                are ignored with a line in the log, since the service may add some.
            intent: The intent of sessions that have none.

        Raises:
            ValueError: It is no JSON object, or a value can't be used. The text names the key, what
                was found and what was expected.
        """
        given: dict[str, Any] = {} if intent is None else {"intent": validate_intent(intent)}
        if metadata is None or not metadata.strip():
            return cls(**given)
        return cls(**{**given, **_read(_parse(metadata))})

    def with_agent(self, profile: AgentProfile | Mapping[str, Any]) -> SessionSettings:
        """Fill what is missing from a hosted agent.

        Args:
            profile: What ``Speko.agents.get`` returned, or a mapping in the wire's spelling. What
                can't be used of it is left out with a line in the log.

        Returns:
            New settings. What these have already stays.
        """
        fields = profile.fields if isinstance(profile, AgentProfile) else profile
        agent_id = profile.id if isinstance(profile, AgentProfile) else fields.get("id")
        filled: dict[str, Any] = {
            "agent_id": agent_id if isinstance(agent_id, str) else None,
            "system_prompt": _text_of(fields, "systemPrompt"),
            "first_message": _text_of(fields, "firstMessage", blank=True),
            "voice": _text_of(fields, "voice"),
            "intent": _intent_of(fields.get("intent")),
            "llm": _options_of(fields, "llmOptions", _LLM_OPTIONS),
            "tts_options": _options_of(fields, "ttsOptions", _TTS_OPTIONS),
            "stt_options": _options_of(fields, "sttOptions", _STT_OPTIONS),
        }
        missing = {
            name: value
            for name, value in filled.items()
            if value is not None and getattr(self, name) is None
        }
        return replace(self, **missing)

    def with_overrides(self, asked: AskedFor) -> SessionSettings:
        """Replace what a page asked for, before the session starts.

        Args:
            asked: What ``SpekoDataChannel.overrides`` returned. What is None stays as it is, and so
                does the language where these settings have no intent.
        """
        changed: dict[str, Any] = {
            "system_prompt": asked.prompt,
            "first_message": asked.first_message,
            "voice": asked.voice,
        }
        if asked.language is not None and self.intent is not None:
            changed["intent"] = replace(self.intent, language=asked.language)
        if asked.speed is not None:
            changed["tts_options"] = {**(self.tts_options or {}), "speed": asked.speed}
        return replace(self, **{name: each for name, each in changed.items() if each is not None})

    def for_components(
        self,
        *,
        llm: Mapping[str, Any] | None = None,
        tts_options: Mapping[str, Any] | None = None,
        stt_options: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the arguments for `create_speko_components`, those that are set.

        Args:
            llm: Options of your own, which win over a hosted agent's, and likewise the others.
            tts_options: As for `create_speko_components`.
            stt_options: As for `create_speko_components`.

        Raises:
            ValueError: There is no intent.
        """
        if self.intent is None:
            raise ValueError(
                "SessionSettings: intent is missing, expected one in the job's metadata. Give a "
                'default: SessionSettings.from_metadata(text, intent={"language": "en"}).'
            )
        arguments: dict[str, Any] = {
            "intent": self.intent,
            "constraints": self.constraints,
            "voice": self.voice,
            "session_id": self.session_id,
            "agent_id": self.agent_id,
            "llm": {**(self.llm or {}), **(llm or {})} or None,
            "tts_options": {**(self.tts_options or {}), **(tts_options or {})} or None,
            "stt_options": {**(self.stt_options or {}), **(stt_options or {})} or None,
        }
        return {name: value for name, value in arguments.items() if value is not None}


def _parse(metadata: str) -> dict[str, Any]:
    try:
        found = json.loads(metadata)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
    else:
        if isinstance(found, dict):
            return found
        reason = f"got a {type(found).__name__}"
    # Outside of the handler: json's own error holds the whole text, prompt included.
    raise ValueError(f"SessionSettings: the job's metadata must be a JSON object: {reason}.")


def _read(found: Mapping[str, Any]) -> dict[str, Any]:
    """Check the settings in a JSON object; those that are null count as left out."""
    settings: dict[str, Any] = {}
    for key, value in found.items():
        name = _SETTINGS.get(key)
        if name is None:
            _log_unknown(key)
        elif value is not None:
            if name in settings:
                raise ValueError(
                    f'SessionSettings: the job\'s metadata has "{name}" in both spellings. '
                    "Keep one of them."
                )
            settings[name] = _setting(key, name, value)
    return settings


def _setting(key: str, name: str, value: object) -> object:
    if name in ("intent", "constraints"):
        if not isinstance(value, Mapping):
            raise _wrong(key, "an object", value)
        try:
            if name == "intent":
                return validate_intent(dict(_known_pairs(key, value)))
            # A key that is left out would allow more than was meant.
            return validate_constraints(value)
        except ValueError as error:
            raise ValueError(f'SessionSettings: "{key}" can\'t be used: {error}') from None
    if not isinstance(value, str):
        raise _wrong(key, "a string", value)
    if name == "session_id":
        check_session_id(f'SessionSettings: "{key}"', value)
    # An empty first message means something: the caller speaks first.
    return value if name == "first_message" else text_or_none(key, value)


def _known_pairs(name: str, intent: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is known of an intent: the service may add keys to it too."""
    for key, value in intent.items():
        if key in INTENT_KEYS:
            yield key, value
        else:
            _log_unknown(f"{name}.{key}")


def _log_unknown(key: str) -> None:
    logger.info("a key of the job's metadata is not known", extra={"key": key[:100]})


def _wrong(key: str, expected: str, value: object) -> ValueError:
    return ValueError(f'SessionSettings: "{key}" must be {expected}, got {reprlib.repr(value)}.')


def _text_of(fields: Mapping[str, Any], name: str, *, blank: bool = False) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and (blank or value.strip()) else None


def _intent_of(found: object) -> Intent | None:
    """Return a hosted agent's intent, as far as this version knows its fields and their values."""
    if not isinstance(found, Mapping):
        return None
    known = {"language": found.get("language")}
    unusable = []
    for key in ("region", "optimizeFor"):
        try:  # alone: a goal that only hosted agents have, such as "quality", costs no region
            validate_intent({"language": "en", key: found.get(key)})
        except ValueError:
            unusable.append(key)
        else:
            known[key] = found.get(key)
    try:
        intent = validate_intent(known)
    except ValueError:
        intent, unusable = None, ["language", *unusable]
    if unusable:
        logger.warning(
            "a part of the hosted agent's intent can't be used and is left out",
            extra={"parts": unusable},
        )
    return intent


def _options_of(
    fields: Mapping[str, Any], name: str, known: Mapping[str, str]
) -> dict[str, Any] | None:
    found = fields.get(name)
    if not isinstance(found, Mapping):
        return None
    options: dict[str, Any] = {}
    for wire, option in known.items():
        value = found.get(wire)
        if value is None:
            continue
        try:
            _CHECKS[option](value)
        except ValueError:
            logger.warning(
                "an option of the hosted agent can't be used and is left out",
                extra={"option": f"{name}.{wire}"},
            )
        else:
            options[option] = value[:MAX_PROMPT_CHARS] if option == "prompt" else value
    return options or None
