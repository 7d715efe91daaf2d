"""Texts that can be said, and spaces between two of them. No I/O."""

from __future__ import annotations

import re
import unicodedata

TAG = re.compile(r"</?[A-Za-z][^<>]*>")
"""A markup tag: `<break time="1s"/>`, `</p>`. Not "3 < 5" and not "<3"."""

PAGE_CONTEXT = "speko.page_context"
"""The key in a message's `extra` that marks context from a page: no words of the caller."""

# Scripts that write words without spaces between them, as Unicode names their characters.
_WITHOUT_SPACES = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "BOPOMOFO",
    "YI ",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
    "TIBETAN",
    "JAVANESE",
    "BALINESE",
    "TAI ",
    "NEW TAI",
)

# Marks that follow a word without a space; not the point of ".5".
_ATTACHED = re.compile(r"[,.;:!?…)\]}%’](?!\w)")

# Unicode counts them as letters, and they are blank.
_FILLERS = re.compile("[\u115f\u1160\u3164\uffa0]")


def is_speakable(text: str) -> bool:
    """Return True if a text holds a letter or a digit of any script, markup tags apart.

    A voice has no audio for "!", "...", "」", "♪" or an emoji: some providers respond with nothing
    and some with an error. So such a text is treated as a blank one.
    """
    return any(map(str.isalnum, _FILLERS.sub("", TAG.sub("", text))))


def with_space(before: str, after: str) -> str:
    """Return `after` with a space in front, where the language has spaces and none is there."""
    if not before or before[-1].isspace() or after[0].isspace() or _ATTACHED.match(after):
        return after
    last = next((c for c in reversed(before) if c.isalnum()), "")
    first = next((c for c in after if c.isalnum()), "")
    together = any(has_no_spaces(c) for c in (before[-1], last, first) if c)
    return after if together else f" {after}"


def has_no_spaces(character: str) -> bool:
    if unicodedata.east_asian_width(character) in "WF":
        return not unicodedata.name(character, "").startswith("HANGUL")
    return unicodedata.name(character, "").startswith(_WITHOUT_SPACES)
