"""When a preflight transcript helps, which depends on the session that hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from livekit.agents import stt, utils
from livekit.agents.voice.agent_activity import AgentActivity

MAX_PREFLIGHTS = 2
"""Most preflight transcripts of a turn.

LiveKit begins three replies ahead in a turn (``max_retries`` of its preemptive generation). One is
left for the final transcript, should it differ.
"""


class Preflights:
    """Counts the preflight transcripts of a turn. Used by one stream."""

    def __init__(self, adapter: stt.STT[Any]) -> None:
        self._adapter = adapter
        # How many the turn has had.
        self._given = 0
        # How much was in the sessions' histories when the utterance began. None outside of one.
        self._items: int | None = None

    def utterance_begins(self) -> None:
        """Tell whether it begins a turn too: several utterances may be one turn.

        A session's history has grown since the last utterance if the turn was committed in between.
        Outside of a session every utterance counts as a turn.
        """
        activities = list(activities_of(self._adapter))
        items = sum(len(each.session.history.items) for each in activities) if activities else None
        if items is None or items != self._items:
            self._given = 0
        self._items = items

    def take(self) -> bool:
        """Whether one more may be handed on, which counts then.

        None may in manual mode. LiveKit takes it for the text of a turn that is committed by hand
        soon after, and the final transcript for the beginning of the next turn.
        """
        if self._given == MAX_PREFLIGHTS or any(map(is_manual, activities_of(self._adapter))):
            return False
        self._given += 1
        return True


def activities_of(adapter: stt.STT[Any]) -> Iterator[AgentActivity]:
    """Whom an STT works for: the activities that listen to its errors, one for each session.

    LiveKit does not tell an STT of its session. Its context variable for this is missing from
    1.8.4, and is set for the default ``stt_node`` only.
    """
    for listener in tuple(adapter._events.get("error", ())):
        owner = getattr(listener, "__self__", None)
        if isinstance(owner, AgentActivity):
            yield owner


def is_manual(activity: AgentActivity) -> bool:
    """Whether the user's code ends the turns. An agent's setting stands above its session's."""
    mode = activity.agent.turn_detection
    return (mode if utils.is_given(mode) else activity.session.turn_detection) == "manual"
