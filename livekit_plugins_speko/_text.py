"""Tell texts that can be said from those that cannot. No I/O."""

from __future__ import annotations

import re

TAG = re.compile(r"</?[A-Za-z][^<>]*>")
"""A markup tag: `<break time="1s"/>`, `</p>`. Not "3 < 5" and not "<3"."""

# Unicode counts them as letters, and they are blank.
_FILLERS = re.compile("[\u115f\u1160\u3164\uffa0]")


def is_speakable(text: str) -> bool:
    """Return True if a text holds a letter or a digit of any script, markup tags apart.

    A voice has no audio for "!", "...", "」", "♪" or an emoji: some providers respond with nothing
    and some with an error. So such a text is treated as a blank one.
    """
    return any(map(str.isalnum, _FILLERS.sub("", TAG.sub("", text))))
