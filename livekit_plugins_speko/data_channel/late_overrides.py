"""Overrides that come while a session runs: what of them can still change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from livekit.agents import AgentSession, tts

from .._base import SpekoIdentity
from .._livekit import LiveKitChanged, warn_turned_off, wrapped_voice
from .packets import Overrides


async def apply_overrides(
    overrides: Overrides, session: AgentSession[Any], components: Any | None
) -> None:
    """Change the instructions, the voice, its speed and the language, from the next call on.

    The first message is not said any more. Parts of other providers are left as they are, and so
    is a voice model, which takes instructions alone, from its next session of the service on.

    Args:
        overrides: Those that are allowed.
        session: A session that runs.
        components: What `create_speko_components` made; None takes the session's own parts.

    Raises:
        RuntimeError: The session does not run any more.
        ValueError: A value that a part refuses.
        llm.RealtimeError: A realtime model does not take the instructions.
    """
    for part in _parts(session if components is None else components):
        changed: dict[str, Any] = {}
        if overrides.language is not None:
            changed["intent"] = replace(part.intent, language=overrides.language)
        if hasattr(part, "synthesize"):
            changed |= _without_none(voice=overrides.voice, speed=overrides.speed)
        if changed:
            part.update_options(**changed)
    if overrides.prompt is not None:
        await session.current_agent.update_instructions(overrides.prompt)


def _parts(owner: Any) -> Iterator[Any]:
    """Yield the parts that are adapters of this package, unwrapped."""
    for name in ("stt", "llm", "tts"):
        part = getattr(owner, name, None)
        part = getattr(part, f"wrapped_{name}", part)
        if isinstance(part, tts.StreamAdapter):
            part = _voice_of(part)
        if isinstance(part, SpekoIdentity):
            yield part


def _voice_of(adapter: tts.StreamAdapter) -> tts.TTS[Any] | None:
    try:
        return wrapped_voice(adapter)
    except LiveKitChanged as change:
        warn_turned_off("overrides that come late do not reach the session's voice", change)
        return None


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
