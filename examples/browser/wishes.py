"""The settings that a page may ask for; all others are the server's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Allowed = Mapping[str, tuple[str | int, ...]]

# Any page, and anyone without one, can ask for anything: name each value that costs no harm. A dot
# leads into an object.
CONVERSATION: Allowed = {
    "intent.language": ("en-US", "en-GB"),
    "voice": ("sophia",),
}
REALTIME: Allowed = {
    "provider": ("openai",),
    "model": ("gpt-realtime",),
    "voice": ("alloy", "marin"),
    "inputSampleRate": (16_000, 24_000),
    "outputSampleRate": (16_000, 24_000),
}


class Refused(ValueError):
    """A page asked for what it may not have; the text is for the page."""


def read_wishes(asked: object, allowed: Allowed) -> dict[str, Any]:
    """Check what a page asks for.

    Args:
        asked: The JSON of its request.
        allowed: The values of each setting that it may ask for.

    Returns:
        The settings, by their names in `allowed`.

    Raises:
        Refused: It asks for something else.
    """
    if not isinstance(asked, dict):
        raise Refused("The request must be a JSON object.")
    wishes = dict(_flat(asked, allowed))
    for name, value in wishes.items():
        if name not in allowed:
            # Without the name, which may be as long as the request.
            raise Refused(f"A page may ask for these alone: {', '.join(allowed)}.")
        # True is no rate, though Python has it equal to 1.
        if (type(value), value) not in [(type(each), each) for each in allowed[name]]:
            values = ", ".join(map(str, allowed[name]))
            raise Refused(f'"{name}" must be one of: {values}.')
    return wishes


def _flat(asked: Mapping[str, Any], allowed: Allowed) -> list[tuple[str, Any]]:
    """Name what is in the objects that hold settings by dots, as `allowed` does."""
    objects = {name.partition(".")[0] for name in allowed if "." in name}
    flat: list[tuple[str, Any]] = []
    for name, value in asked.items():
        if name in objects and isinstance(value, dict):
            flat += [(f"{name}.{inner}", each) for inner, each in value.items()]
        else:
            flat.append((name, value))
    return flat
