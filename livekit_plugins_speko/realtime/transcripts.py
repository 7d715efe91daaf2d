"""The caller's lines: one id, growing interims, exactly one final that is not empty."""

from __future__ import annotations

import time
from itertools import accumulate
from typing import Protocol

from livekit.agents import llm, utils

LATE_S = 3.0
"""Time, in seconds, in which the service's final may follow ours."""


class Listener(Protocol):
    """Takes what becomes of the caller's words."""

    def on_line(self, line: llm.InputTranscriptionCompleted) -> None:
        """Take an interim line, or a final one."""


class CallerLines:
    """The caller's line under way, and what a late text is compared with. Used by one task."""

    def __init__(self, listener: Listener) -> None:
        """Report to `listener`."""
        self._listener = listener
        # Id and beginning (time of day) of the line under way. None between two lines.
        self._item_id: str | None = None
        self._began_at: float | None = None
        # Its text so far.
        self._text = ""
        # Time of `time.monotonic` until which its words may come. None until the reply to it ends.
        self._due_until: float | None = None
        # The latest final, as long as a late version of it may come; else empty.
        self._last = ""
        # Time of `time.monotonic` until which one may come. None until the reply begins.
        self._last_until: float | None = None
        # Beginning (time of day) of the latest final. None before one.
        self._last_began_at: float | None = None
        # A final whose audio is sent to the model again, until the reply begins; else empty.
        self._again = ""

    @property
    def is_open(self) -> bool:
        """Return True while a line has words and no final."""
        return bool(self._text)

    @property
    def is_due(self) -> bool:
        """Return True while the caller has begun to speak and no words of it came.

        None come of a noise: `LATE_S` after the reply to it, words are another line's.
        """
        is_over = self._due_until is not None and time.monotonic() > self._due_until
        return self._began_at is not None and not self._text and not is_over

    @property
    def is_heard_again(self) -> bool:
        """Return True while the model hears a line again that was final already."""
        return bool(self._again)

    @property
    def unanswered_s(self) -> float:
        """Return how long ago the caller began a line without a reply, in seconds; 0 without."""
        is_final = self._again or (self._last and self._last_until is None)
        began_at = self._last_began_at if is_final else self._began_at
        return 0.0 if began_at is None else max(0.0, time.time() - began_at)

    def begin(self, at: float | None = None) -> None:
        """Note that the caller speaks, from `at` (time of day) on: now, by default."""
        if not self._text:
            self._began_at = time.time() if at is None else at
            self._last, self._due_until = "", None

    def reply_ended(self) -> None:
        """Note that a reply ended: the line is final, or its words come soon."""
        self.finish()
        self._due_until = time.monotonic() + LATE_S

    def reply_began(self) -> None:
        """Note that a reply began: the next words are another line's."""
        self._again = ""
        if self._last_until is None:
            self._last = ""

    def hear_again(self) -> None:
        """Note that the model hears the latest line again."""
        if self._last:
            self._again, self._last = f"{self._again} {self._last}".strip(), ""

    def repeats(self, text: str) -> bool:
        """Return True if a text is a version of the line that was final already: late, or again."""
        if self._again and _plain(self._again).startswith(_plain(text)):
            return True
        over = self._last_until is not None and time.monotonic() > self._last_until
        if self._item_id is not None or not self._last or over:
            return False
        text, last = _plain(text), _plain(self._last)
        return text.startswith(last) or last.startswith(text)

    def take(self, text: str, *, final: bool) -> None:
        """Take all of the line so far, which has words."""
        if self._item_id is None:
            if not self.is_due:
                self.begin()
            self._item_id = utils.shortuuid("speko_line_")
        self._text = _rest(text, self._again)
        if final:
            self._finish(None)
        else:
            self._report(is_final=False)

    def finish(self) -> None:
        """Make the line final as it is, because no final came for it; one may come too late."""
        if self._text:
            self._finish(time.monotonic() + LATE_S)

    def _finish(self, last_until: float | None) -> None:
        self._report(is_final=True)
        if not self._again:
            self._last_began_at = self._began_at
        self._last, self._last_until = self._text, last_until
        self._item_id, self._began_at, self._text = None, None, ""

    def forget(self) -> None:
        """Drop the beginning of a line of which no words came."""
        if not self._text:
            self._began_at = None

    def _report(self, *, is_final: bool) -> None:
        assert self._item_id is not None
        self._listener.on_line(
            llm.InputTranscriptionCompleted(
                item_id=self._item_id,
                transcript=self._text,
                is_final=is_final,
                turn_started_at=self._began_at,
            )
        )


def _rest(text: str, known: str) -> str:
    """Return what follows the words of a text that are known."""
    plain = _plain(known)
    if known and _plain(text).startswith(plain):
        counts = accumulate((len(_plain(each)) for each in text), initial=0)
        at = next(at for at, count in enumerate(counts) if count >= len(plain))
        text = text[at:].lstrip(".,;:!?")
    return text.strip()


def _plain(text: str) -> str:
    """Return a text without case and punctuation, which a late version may differ in."""
    return "".join(each for each in text.casefold() if each.isalnum())
