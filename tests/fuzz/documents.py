"""JSON out of any bytes, made of the words of a wire: most bytes alone are no JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

_NUMBERS = (0, 1, -1, 0.5, 24_000, 2**63, 1e308, -1e308, 10**400, float("nan"), float("inf"))
_MOST_DEPTH = 900


def words_of(texts: Sequence[str]) -> list[str]:
    """The words of a wire's examples: keys, types and values."""
    return sorted({word for text in texts for word in re.findall(r'"([^"]*)"', text)})


class Maker:
    """Makes one value after the other of bytes, until they are used up."""

    def __init__(self, data: bytes, words: Sequence[str]) -> None:
        self._bytes = iter(data)
        self._words = words

    def _next(self) -> int:
        return next(self._bytes, 0)

    def _word(self) -> str:
        return self._words[self._next() % len(self._words)]

    def value(self, depth: int = 0) -> Any:
        """A value; deep in a document a plain one."""
        kind = self._next() % 10
        if depth > 6 or kind < 4:
            return self._word()
        if kind == 4:
            return _NUMBERS[self._next() % len(_NUMBERS)]
        if kind == 5:
            return [None, True, False, ""][self._next() % 4]
        if kind == 6:
            return bytes(self._next() for _ in range(self._next() % 9)).decode("latin-1")
        if kind == 7:
            return [self.value(depth + 1) for _ in range(self._next() % 4)]
        return self.document(depth + 1)

    def document(self, depth: int = 0) -> dict[str, Any]:
        """An object."""
        return {self._word(): self.value(depth) for _ in range(self._next() % 8)}

    def nest(self) -> int:
        """A depth, which is mostly none."""
        return self._next() * _MOST_DEPTH // 255 if self._next() > 250 else 0


def from_bytes(data: bytes, words: Sequence[str], examples: Sequence[str]) -> bytes:
    """A document: one of the examples with changes, as the bytes say."""
    maker = Maker(data[1:], words)
    known = json.loads(examples[data[0] % len(examples)]) if data else {}
    text = json.dumps({**known, **maker.document()})
    depth = maker.nest()
    return text.replace('""', "[" * depth + '""' + "]" * depth, 1).encode()
