"""Where the first piece of a reply ends, told from as little of the reply as can tell it."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

from ._abbreviations import is_title, may_be_abbreviated

LONGEST_PIECE = 400
"""Characters of a reply that are looked at, about 27 s of speech. None ends later."""

CLAUSE_CHARACTERS = 24
"""Characters of speech in the shortest clause that is said alone: 1.6 s at 15 a second."""

WIDE_CHARACTER = 3
"""What a Chinese, Japanese or Korean character counts for: a syllable takes so long to say."""

# A run of the first kind is one mark. Of the second each is one, and nothing has to follow it.
_STOP = r"[.!?…！？؟۔]+|[。｡।॥։።။។]|\n"
_PAUSE = r"[,;:،؛，；：、–]|—+"
_STOPS = re.compile(_STOP)
_PAUSES = re.compile(_PAUSE)
_STOPS_AND_PAUSES = re.compile(f"{_STOP}|{_PAUSE}")

_CERTAIN = frozenset("。｡।॥։።။។")
_WIDE_STOPS = frozenset("！？")
_WIDE_PAUSES = frozenset("，；：、—")
# Right behind a stop they show that it stands within a word: "etc., then", "/?page=2".
_JOINING = frozenset(",;:/-_=&#%+@~")

# What belongs to the sentence before it when no space parts them.
_CLOSERS = re.compile(r"(?:[\"'”’“»«」』）)\]】》*_`]|</[A-Za-z][^<>]*>)*")
_HALF_A_CLOSING_TAG = re.compile(r"<(?:/(?:[A-Za-z][^<>\s]*)?)?")
_TAG = re.compile(r"<(/?)[A-Za-z][^<>]*?(/?)>")
# A tag or half of one, what opens and closes alike (a run of it is one), and pairs.
_MARKUP = re.compile(rf"{_TAG.pattern}|<[A-Za-z/]|\*+|_+|`+|[\"„“”«»「」『』（）()\[\]【】《》]")
_TOGGLES = frozenset('"*_`')
_CLOSED_BY = {pair[0]: pair[1] for pair in "„“ “” «» 「」 『』 （） () [] 【】 《》".split()}


class Verdict(Enum):
    """What there is to say where no end has been found."""

    MORE = "more text has to come before it can be told"
    NO = "the piece goes on"
    DOUBT = "it may be an end or not"


class FirstPiece:
    """A search for the end of the first piece. It holds no more text than `LONGEST_PIECE` needs.

    The answer is the same however the text is cut into pushes.
    """

    def __init__(self, *, clauses: bool) -> None:
        """Look for the end of a sentence, with `clauses` for that of a long clause as well."""
        self._marks = _STOPS_AND_PAUSES if clauses else _STOPS
        # All that was pushed.
        self.text = ""
        # Where the search goes on: no mark before it ends the piece.
        self._at = 0

    def push(self, text: str) -> int | Verdict:
        """Take more text.

        Returns:
            Where in `text` the first piece ends, once that is certain. `Verdict.MORE` while it
            is not, `Verdict.DOUBT` when it never will be.
        """
        self.text += text
        head = self.text[:LONGEST_PIECE]
        while (mark := self._marks.search(head, self._at)) is not None:
            verdict = _judge(head, mark)
            if verdict is Verdict.MORE:
                self._at = mark.start()
                break
            if verdict is not Verdict.NO:
                return verdict
            self._at = mark.end()
        else:
            self._at = len(head)
        return Verdict.DOUBT if len(self.text) >= LONGEST_PIECE else Verdict.MORE


def _judge(head: str, mark: re.Match[str]) -> int | Verdict:
    if not any(map(str.isalnum, head[: mark.start()])):
        return Verdict.NO
    if mark[0] == "\n":
        # A heading's end, an item's, or only a long line's.
        return Verdict.DOUBT
    if _PAUSES.match(mark[0]) is not None:
        return _judge_pause(head, mark)
    if mark[0] in _CERTAIN and not _is_open(head[: mark.end()]):
        return mark.end()
    return _judge_stop(head, mark)


def _judge_stop(head: str, mark: re.Match[str]) -> int | Verdict:
    """Judge what may end a sentence, together with the quotes and brackets that it closes."""
    end = _end_of(_CLOSERS, head, mark.end())
    if end == len(head) or _HALF_A_CLOSING_TAG.fullmatch(head, end) is not None:
        return Verdict.MORE
    after = head[end]
    wide = mark[0] in _CERTAIN or mark[0][-1] in _WIDE_STOPS
    if wide or (mark[0][-1] in "!?" and _is_wide(after)):
        return _unless_open(head, end)
    if after.isspace():
        return _judge_gap(head, mark, end)
    within = after.isdigit() or after.islower() or after in _JOINING
    return Verdict.NO if within else Verdict.DOUBT


def _judge_gap(head: str, mark: re.Match[str], end: int) -> int | Verdict:
    """Judge a stop that a space follows: by the word before it, and by what comes next."""
    after = _next_character(head, end)
    if not after:
        return Verdict.MORE
    if mark[0] in (".", "۔"):
        word = head[: mark.start()].split()[-1].strip("\"'„“”‘’«»([*_`¿¡….")
        if is_title(word):
            return Verdict.NO
        if after.isdigit() or may_be_abbreviated(word):
            return Verdict.DOUBT
    elif not mark[0].strip(".…"):
        return Verdict.DOUBT
    if after.islower() or _STOPS.match(after) is not None:
        return Verdict.DOUBT
    return _unless_open(head, end)


def _judge_pause(head: str, mark: re.Match[str]) -> int | Verdict:
    """Judge what may end a clause. Where it does not, the sentence goes on."""
    if spoken_characters(head[: mark.start()]) < CLAUSE_CHARACTERS:
        return Verdict.NO
    if mark.end() == len(head):
        return Verdict.MORE
    before, after = head[: mark.start()], head[mark.end()]
    if mark[0][0] not in _WIDE_PAUSES:
        if not after.isspace() or (mark[0] == "–" and not before[-1].isspace()):
            return Verdict.NO
        after = _next_character(head, mark.end())
        if not after:
            return Verdict.MORE
    if (before.rstrip()[-1].isdigit() and after.isdigit()) or _is_open(head[: mark.end()]):
        return Verdict.NO
    return mark.end()


def _unless_open(head: str, end: int) -> int | Verdict:
    return Verdict.DOUBT if _is_open(head[:end]) else end


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that always matches ends."""
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _next_character(text: str, at: int) -> str:
    """The first one that is no space, or "" while there is none."""
    return text[at:].lstrip()[:1]


def _is_wide(character: str) -> bool:
    return character.isalpha() and unicodedata.east_asian_width(character) in "WF"


def _is_open(text: str) -> bool:
    """Whether a quote, a bracket, emphasis, a tag or an element is not closed in the text."""
    # What closes each of those that are open, the innermost last.
    awaited: list[str] = []
    elements = 0
    for found in _MARKUP.finditer(text):
        sign = found[0][0]
        if sign == "<":
            if found[0][-1] != ">":
                return True
            elements = max(0, elements - 1) if found[1] else elements + (not found[2])
        elif awaited and sign == awaited[-1]:
            awaited.pop()
        elif sign in _TOGGLES:
            awaited.append(sign)
        elif sign in _CLOSED_BY:
            awaited.append(_CLOSED_BY[sign])
    return bool(awaited) or elements > 0


def spoken_characters(text: str) -> int:
    """How much there is to say, in Latin characters: letters, digits and spaces, without tags."""
    plain = _TAG.sub("", text)
    return sum(WIDE_CHARACTER if _is_wide(c) else c.isalnum() or c.isspace() for c in plain)
