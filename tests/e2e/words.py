"""Words as they are compared: what was said against what was understood."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path

from examples.engines import Recogniser

FIXTURES = Path(__file__).parent.parent / "fixtures"
# What the caller says in each WAV.
SAID: dict[str, str] = json.loads((FIXTURES / "fixtures.json").read_text(encoding="utf-8"))
# Digits that a recogniser writes for words.
NUMBERS = {"9": "nine", "5": "five"}


def words(text: str) -> list[str]:
    """The words of a text, without their spelling's accidents."""
    return [NUMBERS.get(word, word) for word in re.findall(r"[^\W_]+", text.lower())]


def heard(recogniser: Recogniser, wav: bytes) -> str:
    """What is understood of a recording."""
    return " ".join(words(recogniser.transcribe(wav)))


def share_heard(expected: str, text: str) -> float:
    """How much of the expected words a text has, in their order: 1.0 is all of them."""
    wanted, found = words(expected), words(text)
    blocks = difflib.SequenceMatcher(None, wanted, found, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(wanted)
