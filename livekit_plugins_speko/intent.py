"""The routing of a call: its intent and its constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

OptimizeFor = Literal["balanced", "accuracy", "latency", "cost"]
"""Criterion by which the router ranks the providers."""

Modality = Literal["stt", "llm", "tts"]
"""The three stages of the pipeline, as constraints name them."""

INTENT_KEYS = {
    "language": "language",
    "region": "region",
    "optimize_for": "optimize_for",
    "optimizeFor": "optimize_for",
}
"""Keys of an intent as a mapping, in both spellings, with the names of its fields."""

_CONSTRAINT_KEYS = ("allowed_providers", "allowedProviders")


@dataclass(frozen=True)
class Intent:
    """The router's input, sent with every call.

    Attributes:
        language: BCP-47 tag, short (``en``) or with a region (``es-MX``).
        region: Region to measure latency from: ``global``, ``us-east4``, ``europe-west3``,
            ``asia-southeast1``, or another that the service knows. None leaves it to the service.
        optimize_for: Criterion to rank providers by. None leaves it to the service.
    """

    language: str
    region: str | None = None
    optimize_for: OptimizeFor | None = None


@dataclass(frozen=True)
class PipelineConstraints:
    """The providers that the router may choose from.

    Attributes:
        allowed_providers: For each of ``stt``, ``llm`` and ``tts`` the providers allowed, bare
            (``deepgram``) or with a model (``deepgram:nova-3``). A stage that is left out may use
            any provider.
    """

    allowed_providers: Mapping[Modality, Sequence[str]] = field(default_factory=dict)
    # True for a copy that `validate_constraints` made, which it returns as it is next time.
    _checked: bool = field(default=False, init=False, repr=False, compare=False)


IntentLike: TypeAlias = "Intent | Mapping[str, Any]"
ConstraintsLike: TypeAlias = "PipelineConstraints | Mapping[str, Any]"


def validate_intent(intent: IntentLike) -> Intent:
    """Check an intent.

    Args:
        intent: An `Intent`, or a mapping with its keys (``optimizeFor`` may stand for
            ``optimize_for``). A mapping is not changed.

    Returns:
        The same `Intent`, or one made from the mapping.

    Raises:
        ValueError: No language; an unknown ``optimize_for``; a mapping with a key that doesn't
            exist; neither an `Intent` nor a mapping. Tags are not checked further: the router
            takes short and region-tagged codes.
    """
    if isinstance(intent, Mapping):
        intent = Intent(**_intent_fields(intent))
    if not isinstance(intent, Intent):
        raise ValueError(
            "SpekoAdapter: intent must be an Intent or a mapping such as "
            f'{{"language": "en"}}, got {type(intent).__name__}.'
        )
    if not isinstance(intent.language, str) or not intent.language.strip():
        raise ValueError("SpekoAdapter: intent.language is required (BCP-47 tag)")
    if intent.region is not None and (
        not isinstance(intent.region, str) or not intent.region.strip()
    ):
        raise ValueError(
            'SpekoAdapter: intent.region must be the name of a region such as "global", '
            f"got {intent.region!r}. Leave it out to let the service decide."
        )
    if intent.optimize_for is not None and intent.optimize_for not in get_args(OptimizeFor):
        raise ValueError(
            f'SpekoAdapter: unknown optimize_for "{intent.optimize_for}". '
            f"Expected one of: {', '.join(get_args(OptimizeFor))}."
        )
    return intent


def _intent_fields(mapping: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"language": None}
    for key, value in mapping.items():
        name = INTENT_KEYS.get(key) if isinstance(key, str) else None
        if name is None:
            raise ValueError(
                f'SpekoAdapter: unknown intent key "{key}". '
                "Expected: language, region, optimize_for."
            )
        if name in fields and fields[name] is not None:
            raise ValueError(f'SpekoAdapter: intent has "{name}" twice. Keep one spelling of it.')
        fields[name] = value
    return fields


def validate_constraints(constraints: ConstraintsLike | None) -> PipelineConstraints | None:
    """Check constraints and copy them.

    Args:
        constraints: A `PipelineConstraints`, or a mapping in its spelling or in the wire's
            (``{"allowedProviders": {"stt": ["deepgram"]}}``). The caller's object is not kept.

    Returns:
        A copy that later changes of the caller's lists do not reach, or None for None. A copy that
        this function made is returned as it is.

    Raises:
        ValueError: A key or stage that doesn't exist, providers that are not a list of names, or
            neither a `PipelineConstraints` nor a mapping.
    """
    if constraints is None:
        return None
    if isinstance(constraints, PipelineConstraints):
        if constraints._checked:
            return constraints
        allowed: object = constraints.allowed_providers
    elif isinstance(constraints, Mapping):
        allowed = _allowed_providers(constraints)
    else:
        raise ValueError(
            "SpekoAdapter: constraints must be PipelineConstraints or a mapping such as "
            f'{{"allowedProviders": {{"stt": ["deepgram"]}}}}, got {type(constraints).__name__}.'
        )
    if not isinstance(allowed, Mapping):
        raise ValueError(
            "SpekoAdapter: allowed_providers must map stt, llm or tts to lists of provider names, "
            f"got {type(allowed).__name__}."
        )
    checked = PipelineConstraints(
        {stage: _providers(stage, names) for stage, names in allowed.items()}
    )
    object.__setattr__(checked, "_checked", True)
    return checked


def _allowed_providers(mapping: Mapping[str, Any]) -> object:
    unknown = [key for key in mapping if key not in _CONSTRAINT_KEYS]
    if unknown:
        raise ValueError(
            f'SpekoAdapter: unknown constraints key "{unknown[0]}". Expected: allowed_providers, '
            'as in {"allowed_providers": {"stt": ["deepgram"]}}.'
        )
    if len(mapping) > 1:
        raise ValueError("SpekoAdapter: constraints have allowed_providers in both spellings.")
    return next(iter(mapping.values()), {})


def _providers(stage: object, names: object) -> tuple[str, ...]:
    if stage not in get_args(Modality):
        raise ValueError(
            f'SpekoAdapter: unknown stage "{stage}" in allowed_providers. '
            f"Expected one of: {', '.join(get_args(Modality))}."
        )
    if (
        isinstance(names, str)
        or not isinstance(names, Sequence)
        or not all(isinstance(name, str) and name.strip() for name in names)
    ):
        raise ValueError(
            f"SpekoAdapter: allowed_providers[{stage!r}] must be a list of provider names such as "
            f'["deepgram"], got {names!r}.'
        )
    return tuple(names)
