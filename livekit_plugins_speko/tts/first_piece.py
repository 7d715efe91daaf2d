"""Where the first piece of a reply ends, told from as little of the reply as can tell it."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

from .abbreviations import is_short_form, is_title, may_be_abbreviated

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
_CLOSERS = re.compile(r"(?:[\"'”’“‘»«」』）)\]】》*_`]|</[A-Za-z][^<>]*>)*")
_HALF_A_CLOSING_TAG = re.compile(r"<(?:/(?:[A-Za-z][^<>\s]*)?)?")
_TAG = re.compile(r"<(/?)[A-Za-z][^<>]*?(/?)>")
# A single quote stands before or behind a word, an apostrophe in it or for most of it ("'t").
_QUOTE = r"(?<!\w)(?P<opens>['‘‚])(?=\w\w|[A-Z])|(?P<closes>['’‘])(?!\w)"
# A tag or half of one, what opens and closes alike (a run of it is one), and pairs.
_MARKUP = re.compile(
    rf"{_TAG.pattern}|<[A-Za-z/]|\*+|_+|`+|[\"„“”«»「」『』（）()\[\]【】《》]|{_QUOTE}"
)
_TOGGLES = frozenset('"*_`')
_CLOSED_BY = {pair[0]: pair[1] for pair in "„“ “” ‘’ «» 「」 『』 （） () [] 【】 《》".split()}
_OPENING_QUOTES = frozenset("\"'„“‘‚«»")
_AROUND_A_WORD = "\"'„“”‘’‚«»([*_`¿¡…."

# A letter by itself: what goes on behind the comma may be more of them.
_ENDS_SPELLED = re.compile(r"(?<!\w)[A-Za-z]\s*$")
# What belongs to the name before the comma.
_NAME_END = re.compile(r"(?:Jr|Sr|Ph\.?D|M\.?D|Esq)\b")
_HALF_A_NAME_END = re.compile(r"Jr?|Sr?|P(?:h\.?D?)?|M\.?D?|E(?:sq?)?")


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
    if not any(map(str.isalnum, _TAG.sub("", head[: mark.start()]))):
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
    # There may be none, which matches as well.
    end = next(_CLOSERS.finditer(head, mark.end())).end()
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
    after = head[end:].lstrip()[:1]
    if not after:
        return Verdict.MORE
    if mark[0] in (".", "۔"):
        word, begins = _last_word(head[: mark.start()])
        if is_title(word):
            return Verdict.NO
        is_doubtful = may_be_abbreviated(word) or (is_short_form(word) and not begins)
        if after.isdigit() or is_doubtful:
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
    before, after = head[: mark.start()], head[mark.end() :]
    if mark[0][0] not in _WIDE_PAUSES:
        if not after[0].isspace() or (mark[0] == "–" and not before[-1].isspace()):
            return Verdict.NO
        after = after.lstrip()
        if not after or _HALF_A_NAME_END.fullmatch(after) is not None:
            return Verdict.MORE
        if _NAME_END.match(after) is not None or _ENDS_SPELLED.search(before) is not None:
            return Verdict.NO
    if (before.rstrip()[-1].isdigit() and after[0].isdigit()) or _is_open(head[: mark.end()]):
        return Verdict.NO
    return mark.end()


def _unless_open(head: str, end: int) -> int | Verdict:
    return Verdict.DOUBT if _is_open(head[:end]) else end


def _last_word(text: str) -> tuple[str, bool]:
    """The last word of a text that has one, and whether the text or a quotation begins with it."""
    *before, last = _TAG.sub(" ", text).split()
    begins = last[0] in _OPENING_QUOTES or not any(map(str.isalnum, "".join(before)))
    return last.strip(_AROUND_A_WORD), begins


def _is_wide(character: str) -> bool:
    return character.isalpha() and unicodedata.east_asian_width(character) in "WF"


def _is_open(text: str) -> bool:
    """Whether a quote, a bracket, emphasis, a tag or an element is not closed in the text."""
    # What closes each of those that are open, the innermost last.
    awaited: list[str] = []
    elements = 0
    for found in _MARKUP.finditer(text):
        # The single quotes are not always a pair: ‘English’, ‚deutsch‘, 'plain'.
        sign = "‘" if found["opens"] else "’" if found["closes"] else found[0][0]
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
    plain = " ".join(_TAG.sub("", text).split())
    return sum(WIDE_CHARACTER if _is_wide(c) else c.isalnum() or c.isspace() for c in plain)
