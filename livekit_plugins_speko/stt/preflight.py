"""Decide if a preflight transcript helps, which depends on the session that receives it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from .._livekit import LiveKitChanged, stt_pipeline, turn_of, warn_turned_off


class PreflightRule:
    """The rule by which an adapter's streams forward preflight transcripts.

    Outside of a session every one is forwarded. In a session it must not be where the author ends
    turns by hand: LiveKit takes it for the text of a turn that is committed soon after, and the
    final transcript for the beginning of the next turn.

    It should not be where LiveKit begins no reply to it: to a final transcript with a text that it
    knows from a preflight it begins none either, until the turn is committed.
    """

    def __init__(self, *, wanted: bool) -> None:
        """Look up how a stream finds its session, unless no preflight is wanted."""
        # Holds the session's pipeline in the tasks of its STT node. None where none is forwarded.
        self._pipeline: ContextVar[Any] | None = None
        if wanted:
            try:
                self._pipeline = stt_pipeline()
            except LiveKitChanged as change:
                self._turn_off(change)

    def session(self) -> Any | None:
        """Return the pipeline of the session whose STT node runs here. None outside of any."""
        return None if self._pipeline is None else self._pipeline.get(None)

    def allows(self, session: Any | None) -> bool:
        """Return True if a preflight transcript helps now in what `session` has returned."""
        if self._pipeline is None or session is None:
            return self._pipeline is not None
        try:
            turn = turn_of(session)
        except LiveKitChanged as change:
            self._turn_off(change)
            return False
        if turn is None or turn.ended_by_hand or turn.agent_speaks:
            return False
        # The last reply that LiveKit begins in a turn is for the final transcript.
        return turn.replies_left > 1

    def _turn_off(self, change: LiveKitChanged) -> None:
        self._pipeline = None
        warn_turned_off(
            "eager recognition sends no preflight transcripts, so replies begin later: this "
            "version of livekit-agents hides whose turn it is. A newer livekit-plugins-speko may "
            "know where to look",
            change,
        )
