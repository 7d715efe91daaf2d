"""What the service says of a fault, without what it must not show: the key, and what was said."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

REDACTED = "[redacted]"
"""What stands in a fault's text in the place of the API key, or of an echo of the call."""

MAX_MESSAGE_CHARS = 1_000
"""How much of the service's message is shown, in characters."""

_MOST_READ_CHARS = 16 * MAX_MESSAGE_CHARS
# Self-hosted services are used with keys such as "test" or "1", which hide nothing.
_SHORTEST_KEY = 4
_SHORTEST_KEY_IN_HEADERS = 8
_SHORTEST_ECHO = 4
# A piece of a reply that is shorter may be any word of any message.
_SHORTEST_PIECE = 12
_MOST_HEARD = 1_000
_SENT = ("text", "systemPrompt", "instructions")


class Redaction:
    """Takes the API key, and a call's own words, out of an answer's texts. One for each call."""

    def __init__(self, api_key: str, body: Mapping[str, Any] | None = None) -> None:
        """Hide `api_key`, and what stands in a request's JSON `body` of what people said."""
        self._api_key = api_key
        self._body = body or {}
        # Texts and tool arguments that the answer's last events have brought.
        self._heard: deque[str] = deque(maxlen=_MOST_HEARD)

    def hear(self, payload: Mapping[str, Any]) -> None:
        """Hide what an event of the answer says, too."""
        for name in ("text", "args"):
            if isinstance(value := payload.get(name), str):
                self._heard.append(value)

    def key(self, value: str) -> str:
        """`value` without the key."""
        return self._replaced(value, _SHORTEST_KEY)

    def header(self, value: str) -> str:
        """`value` without the key, unless a plain word of headers could be the key."""
        return self._replaced(value, _SHORTEST_KEY_IN_HEADERS)

    def _replaced(self, value: str, shortest: int) -> str:
        known = len(self._api_key) >= shortest
        return value.replace(self._api_key, REDACTED) if known else value

    def text(self, value: str) -> str:
        """`value` without the key and without what was said. Only whole echoes are found."""
        shown = self.key(value)[:_MOST_READ_CHARS]
        said = {text.strip() for text in (*_said_in(self._body), *self._heard_at_once())}
        forms = {form for text in said if len(text) >= _SHORTEST_ECHO for form in _forms(text)}
        for form in sorted(forms, key=len, reverse=True):
            if form in shown:
                shown = re.sub(_standing_alone(form), REDACTED, shown)
        if len(value) > _MOST_READ_CHARS:
            # What follows the last echo may be one that was cut off.
            before, echo, rest = shown.rpartition(REDACTED)
            shown = before + echo or rest
        return shown[:MAX_MESSAGE_CHARS]

    def payload(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """An error's object, as far as it is read: its message and its code without either."""
        read = {name: payload.get(name) for name in ("error", "code")}
        return {name: self.text(value) for name, value in read.items() if isinstance(value, str)}

    def _heard_at_once(self) -> list[str]:
        """The reply so far, and what came as more than a word of it."""
        pieces = [text for text in self._heard if len(text.strip()) >= _SHORTEST_PIECE]
        return ["".join(self._heard), *pieces]


def _said_in(body: Mapping[str, Any]) -> list[str]:
    said = [body.get(field) for field in _SENT]
    for message in body.get("messages") or ():
        said.append(message.get("content"))
        said += [call.get("args") for call in _mappings(message.get("toolCalls"))]
    return [text for text in said if isinstance(text, str)]


def _forms(text: str) -> list[str]:
    """A text as it is, and as it stands inside JSON. The start of one that is never read whole."""
    forms = text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
    return [
        form if len(form) <= _MOST_READ_CHARS else form[: _MOST_READ_CHARS // 2] for form in forms
    ]


def _standing_alone(form: str) -> str:
    """A pattern that finds "time" and not "timeout". Not every script has such borders."""
    before = r"(?<![0-9A-Za-z_])" if re.match(r"[0-9A-Za-z_]", form) else ""
    after = r"(?![0-9A-Za-z_])" if re.search(r"[0-9A-Za-z_]\Z", form) else ""
    return before + re.escape(form) + after


def _mappings(calls: Any) -> Iterable[Mapping[str, Any]]:
    return [call for call in calls or () if isinstance(call, Mapping)]
