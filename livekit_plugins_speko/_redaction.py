"""What the service says of a fault, without what it must not show: the key, and what was said."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

REDACTED = "[redacted]"
"""What stands in a fault's text in the place of the API key, or of an echo of the call."""

_SHORTEST_ECHO = 4
_MOST_HEARD = 1_000
_PRIVATE_FIELDS = ("text", "systemPrompt", "instructions")


class Redaction:
    """Takes the API key, and a call's own words, out of an answer's texts. One for each call."""

    def __init__(self, api_key: str, body: Mapping[str, Any] | None = None) -> None:
        """Hide `api_key`, and what stands in a request's JSON `body` of what people said."""
        self._api_key = api_key
        self._body = body or {}
        # Texts that the answer's last events have brought.
        self._heard: deque[str] = deque(maxlen=_MOST_HEARD)

    def hear(self, payload: Mapping[str, Any]) -> None:
        """Hide what an event of the answer says, too."""
        if isinstance(text := payload.get("text"), str):
            self._heard.append(text)

    def key(self, value: str) -> str:
        """`value` without the key."""
        return value.replace(self._api_key, REDACTED)

    def text(self, value: str) -> str:
        """`value` without the key and without what was said. Only whole echoes are found."""
        value = self.key(value)
        said = {text.strip() for text in (*_said_in(self._body), *self._heard_at_once())}
        forms = {form for text in said if len(text) >= _SHORTEST_ECHO for form in _forms(text)}
        for form in sorted(forms, key=len, reverse=True):
            value = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", REDACTED, value)
        return value

    def payload(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """An error's object with each of its texts so."""
        return {
            name: self.text(value) if isinstance(value, str) else value
            for name, value in payload.items()
        }

    def _heard_at_once(self) -> list[str]:
        """The reply so far, and what came as more than a word of it."""
        return ["".join(self._heard), *(text for text in self._heard if " " in text.strip())]


def _said_in(body: Mapping[str, Any]) -> list[str]:
    said = [body.get(field) for field in _PRIVATE_FIELDS]
    for message in body.get("messages") or ():
        said.append(message.get("content"))
        said += [call.get("args") for call in _mappings(message.get("toolCalls"))]
    return [text for text in said if isinstance(text, str)]


def _forms(text: str) -> tuple[str, ...]:
    """A text as it is, and as it stands inside JSON."""
    return text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _mappings(calls: Any) -> Iterable[Mapping[str, Any]]:
    return [call for call in calls or () if isinstance(call, Mapping)]
