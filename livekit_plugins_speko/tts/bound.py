"""Cut a text that is too long for one request. No I/O."""

from __future__ import annotations

import re
import unicodedata

from .._text import TAG
from .marks import OPEN_TAG, PAUSES, STOPS, WIDE_PAUSES, WIDE_STOPS, is_wide, parts_number

LONGEST_PIECE = 300
"""Characters. About 20 s of speech, and at most 1200 bytes; providers refuse 5000."""

_CLOSERS = "\"'”’»」』）)]】》*_`"
_CLOSERS_BEFORE_SPACE = _CLOSERS + "“‘«"
_WIDE_MARKS = STOPS + WIDE_STOPS + WIDE_PAUSES
_MARKS_BEFORE_SPACE = PAUSES + "–!?؟…"

# Thai, Lao, Tibetan, Burmese and Khmer, whose words are not parted by spaces.
_UNSPACED = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")
# Thai and Lao vowels that are written before the consonant that they follow.
_LEADING = re.compile("[\u0e40-\u0e44\u0ec0-\u0ec4]")
# What is one character with the one before it and no combining mark: joiners, Thai and Lao "am",
# Hangul vowels and finals, skin tones, the letters in the flag of Wales.
_TRAILING = re.compile(
    "[\u200c\u200d\u0e33\u0eb3\u1160-\u11ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)
_FLAG_LETTERS = re.compile("[\U0001f1e6-\U0001f1ff]*$")
_JOINER = "\u200d"
# Its sign for a silent vowel ends a syllable in Burmese; elsewhere it joins two consonants.
_VIRAMA, _BURMESE_ASAT = 9, "\u103a"


def end_of_longest(text: str) -> int:
    """Return where a text of more than `LONGEST_PIECE` characters is cut.

    After the last clause mark, else before a space, else after a character of a script without
    spaces; never within a number, a word or a tag. A word that is too long itself is cut after a
    character.

    Args:
        text: At least one character more than a piece may have. Later ones change nothing.
    """
    head = text[: LONGEST_PIECE + 1]
    tags = [tag.span() for tag in (*TAG.finditer(head), *OPEN_TAG.finditer(head))]
    outside = [end for end in range(LONGEST_PIECE, 0, -1) if not any(a < end < b for a, b in tags)]
    for ends in (_ends_clause, _ends_word, _ends_syllable, _is_before_space, _ends_character):
        for end in outside:
            if ends(head, end):
                return end
    # It begins with a tag that is too long.
    longest = range(LONGEST_PIECE, 0, -1)
    return next((end for end in longest if _ends_character(head, end)), LONGEST_PIECE)


def _ends_clause(text: str, end: int) -> bool:
    mark, after = text[:end].rstrip(_CLOSERS_BEFORE_SPACE)[-1:], text[end]
    if not mark or after in _CLOSERS or parts_number(text, end) is not False:
        return False
    if mark in _WIDE_MARKS:
        return after not in _WIDE_MARKS and text[end - 1] not in "“‘«"
    return text[end - 1] == "\n" or (mark in _MARKS_BEFORE_SPACE and after.isspace())


def _ends_word(text: str, end: int) -> bool:
    after_short_form = text[end - 1] in ".．"
    return text[end].isspace() and not after_short_form and parts_number(text, end) is False


def _ends_syllable(text: str, end: int) -> bool:
    around = text[end - 1 : end + 1]
    unspaced = _UNSPACED.search(around) is not None or any(map(_is_unspaced_wide, around))
    return unspaced and _ends_character(text, end) and parts_number(text, end) is False


def _is_unspaced_wide(character: str) -> bool:
    return is_wide(character) and not "가" <= character <= "힣"


def _is_before_space(text: str, end: int) -> bool:
    return text[end].isspace()


def _ends_character(text: str, end: int) -> bool:
    """Return True if a cut is not within a character as its reader sees it (a grapheme cluster)."""
    before, after = text[end - 1], text[end]
    if unicodedata.category(after).startswith("M") or _TRAILING.match(after) is not None:
        return False
    if before == _JOINER or before + after == "\r\n" or _LEADING.match(before) is not None:
        return False
    if unicodedata.combining(before) == _VIRAMA and before != _BURMESE_ASAT:
        return False
    # Two letters make a flag.
    flags = _FLAG_LETTERS.search(text[:end])
    in_flag = flags is not None and len(flags[0]) % 2 and _FLAG_LETTERS.match(after) is not None
    return not (in_flag and after)
