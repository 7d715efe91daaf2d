"""The options of each call, declared once and checked where they are made. No I/O.

`Speko`'s methods take them as keywords; the adapters keep them, and hand them over with `request`.
``dataclasses.replace`` checks the copy that it makes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from .._checks import (
    check_length,
    check_one_of,
    check_range,
    check_session_id,
    check_whole,
    check_words,
    text_or_none,
)
from ..intent import Intent, PipelineConstraints, validate_constraints, validate_intent
from ..log import logger
from .limits import MAX_KEYWORDS, MAX_PROMPT_CHARS, MAX_STT_OPTIONS_BYTES
from .types import ChatTool

ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
"""Amount of thought before a reply, as the service spells it."""

TEMPERATURES = (0.0, 2.0)
"""Lowest and highest temperature that the service takes."""

SPEEDS = (0.5, 2.0)
"""Slowest and fastest speech that the service takes, as factors of the voice's own speed."""

MAX_TOOL_HOPS = 16
"""Most rounds of tools inside the service before a reply."""


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """The options that every call has. A subclass sets `owner`, the class named in errors.

    Attributes:
        intent: The routing.
        constraints: Providers allowed.
        session_id: Session to book the call to. A blank one counts as none.
    """

    owner: ClassVar[str] = "Speko"

    intent: Intent
    constraints: PipelineConstraints | None = None
    session_id: str | None = None

    def __post_init__(self) -> None:
        self._set("intent", validate_intent(self.intent))
        self._set("constraints", validate_constraints(self.constraints))
        check_session_id(f"{self.owner}: session_id", self.session_id)
        self._drop_blank("session_id")

    def _set(self, name: str, value: object) -> None:
        """Set a field of this frozen object while it is made."""
        object.__setattr__(self, name, value)

    def _drop_blank(self, *names: str) -> None:
        """Set to None each of these texts that is blank."""
        for name in names:
            self._set(name, text_or_none(f"{self.owner}: {name}", getattr(self, name)))

    def request(self) -> dict[str, Any]:
        """Return the options that are set, as keyword arguments of the client's method."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


class _Spoken(CallOptions):
    """Options of a method that takes the intent as three keywords."""

    def request(self) -> dict[str, Any]:
        """Return the options that are set, as keyword arguments of the client's method."""
        request = super().request()
        intent = request.pop("intent")
        parts = {"region": intent.region, "optimize_for": intent.optimize_for}
        given = {name: value for name, value in parts.items() if value is not None}
        return {"language": intent.language, **given, **request}


@dataclass(frozen=True, kw_only=True)
class TranscribeOptions(_Spoken):
    """The options of a transcription.

    Attributes:
        content_type: Type of the audio file.
        keywords: Words to listen for, 200 at most; case is kept.
        stt_language: Language for the provider alone, where it differs from the one to route by. A
            blank one counts as none.
        prompt: Context for the provider, 2000 characters at most. A blank one counts as none.
    """

    content_type: str = "audio/wav"
    keywords: Sequence[str] | None = None
    stt_language: str | None = None
    prompt: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words(f"{self.owner}: keywords", self.keywords, most=MAX_KEYWORDS)
        self._set("keywords", tuple(self.keywords or ()) or None)
        self._drop_blank("stt_language", "prompt")
        check_length(f"{self.owner}: prompt", self.prompt, most=MAX_PROMPT_CHARS)

    def request(self) -> dict[str, Any]:
        """Return the options that are set and fit, as keyword arguments of ``transcribe``."""
        fitted = self.fitted()
        return super().request() if fitted is self else fitted.request()

    def fitted(self) -> TranscribeOptions:
        """Cut keywords and prompt to what servers take in a header; the log says by how much."""
        language, prompt, keywords = self.stt_language, self.prompt, self.keywords
        if prompt is not None:
            prompt = fit_prompt(prompt, language=language)
        if keywords is not None:
            keywords = fit_keywords(keywords, language=language, prompt=prompt)
        if prompt == self.prompt and keywords == self.keywords:
            return self
        return replace(self, prompt=prompt, keywords=keywords)


