"""The pieces of a reply that are one request each: sentences, of at most 300 characters. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import accumulate

from .._text import is_speakable
from .bound import LONGEST_PIECE, end_of_longest
from .marks import OPEN_TAG, STOP, STOPS, WIDE_STOPS, ends_sentence, is_in_tag, is_wide, may_shorten

SHORTEST_SENTENCE = 20
"""Characters of a sentence that is a piece by itself, as of LiveKit's tokenizers.

A shorter one is joined to the next: a request for each "Yes." costs more than it gains.
"""

# What belongs to the sentence before it when no space comes between them.
_CLOSERS = re.compile(r"[\"'”’“‘»«」』）)\]】》*_`]*")
# After a mark that needs no space. German closes with “, Chinese opens the next sentence with it.
_WIDE_CLOSERS = re.compile(r"[\"'”’»」』）)\]】》*_`]*")
# The next word, as far as blingfire has to see it. 20 letters in scripts without spaces.
_NEXT_WORD = re.compile(r"\s\W*\w(?:\S{19}|\S*(?=\s))")
# After these blingfire takes no full stop for an abbreviation's, whatever the next word is.
_ENDS_LONG_WORD = re.compile(r"(?:[^\s.,:;()\[\]*_`/'\"’“”-]{5,}|\d)$")
# "Hauptstr. 12"; not a list's next line. Before "+49" or "#12" blingfire does not cut.
_DIGIT_NEXT = re.compile(r"[^\S\n]+\d")
# Khmer's "et cetera" is a letter between two stops.
_KHMER_STOP, _KHMER_ETC = "។", "។ល"


class Cutter:
    """Cuts a reply while it is written. The pieces do not depend on how it is cut into pushes."""

    def __init__(self, sentences: Callable[[str], list[str]]) -> None:
        """Cut where a tokenizer does, except where that is wrong for speech.

        Args:
            sentences: The tokenizer: cuts a text into sentences, without a minimal length, such
                that they join to the text.
        """
        self._sentences = sentences
        # What has come and is in no piece yet.
        self._text = ""
        # Where the search resumes: no mark before it ends a piece.
        self._at = 0

    def push(self, text: str) -> list[str]:
        """Take more text; return the pieces that are complete."""
        self._text += text
        return list(self._pieces(ended=False))

    def flush(self) -> list[str]:
        """Return the pieces of all text that is left, and begin anew."""
        return list(self._pieces(ended=True))

    def _pieces(self, ended: bool) -> Iterator[str]:
        while (end := self._end(ended)) is not None:
            piece, self._text, self._at = self._text[:end], self._text[end:], 0
            yield piece
        if ended and self._text:
            piece, self._text, self._at = self._text, "", 0
            yield piece

    def _end(self, ended: bool) -> int | None:
        """Find where the next piece ends. None while that is open, and when it is all text left."""
        # One character more than a piece may have: it shows how a piece of that length may end.
        head = self._text[: LONGEST_PIECE + 1]
        is_full = len(head) > LONGEST_PIECE
        for mark in STOP.finditer(head, self._at):
            self._at = mark.start()
            end = self._sentence_end(head, mark, ended or is_full)
            if end is None:
                return None
            if end:
                return end
        self._at = len(head)
        return end_of_longest(head) if is_full else None

    def _sentence_end(self, head: str, mark: re.Match[str], is_all: bool) -> int | None:
        """Return where the sentence ends at a mark: after what the mark closes.

        0 when it does not end there. None while that is open, which it never is with `is_all`.
        """
        closers = _WIDE_CLOSERS if mark[0][-1] in STOPS + WIDE_STOPS else _CLOSERS
        end = next(closers.finditer(head, mark.end())).end()
        after = head[end:]
        if not after and not is_all:
            return None
        if len(head[:end].strip()) < SHORTEST_SENTENCE or is_in_tag(head[: mark.start()]):
            return 0
        if not is_speakable(OPEN_TAG.sub("", after)):
            # An emoji or a bracket by itself is no piece.
            return 0 if is_all else None
        is_end = self._is_end(head, mark, end, is_all)
        return is_end if is_end is None else end if is_end else 0

    def _is_end(self, head: str, mark: re.Match[str], end: int, is_all: bool) -> bool | None:
        before, after = head[: mark.start()], head[end:]
        if mark[0] in STOPS and mark[0] != _KHMER_STOP:
            return True
        if not after[0].isspace():
            needs_no_space = mark[0][-1] in WIDE_STOPS or is_wide(after[0])
            return needs_no_space and self._cuts(head[: end + 1], mark.start(), end)
        if mark[0] == _KHMER_STOP:
            return not before.endswith(_KHMER_ETC)
        is_full_stop = mark[0][-1] in ".．"
        if is_full_stop and (_DIGIT_NEXT.match(after) is not None or may_shorten(before)):
            return False
        return self._is_end_before_a_word(head, mark, end, is_all)

    def _is_end_before_a_word(
        self, head: str, mark: re.Match[str], end: int, is_all: bool
    ) -> bool | None:
        """Judge by the first letter of the next word where that is certain, else by all of it."""
        before, first = head[: mark.start()], len(head) - len(head[end:].lstrip())
        is_word = _ENDS_LONG_WORD.search(before) is not None or ends_sentence(before)
        certain = mark[0][-1] in "!?؟" or (mark[0] == "." and is_word)
        if certain and head[first].isalpha() and not head[first].islower():
            return self._cuts(head[: first + 1], mark.start(), end)
        word = _NEXT_WORD.match(head, end)
        if word is None and not is_all:
            return None
        context = head if word is None else head[: word.end() + 1]
        return self._cuts(context, mark.start(), end)

    def _cuts(self, text: str, start: int, end: int) -> bool:
        """Return True if the tokenizer cuts the text between two places."""
        ends = accumulate(map(len, self._sentences(text)))
        return any(start < at <= end for at in ends)
