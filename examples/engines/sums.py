"""Spoken sums, for the rules: "seven times six", "12 plus 30"."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}

_NUMBER = rf"(?:\d+|(?:{'|'.join(_TENS)})[ -](?:{'|'.join(_ONES[1:10])})|{'|'.join(_WORDS)})"
_OPERATORS: dict[str, Callable[[int, int], float]] = {
    "plus": operator.add,
    "+": operator.add,
    "minus": operator.sub,
    "-": operator.sub,
    "times": operator.mul,
    "multiplied by": operator.mul,
    "x": operator.mul,
    "*": operator.mul,
    "divided by": operator.truediv,
    "/": operator.truediv,
}
_SUM = re.compile(
    rf"\b({_NUMBER})\s*({'|'.join(map(re.escape, _OPERATORS))})\s*({_NUMBER})\b", re.I
)
# These words are not supported, and a part of a number would give a wrong result.
_TOO_LARGE = re.compile(r"\b(hundred|thousand|million|billion)\b", re.I)


def find_sum(text: str) -> str | None:
    """Calculate the first sum in a text.

    Args:
        text: Spoken or written words.

    Returns:
        The result in digits, with at most two decimals; "not possible" for a division by zero;
        None if the text has no sum.
    """
    found = _SUM.search(text)
    if found is None or _TOO_LARGE.search(text):
        return None
    left, sign, right = found.groups()
    try:
        result = _OPERATORS[sign.lower()](_value(left), _value(right))
    except ZeroDivisionError:
        return "not possible"
    return f"{round(result, 2):.15g}"


def _value(number: str) -> int:
    if number.isdecimal():
        return int(number)
    return sum(_WORDS[word] for word in re.split("[ -]", number.lower()))
