"""The turn under way: what of it came, and what it led to."""

from __future__ import annotations

import time

from ..api.realtime_events import Transcript
from .generation import Generation
from .transcripts import CallerLines

REACTION_S = 0.25
"""Time, in seconds, in which no caller reacts to a reply: words that come so soon after its
beginning were said before it."""


class Turn:
    """Knows which words of the caller come later than what they led to. Used by one task."""

    def __init__(self, lines: CallerLines) -> None:
        """Begin with no turn. `lines` has the caller's words."""
        self._lines = lines
        # True once a reply to the caller's line under way has begun.
        self.is_answered = False
        # True once words of the caller came since the latest reply began.
        self._has_words = False
        # Beginning (time of day) of a reply whose line may follow it. None without one.
        self._line_owed_at: float | None = None
        # Beginning (time of day) of the latest reply. None before one.
        self._reply_began_at: float | None = None
        # True once the caller's turn was committed and no reply has begun.
        self.is_committed = False
        # True if the service reports each barge-in.
        self.is_barge_in_reported = False

    def is_late(self, event: Transcript, *, is_received: bool, is_heard: bool) -> bool:
        """Return True for words that came later than a commit, or a reply to them.

        Args:
            event: Words of the caller.
            is_received: True while a reply is received.
            is_heard: True while a reply is received or played.
        """
        if self.is_committed:
            return True
        if self._lines.is_open or self._lines.is_due:
            return self.is_answered
        if is_received and self.is_barge_in_reported and self._were_said_before(event):
            return True
        return self._line_owed_at is not None and event.final and is_heard

    def _were_said_before(self, event: Transcript) -> bool:
        """Return True for words that no interruption announced and that can't react to a reply."""
        assert self._reply_began_at is not None, "a reply is received"
        since_s = time.time() - self._reply_began_at
        return event.final or self._line_owed_at is not None or since_s < REACTION_S

    def speech_began(self) -> None:
        """Note that the caller began to speak."""
        self._line_owed_at = None
        self.is_answered = False

    def words_came(self, *, is_late: bool) -> None:
        """Note words of the caller; late ones begin a line where the reply began."""
        if is_late and not (self.is_committed or self._lines.is_open or self._lines.is_due):
            self._lines.begin(self._reply_began_at)
        self._line_owed_at = None
        self._has_words = True

    def reply_began(self, reply: Generation, *, is_own: bool) -> None:
        """Note that a reply began; `is_own` if neither a request nor a tool's result led to it."""
        is_without_line = not (self._has_words or self._lines.is_open or self._lines.is_due)
        self._reply_began_at = reply.began_at
        self._line_owed_at = reply.began_at if is_own and is_without_line else None
        self._has_words, self.is_answered, self.is_committed = False, True, False

    def drop(self) -> None:
        """Forget it, since its connection is gone."""
        self._line_owed_at = None
        self.is_committed = False