@dataclass(frozen=True, kw_only=True)
class CompleteOptions(CallOptions):
    """The options of a completion, besides its messages.

    Attributes:
        system_prompt: An instruction before the messages.
        temperature: The model's, 0 to 2. None leaves it to the model.
        max_tokens: Longest reply, in tokens. None leaves it to the model.
        reasoning_effort: Amount of thought before the reply. None leaves it to the service.
        voice_optimized: Let the service write for the ear. None leaves it to the service.
        tools: Tools that the model may call; mappings are in the wire's spelling.
        tool_choice: ``auto``, ``none``, ``required``, or a function by name.
        parallel_tool_calls: Allow several tool calls in one reply.
        max_tool_hops: Most rounds of tools inside the service before the reply, 1 to 16.
    """

    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: ReasoningEffort | None = None
    voice_optimized: bool | None = None
    tools: Sequence[ChatTool | Mapping[str, Any]] | None = None
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_hops: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(f"{self.owner}: temperature", self.temperature, *TEMPERATURES)
        check_whole(f"{self.owner}: max_tokens", self.max_tokens)
        efforts = get_args(ReasoningEffort)
        check_one_of(f"{self.owner}: reasoning_effort", self.reasoning_effort, efforts)
        check_whole(f"{self.owner}: max_tool_hops", self.max_tool_hops, most=MAX_TOOL_HOPS)


@dataclass(frozen=True, kw_only=True)
class SynthesizeOptions(_Spoken):
    """The options of a synthesis, besides its text. Blank texts count as none given.

    Attributes:
        voice: Voice of the provider. None leaves it to the service.
        model: Model of the provider. None leaves it to the service.
        speed: Factor of the voice's own speed, 0.5 to 2.
        instructions: Manner of speaking, for providers that take such.
        spoken_form: Turn numbers and markdown into spoken words first.
    """

    voice: str | None = None
    model: str | None = None
    speed: float | None = None
    instructions: str | None = None
    spoken_form: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._drop_blank("voice", "model", "instructions")
        check_range(f"{self.owner}: speed", self.speed, *SPEEDS)


def fit_prompt(prompt: str, *, language: str | None = None) -> str:
    """Cut the end off a prompt that a header can't hold; a letter outside ASCII takes 6 bytes.

    Args:
        prompt: The prompt.
        language: The ``language`` in the same header.

    Returns:
        The prompt, or its start up to a space, with a warning in the log.
    """
    room = MAX_STT_OPTIONS_BYTES - _size({"language": language, "prompt": ""})
    if _size(prompt) - 2 <= room:
        return prompt
    size = kept = 0
    while size + (step := _size(prompt[kept]) - 2) <= room:
        size += step
        kept += 1
    fitted = prompt[:kept].rpartition(" ")[0] or prompt[:kept]
    logger.warning(
        "the end of the transcription prompt does not fit into a header and is left out",
        extra={"left_out_chars": len(prompt) - len(fitted), "sent_chars": len(fitted)},
    )
    return fitted


def fit_keywords(
    keywords: Sequence[str], *, language: str | None = None, prompt: str | None = None
) -> tuple[str, ...]:
    """Leave out the last keywords, as many as a header can't hold.

    Args:
        keywords: Words to listen for, the most important ones first.
        language: The ``language`` in the same header.
        prompt: The ``prompt`` in the same header.

    Returns:
        The keywords that fit, with a warning in the log when some don't.
    """
    size = _size({"keywords": [], "language": language, "prompt": prompt})
    fitted: list[str] = []
    for word in keywords:
        size += _size(word) + 1  # and a comma
        if size > MAX_STT_OPTIONS_BYTES:
            logger.warning(
                "the last keywords do not fit into a header and are left out",
                extra={"left_out": len(keywords) - len(fitted), "sent": len(fitted)},
            )
            break
        fitted.append(word)
    return tuple(fitted)


def _size(value: object) -> int:
    """Count the bytes of a value in a header, as compact ASCII JSON."""
    return len(json.dumps(value, separators=(",", ":")))
