"""Checks of options' values, in one wording: the option, what was expected, what was given.

Types are the type checker's job. The kind of a value is checked only where a wrong one would pass
for a right one (a bool is an int, a string a sequence of strings), or where it comes out of JSON.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def check_range(name: str, value: float | None, lowest: float, highest: float) -> None:
    """Raise ValueError unless `value` is None or a number from `lowest` to `highest`."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and lowest <= value <= highest):
        raise ValueError(f"{name} must be a number from {lowest:g} to {highest:g}, got {value!r}.")


def check_number(
    name: str, value: float | None, *, above: float | None = None, required: bool = False
) -> None:
    """Raise ValueError unless `value` is a finite number, above `above` where given.

    None will do where the number isn't `required`.
    """
    if value is None and not required:
        return
    bound = "" if above is None else f" above {above:g}"
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or (above is not None and value <= above)
    ):
        raise ValueError(f"{name} must be a number{bound}, got {value!r}.")


def check_whole(name: str, value: int | None, *, most: int | None = None) -> None:
    """Raise ValueError unless `value` is None or a whole number from 1 to `most`."""
    if value is None:
        return
    bound = "1 or more" if most is None else f"from 1 to {most}"
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < 1 or (most is not None and value > most):
        raise ValueError(f"{name} must be a whole number, {bound}, got {value!r}.")


def check_one_of(name: str, value: str | None, known: Collection[str]) -> None:
    """Raise ValueError unless `value` is None or one of the `known` words."""
    if value is not None and value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")


def check_rate(name: str, value: int, rates: range) -> None:
    """Raise ValueError unless `value` is a whole number of Hz among `rates`."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in rates:
        raise ValueError(
            f"{name} must be a whole number of Hz between {rates[0]} and {rates[-1]}, "
            f"got {value!r}."
        )


def check_flag(name: str, value: bool | None) -> None:
    """Raise ValueError unless `value` is None or a bool."""
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}.")


def check_callback(name: str, value: object) -> None:
    """Raise ValueError unless `value` is None or can be called."""
    if value is not None and not callable(value):
        raise ValueError(f"{name} must be a function, got {type(value).__name__}.")


def check_agent_id(name: str, value: str) -> None:
    """Raise ValueError unless `value` can be the id of an agent in a URL's path."""
    if not isinstance(value, str) or not value.strip(".").strip():
        raise ValueError(f"{name} must be the id of an agent, got {value!r}.")


def check_session_id(name: str, value: str | None) -> None:
    """Raise ValueError unless `value` is None or a string that a header can hold."""
    check_text(name, value)
    if value is not None and not (value.strip().isascii() and value.strip().isprintable()):
        raise ValueError(f"{name} must be printable ASCII, got {value!r}.")


def check_text(name: str, value: object) -> None:
    """Raise ValueError unless `value` is None or a string."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {type(value).__name__}.")


def text_or_none(name: str, value: str | None) -> str | None:
    """Return a text, or None for a blank one, as of an environment variable that is not set.

    Raises:
        ValueError: `value` is neither None nor a string.
    """
    check_text(name, value)
    return value if value is not None and value.strip() else None


def check_length(name: str, value: str | None, *, most: int) -> None:
    """Raise ValueError if a text has more than `most` characters."""
    if value is not None and len(value) > most:
        raise ValueError(f"{name} has {len(value)} characters, expected {most} at most.")


def check_words(name: str, value: Sequence[str] | None, *, most: int) -> None:
    """Raise ValueError unless `value` is None or a list of at most `most` non-blank strings."""
    if value is None:
        return
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(word, str) and word.strip() for word in value)
    ):
        raise ValueError(f"{name} must be a list of words, got {value!r}.")
    if len(value) > most:
        raise ValueError(f"{name} has {len(value)} words, expected {most} at most.")
