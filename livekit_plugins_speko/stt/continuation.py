"""The part of a text that an earlier version of its beginning does not cover. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .._text import has_no_spaces


class _Token(NamedTuple):
    """A word, a digit, or a character of a script without spaces, and its place in the text."""

    key: str
    start: int
    end: int


def continuation(sent: str, whole: str) -> str:
    """Return what of `whole` comes after the words of `sent`, an earlier version of its beginning.

    A recogniser may correct words as it hears more, and write numbers as digits. So the words are
    aligned: the beginning of `whole` that takes the fewest corrections is what was sent.

    Args:
        sent: The beginning, as it was recognised earlier.
        whole: The text by now.
    """
    at = _end_of_same_letters(sent, whole)
    if at is None:
        tokens = list(_tokens(whole))
        count = _aligned([token.key for token in _tokens(sent)], [token.key for token in tokens])
        at = tokens[count - 1].end if count else 0
    while at < len(whole) and not whole[at].isalnum():
        at += 1
    return whole[at:]


def _end_of_same_letters(sent: str, whole: str) -> int | None:
    """Return the place in `whole` after the letters of `sent`; None if it begins with others.

    Neither may it be in the middle of a word.
    """
    at = 0
    for letter in filter(str.isalnum, sent.casefold()):
        while at < len(whole) and not whole[at].isalnum():
            at += 1
        if at == len(whole) or whole[at].casefold() != letter:
            return None
        at += 1
    inside = 0 < at < len(whole) and whole[at].isalnum() and not has_no_spaces(whole[at])
    return None if inside else at


def _tokens(text: str) -> Iterator[_Token]:
    for match in re.finditer(r"\S+", text):
        piece, start = match.group(), match.start()
        if any(map(has_no_spaces, piece)):
            for place, character in enumerate(piece, start):
                if character.isalnum():
                    yield _Token(character, place, place + 1)
            continue
        letters = "".join(filter(str.isalnum, piece.casefold()))
        # Each digit is a word that is spoken; together they have one place.
        for key in letters if letters.isdigit() else filter(None, [letters]):
            yield _Token(key, start, match.end())


def _aligned(sent: list[str], whole: list[str]) -> int:
    """Return how many tokens of `whole` stand for `sent`: the most of those that fit best."""
    costs = list(range(len(sent) + 1))
    best, count = costs[-1], 0
    for column, token in enumerate(whole, 1):
        row = [column]
        for place, other in enumerate(sent, 1):
            replaced = costs[place - 1] + (token != other)
            row.append(min(replaced, costs[place] + 1, row[-1] + 1))
        costs = row
        if costs[-1] <= best:
            best, count = costs[-1], column
    return count
