"""The pages of the documentation: their text, code blocks, tables and links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"

GUIDE = (README, *sorted(DOCS.glob("*.md")), ROOT / "examples" / "README.md")
"""The pages that users read, whose code blocks are run."""

PAGES = (
    *(*GUIDE, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"),
    ROOT / "benchmarks" / "README.md",
)
"""Every page, whose links are followed."""

# A fence's line begins with ``` and maybe a language.
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    """A page's path from the root, as tests are called by it."""
    return page.relative_to(ROOT).as_posix()


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCED.sub("", text(page))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [code for found, code in _FENCED.findall(text(page)) if found == language]


def block(containing: str) -> str:
    """The one Python block of the guide that holds this text."""
    (found,) = [code for page in GUIDE for code in blocks(page, "python") if containing in code]
    return found


def links(page: Path) -> list[str]:
    """The targets of a page's links to other files and to headings."""
    return [target for target in _LINK.findall(prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def section(page: Path, heading: str) -> str:
    """What follows a heading, until the next one of its level or above."""
    level = heading.index(" ")
    _, _, rest = text(page).partition(f"{heading}\n")
    assert rest, f"{name(page)} has no heading {heading!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(markdown: str) -> list[list[str]]:
    """The cells of every row of every table, headers included."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if not line.startswith("| ---")
    ]
