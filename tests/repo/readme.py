"""The README, and its code blocks."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(containing: str) -> str:
    """The one code block that holds this text."""
    (found,) = [str(code) for code in BLOCKS if containing in code]
    return found
