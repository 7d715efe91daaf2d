"""What the service says of a fault, without what it must not show: the key, and what was said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

REDACTED = "[redacted]"
"""What stands in a fault's text in the place of the API key, or of an echo of the request."""

_SHORTEST_ECHO = 4
_PRIVATE_FIELDS = ("text", "systemPrompt", "instructions")


class Redaction:
    """Takes the API key, and a request's own words, out of an answer's texts."""

    def __init__(self, api_key: str, body: Mapping[str, Any] | None = None) -> None:
        """Hide `api_key`, and what stands in a request's JSON `body` of what people said."""
        self._api_key = api_key
        self._body = body

    def header(self, value: str) -> str:
        """`value` without the key."""
        return value.replace(self._api_key, REDACTED)

    def text(self, value: str) -> str:
        """`value` without either. Only whole echoes are found."""
        for said in sorted(_said_in(self._body or {}), key=len, reverse=True):
            value = value.replace(said, REDACTED)
        return self.header(value)

    def payload(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """An error's object with each of its texts so."""
        return {
            name: self.text(value) if isinstance(value, str) else value
            for name, value in payload.items()
        }


def _said_in(body: Mapping[str, Any]) -> list[str]:
    said = [body.get(field) for field in _PRIVATE_FIELDS]
    for message in body.get("messages") or ():
        said.append(message.get("content"))
        said += [call.get("args") for call in _mappings(message.get("toolCalls"))]
    whole = [text.strip() for text in said if isinstance(text, str)]
    return [text for text in whole if len(text) >= _SHORTEST_ECHO]


def _mappings(calls: Any) -> Iterable[Mapping[str, Any]]:
    return [call for call in calls or () if isinstance(call, Mapping)]
