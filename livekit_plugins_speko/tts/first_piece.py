"""The end of a reply's first piece, found in as little of the reply as makes it certain. No I/O."""

from __future__ import annotations

import re
from enum import Enum

from .._text import is_speakable
from .marks import (
    STOP,
    STOP_OR_PAUSE,
    STOPS,
    WIDE_PAUSES,
    WIDE_STOPS,
    ends_sentence,
    is_open,
    is_wide,
    parts_number,
    spoken_characters,
)

LONGEST_SEARCH = 300
"""Characters of a reply that are searched, about 20 s of speech."""

SHORTEST_CLAUSE = 24
"""Characters of speech in the shortest clause that is a piece: 1.6 s at 15 a second."""

# Directly after a stop these show that it is within a word or a sentence: "etc., then", "/?a=2".
_JOINING = frozenset(",;:/-_=&#%+@~")
# One letter may be part of a list that is spelled: "A, B, C".
_ENDS_SPELLED = re.compile(r"(?<!\w)[A-Za-z]$")
# Khmer's "et cetera" is a letter between two stops.
_KHMER_STOP, _KHMER_ETC = "។", "។ល"


class Verdict(Enum):
    """Verdict on a mark at which the piece does not end."""

    MORE = "more text has to come before it can be judged"
    NO = "the sentence continues"
    DOUBT = "it may be an end or not"


class FirstPiece:
    """A search for the end of the first piece.

    The result is the same however the text is cut into pushes.
    """

    def __init__(self, *, clauses: bool) -> None:
        """Search for the end of a sentence; with `clauses` for that of a long clause as well."""
        self._marks = STOP_OR_PAUSE if clauses else STOP
        # All text so far.
        self.text = ""
        # Where the search resumes: no mark before it ends the piece.
        self._at = 0

    def push(self, text: str) -> int | Verdict:
        """Take more text.

        Returns:
            Where in `text` the first piece ends, once that is certain. `Verdict.MORE` while it
            is not, `Verdict.DOUBT` when it never will be.
        """
        self.text += text
        head = self.text[:LONGEST_SEARCH]
        for mark in self._marks.finditer(head, self._at):
            self._at = mark.start()
            verdict = _judge(head, mark)
            if verdict is Verdict.MORE:
                break
            if verdict is not Verdict.NO:
                return verdict
            self._at = mark.end()
        else:
            self._at = len(head)
        return Verdict.DOUBT if len(self.text) >= LONGEST_SEARCH else Verdict.MORE


def _judge(head: str, mark: re.Match[str]) -> int | Verdict:
    before, after = head[: mark.start()], head[mark.end() :]
    if not is_speakable(before):
        return Verdict.NO
    if STOP.match(mark[0]) is None:
        return _judge_pause(mark, before, after)
    if mark[0] in STOPS and mark[0] != _KHMER_STOP:
        certain = True
    elif not after:
        return Verdict.MORE
    elif mark[0][-1] in WIDE_STOPS or (mark[0][-1] in "!?" and is_wide(after[0])):
        certain = is_speakable(after[0]) or after[0].isspace()
    elif not after[0].isspace():
        within = after[0].isalnum() or after[0] in _JOINING
        return Verdict.NO if within else Verdict.DOUBT
    elif mark[0] == _KHMER_STOP:
        certain = not before.endswith(_KHMER_ETC)
    else:
        certain = mark[0][-1] in "!?؟" or (mark[0] == "." and ends_sentence(before))
    return mark.end() if certain and not is_open(before) else Verdict.DOUBT


def _judge_pause(mark: re.Match[str], before: str, after: str) -> int | Verdict:
    if spoken_characters(before) < SHORTEST_CLAUSE:
        return Verdict.NO
    if not after and mark[0][0] not in WIDE_PAUSES.replace("—", ""):
        return Verdict.MORE
    if mark[0][0] not in WIDE_PAUSES:
        is_dash_in_word = mark[0] == "–" and not before[-1].isspace()
        if not after[0].isspace() or is_dash_in_word or _ENDS_SPELLED.search(before.rstrip()):
            return Verdict.NO
    in_number = parts_number(before + after, len(before))
    if in_number is None:
        return Verdict.MORE
    return Verdict.NO if in_number or is_open(before) else mark.end()
