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


def is_understood(told: str, found: str) -> bool:
    """Whether what was heard is what was told: enough of its words, in their order, and no more.

    The recogniser is Whisper's smallest, which takes a word for another now and then, and writes
    numbers in its own way. A reply cut short loses more words, and one said twice has more.
    """
    spoken, ear = words(told), words(found)
    wanted = [word for word in spoken if not word.isdigit()]
    blocks = difflib.SequenceMatcher(None, wanted, ear, autojunk=False).get_matching_blocks()
    missed = len(wanted) - sum(block.size for block in blocks)
    # Of "10:18 in Tokyo" two words count: one of them may be missed.
    is_whole = missed < len(wanted) and missed <= max(1, len(wanted) / 4)
    return is_whole and len(ear) <= 1.3 * len(spoken) + 2
