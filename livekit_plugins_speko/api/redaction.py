"""Removes the API key, and whole echoes of a call, from the service's texts about a fault."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping

from .issues import describe_issues
from .limits import MAX_ERROR_BYTES

REDACTED = "[redacted]"
"""Replacement of the API key, or of an echo, in a text."""

MAX_MESSAGE_CHARS = 1_000
"""Most characters shown of the service's message."""

SHORTEST_SECRET_BYTES = 8
"""Shortest key or echo that is looked for, in bytes of UTF-8. Keys of self-hosted services such as
"test", and words such as "time" or "yes", are in messages that say something else."""

_MOST_EVENTS = 1_000


class Redaction:
    """Redacts the texts of one response. The key is always removed.

    An echo is found where a whole text comes back, as it was or as JSON escapes it: each one sent,
    each transcript or tool call received, and the reply received so far.
    """

    def __init__(
        self, api_key: str, said: tuple[str, ...] = (), *, tokens: tuple[str, ...] = ()
    ) -> None:
        """Hide `api_key`, other `tokens`, and the texts that the request `said`."""
        self._secrets = _to_hide([api_key, *tokens])
        self._said = said
        # Texts received: the latest transcripts and tool calls, and the latest pieces of the reply.
        self._received: deque[str] = deque(maxlen=_MOST_EVENTS)
        self._reply: deque[str] = deque(maxlen=_MOST_EVENTS)

    def note(self, event: str, payload: Mapping[str, object]) -> None:
        """Hide the text or the arguments of an event received, too."""
        texts = self._reply if event == "delta" else self._received
        for name in ("text", "args"):
            if isinstance(text := payload.get(name), str):
                texts.append(text)

    def key(self, value: str) -> str:
        """Return `value` without the key and the tokens."""
        return _without(self._secrets, value)

    def message(self, value: str) -> str:
        """Return the service's message without the key and without echoes, cut to a length."""
        if len(value) > MAX_ERROR_BYTES:
            return f"(a message of {len(value)} characters)"
        said = [*self._said, *self._received, "".join(self._reply)]
        return _without(_to_hide(_spellings(said)), self.key(value))[:MAX_MESSAGE_CHARS]

    def error(self, payload: Mapping[str, object]) -> dict[str, str]:
        """Return an error's message, code and issues as texts, redacted. The rest is not read."""
        read = {name: payload.get(name) for name in ("error", "code")}
        read["issues"] = describe_issues(payload.get("issues")) or None
        return {name: self.message(value) for name, value in read.items() if isinstance(value, str)}


def without_key(fault: BaseException, redact: Callable[[str], str]) -> BaseException:
    """Remove the frames and the key from an error and from its causes.

    Frames hold the request's headers, and a text may quote a response.
    """
    seen: list[BaseException] = []
    link: BaseException | None = fault
    while link is not None and link not in seen:
        seen.append(link)
        link.__traceback__ = None
        link.args = tuple(
            redact(argument) if isinstance(argument, str) else argument for argument in link.args
        )
        link = link.__cause__ or link.__context__
    return fault


def _spellings(texts: list[str]) -> list[str]:
    """Each text as it is, and as JSON spells it with and without ASCII escapes."""
    stripped = [text.strip() for text in texts]
    quoted = [json.dumps(text, ensure_ascii=ascii) for text in stripped for ascii in (True, False)]
    return [*stripped, *(text[1:-1] for text in quoted)]


def _to_hide(secrets: list[str]) -> list[str]:
    """Return those that are long enough, the longest first: one may be a part of another."""
    return sorted(
        (each for each in secrets if len(each.encode(errors="replace")) >= SHORTEST_SECRET_BYTES),
        key=len,
        reverse=True,
    )


def _without(secrets: list[str], value: str) -> str:
    for secret in secrets:
        value = value.replace(secret, REDACTED)
    return value
