"""When a preflight transcript helps, which depends on the session that hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from livekit.agents import stt
from livekit.agents.voice.agent_activity import AgentActivity


def preflight_helps(adapter: stt.STT[Any]) -> bool:
    """Whether a preflight transcript may be handed on now. Outside of a session it always may.

    It may not in manual mode. LiveKit takes it for the text of a turn that is committed by hand
    soon after, and the final transcript for the beginning of the next turn.

    It should not where LiveKit begins no reply to it: to a final transcript with a text that it
    knows from a preflight it begins none either, until the turn is committed. Of sessions that
    share the adapter one that has a use for it is enough, for nobody knows whose text it is.
    """
    try:
        listening = list(activities_of(adapter))
        if any(each._turn_detection == "manual" for each in listening):
            return False
        return not listening or any(
            listens_to_its_caller(each) and has_replies_left(each) for each in listening
        )
    except AttributeError:
        # Names of LiveKit's own: where a later version has others, the call goes on without.
        return False


def activities_of(adapter: stt.STT[Any]) -> Iterator[AgentActivity]:
    """Whom an STT works for: the activities that listen to its errors, one for each session.

    LiveKit does not tell an STT of its session. Its context variable for this is missing from
    1.8.4, and is set for the default ``stt_node`` only.
    """
    for listener in tuple(adapter._events.get("error", ())):
        owner = getattr(listener, "__self__", None)
        if isinstance(owner, AgentActivity):
            yield owner


def listens_to_its_caller(activity: AgentActivity) -> bool:
    """Whether the agent says nothing that has to be interrupted first.

    Without a VAD of its own a session interrupts the agent on a transcript's words, and the
    preflight's are the first.
    """
    speech = activity.current_speech
    return speech is None or speech.interrupted or activity.vad is None


def has_replies_left(activity: AgentActivity) -> bool:
    """Whether LiveKit begins two replies more in this turn: the last is the final transcript's."""
    most = activity.preemptive_generation_opts["max_retries"]
    return activity._preemptive_generation_count + 1 < most
