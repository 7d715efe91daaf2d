"""LiveKit's undocumented names that the adapters need, all of them in this module.

Elsewhere the package uses documented names, and those that LiveKit's own plugins override or use
(``_run``, ``_input_ch``, ``_event_ch``, ``_FlushSentinel``, ``_mark_started``). A name that a newer
LiveKit lacks raises `LiveKitChanged` here; the feature that needs it turns itself off, and calls
continue without it.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from livekit.agents import __version__, tts

from .log import logger


class LiveKitChanged(Exception):
    """LiveKit lacks a name that a feature needs. The message names it, and LiveKit's version."""


@dataclass(frozen=True, kw_only=True)
class SessionTurn:
    """A session's turn at one moment.

    Attributes:
        ended_by_hand: The author's code ends it (``turn_detection="manual"``).
        agent_speaks: The agent says something, and only a VAD's event interrupts it.
        replies_left: How many replies LiveKit still begins before the turn has ended.
    """

    ended_by_hand: bool
    agent_speaks: bool
    replies_left: int


def stt_pipeline() -> ContextVar[Any]:
    """Return the variable that holds the pipeline of the session whose STT node is running.

    Relies on ``voice.audio_recognition._STTPipelineContextVar``. LiveKit sets it in the task that
    iterates a session's STT node, so it is known to every stream made there: by the default node,
    by an author's, and by another adapter. Outside of a session it is not set.

    Raises:
        LiveKitChanged: There is no such variable.
    """
    try:
        from livekit.agents.voice import audio_recognition

        variable: ContextVar[Any] = audio_recognition._STTPipelineContextVar
    except (ImportError, AttributeError):
        raise _missing("voice.audio_recognition._STTPipelineContextVar") from None
    return variable


def turn_of(pipeline: Any) -> SessionTurn | None:
    """Return the turn of a pipeline's session. None between two agents.

    Relies on ``_STTPipeline._stt_node``, which is a method of the agent whose turn it is, on
    ``Agent._activity``, and on ``_turn_detection`` and ``_preemptive_generation_count`` of the
    activity: a mode set during the call is kept nowhere else, and LiveKit counts the replies of a
    turn for itself alone. ``current_speech``, ``vad`` and ``preemptive_generation_opts`` of the
    activity are public, but undocumented.

    Raises:
        LiveKitChanged: One of these is missing.
    """
    agent = _get(_get(pipeline, "_stt_node"), "__self__")
    activity = _get(agent, "_activity")
    if activity is None:
        return None
    speech = _get(activity, "current_speech")
    options = _get(activity, "preemptive_generation_opts")
    try:
        most_replies = options["max_retries"]
    except KeyError:
        raise _missing("preemptive_generation_opts['max_retries']") from None
    return SessionTurn(
        ended_by_hand=_get(activity, "_turn_detection") == "manual",
        agent_speaks=speech is not None
        and not speech.interrupted
        and _get(activity, "vad") is not None,
        replies_left=most_replies - _get(activity, "_preemptive_generation_count"),
    )


def is_expressive(voice: tts.TTS[Any]) -> bool:
    """Return True while a session lets its model write markup for this voice.

    Relies on ``TTS._expressive``, which a session sets right before it makes a stream.

    Raises:
        LiveKitChanged: There is no such attribute.
    """
    return bool(_get(voice, "_expressive"))


def wrapped_voice(adapter: tts.StreamAdapter) -> tts.TTS[Any]:
    """Return the voice that LiveKit's own adapter makes a stream of.

    Relies on ``tts.StreamAdapter._wrapped_tts``; that of `stt` has a public name.

    Raises:
        LiveKitChanged: There is no such attribute.
    """
    voice: tts.TTS[Any] = _get(adapter, "_wrapped_tts")
    return voice


def warn_turned_off(consequence: str, change: LiveKitChanged) -> None:
    """Log that a feature turned itself off. The caller does so once.

    Args:
        consequence: What users notice, as a static text.
        change: The name that is missing.
    """
    logger.warning(consequence, extra={"missing": str(change)})


def _get(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise _missing(f"{type(owner).__name__}.{name}") from None


def _missing(name: str) -> LiveKitChanged:
    return LiveKitChanged(f"livekit-agents {__version__} has no {name}")
