"""Small checks of JSON values, and their combination to the shape of a whole request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]
"""Takes a value and the name of its place; raises `InvalidRequest` for an invalid value."""


class InvalidRequest(Exception):
    """A request that the service refuses.

    Attributes:
        status: The HTTP status of the refusal.
        code: The service's error code.
    """

    def __init__(self, error: str, *, status: int = 400, code: str = "VALIDATION_ERROR") -> None:
        """Make the refusal.

        Args:
            error: The message: place, value found and value expected.
            status: The HTTP status of the refusal.
            code: The service's error code.
        """
        super().__init__(error)
        self.status = status
        self.code = code


def wrong(where: str, found: Any, expected: str) -> InvalidRequest:
    """Make the error for an invalid value.

    Args:
        where: The name of the value's place.
        found: The value; a long one is shortened in the message.
        expected: A description of a valid value.

    Returns:
        The error, to be raised.
    """
    shown = json.dumps(found)
    if len(shown) > 80:
        shown = f"{shown[:77]}..."
    return InvalidRequest(f"{where}: found {shown}, expected {expected}")


def string(value: Any, where: str) -> None:
    """Accept any string, the empty one too."""
    if not isinstance(value, str):
        raise wrong(where, value, "a string")


def text(value: Any, where: str) -> None:
    """Accept a string that is more than white space."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(where, value, "a non-blank string")


def text_up_to(most: int) -> Check:
    """Make a check for non-blank strings of at most `most` characters."""

    def check(value: Any, where: str) -> None:
        text(value, where)
        if len(value) > most:
            raise InvalidRequest(f"{where}: found {len(value)} characters, expected <= {most}")

    return check


def matching(pattern: str, expected: str) -> Check:
    """Make a check for strings that match a pattern from start to end."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise wrong(where, value, expected)

    return check


def boolean(value: Any, where: str) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise wrong(where, value, "true or false")


def number(low: float, high: float) -> Check:
    """Make a check for numbers from `low` to `high`, both included."""

    def check(value: Any, where: str) -> None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise wrong(where, value, f"a number from {low} to {high}")

    return check


def whole(low: int, high: int | None = None) -> Check:
    """Make a check for whole numbers from `low` to `high`, both included; None has no limit."""
    expected = f"a whole number >= {low}" if high is None else f"a whole number {low} to {high}"

    def check(value: Any, where: str) -> None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or value < low or (high is not None and value > high):
            raise wrong(where, value, expected)

    return check


def one_of(*choices: str) -> Check:
    """Make a check for one of a few strings."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in choices:
            raise wrong(where, value, f"one of: {', '.join(choices)}")

    return check


def json_text(value: Any, where: str) -> None:
    """Accept a string that holds JSON."""
    string(value, where)
    try:
        parse_json(value)
    except ValueError:
        raise wrong(where, value, "a string that holds JSON") from None


def json_object(value: Any, where: str) -> None:
    """Accept any JSON object."""
    if not isinstance(value, dict):
        raise wrong(where, value, "an object")


def list_of(each: Check, *, least: int = 0, most: int) -> Check:
    """Make a check for lists of `least` to `most` items, each of which passes `each`."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise wrong(where, value, "a list")
        if not least <= len(value) <= most:
            raise InvalidRequest(f"{where}: found {len(value)} items, expected {least} to {most}")
        for index, item in enumerate(value):
            each(item, f"{where}[{index}]")

    return check


def record(fields: Mapping[str, Check], *, required: tuple[str, ...] = ()) -> Check:
    """Make a check for objects with all required fields, only known fields, and valid values.

    Args:
        fields: Each known field with the check of its value.
        required: The fields that must be present.

    Returns:
        The check.
    """

    def check(value: Any, where: str) -> None:
        json_object(value, where)
        for name in required:
            if name not in value:
                raise InvalidRequest(f"{where}.{name}: found nothing, expected a value (required)")
        for name, item in value.items():
            if name not in fields:
                raise InvalidRequest(
                    f"{where}.{name}: unknown field, expected one of: {', '.join(fields)}"
                )
            fields[name](item, f"{where}.{name}")

    return check


def parse_json(source: bytes | str) -> Any:
    """Parse JSON as the standard defines it: without NaN and Infinity.

    Args:
        source: JSON text, in UTF-8 when it is bytes.

    Returns:
        The value.

    Raises:
        ValueError: It is not JSON.
    """
    return json.loads(source, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
