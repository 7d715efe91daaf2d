"""Small checks of JSON values, and their combination to the shape of a whole request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]
"""Takes a value and the name of its place; raises `InvalidRequest` when it is not as it should."""


class InvalidRequest(Exception):
    """A request that the service refuses.

    Attributes:
        status: The HTTP status of the refusal.
        code: The service's code for it.
    """

    def __init__(self, error: str, *, status: int = 400, code: str = "VALIDATION_ERROR") -> None:
        """Makes the refusal.

        Args:
            error: What was found and what was expected.
            status: The HTTP status of the refusal.
            code: The service's code for it.
        """
        super().__init__(error)
        self.status = status
        self.code = code


def wrong(where: str, found: Any, expected: str) -> InvalidRequest:
    """Makes the error for a value that is not as it should be.

    Args:
        where: The name of the value's place.
        found: The value.
        expected: What should stand there, in words.

    Returns:
        The error, to be raised.
    """
    shown = json.dumps(found)
    if len(shown) > 80:
        shown = f"{shown[:77]}..."
    return InvalidRequest(f"{where}: found {shown}, expected {expected}")


def string(value: Any, where: str) -> None:
    """Lets any string pass, the empty one too."""
    if not isinstance(value, str):
        raise wrong(where, value, "a string")


def text(value: Any, where: str) -> None:
    """Lets strings pass that hold more than white space."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(where, value, "a non-blank string")


def text_up_to(most: int) -> Check:
    """Makes a check for non-blank strings of at most so many characters."""

    def check(value: Any, where: str) -> None:
        text(value, where)
        if len(value) > most:
            raise InvalidRequest(f"{where}: found {len(value)} characters, expected <= {most}")

    return check


def boolean(value: Any, where: str) -> None:
    """Lets true and false pass."""
    if not isinstance(value, bool):
        raise wrong(where, value, "true or false")


def number(low: float, high: float) -> Check:
    """Makes a check for numbers from low to high, both included."""

    def check(value: Any, where: str) -> None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise wrong(where, value, f"a number from {low} to {high}")

    return check


def whole(low: int) -> Check:
    """Makes a check for whole numbers that are not below low."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise wrong(where, value, f"a whole number >= {low}")

    return check


def one_of(*choices: str) -> Check:
    """Makes a check for a string out of a few."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in choices:
            raise wrong(where, value, f"one of: {', '.join(choices)}")

    return check


def json_text(value: Any, where: str) -> None:
    """Lets strings pass that are JSON."""
    string(value, where)
    try:
        parse_json(value)
    except ValueError:
        raise wrong(where, value, "a string that holds JSON") from None


def json_object(value: Any, where: str) -> None:
    """Lets any JSON object pass."""
    if not isinstance(value, dict):
        raise wrong(where, value, "an object")


def list_of(each: Check, *, least: int = 0, most: int) -> Check:
    """Makes a check for lists of a length from least to most whose items all pass."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise wrong(where, value, "a list")
        if not least <= len(value) <= most:
            raise InvalidRequest(f"{where}: found {len(value)} items, expected {least} to {most}")
        for index, item in enumerate(value):
            each(item, f"{where}[{index}]")

    return check


def record(fields: Mapping[str, Check], *, required: tuple[str, ...] = ()) -> Check:
    """Makes a check for objects that have the required fields, no unknown ones, and valid ones.

    Args:
        fields: Each known field with the check of its value.
        required: The fields that must be there.

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
    """Reads JSON as the standard has it: without NaN and Infinity.

    Args:
        source: JSON text, in UTF-8 when it is bytes.

    Returns:
        The value.

    Raises:
        ValueError: It is no JSON.
    """
    return json.loads(source, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
