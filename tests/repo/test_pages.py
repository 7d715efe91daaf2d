"""The pages of the documentation: links, names of tests, commands of make, and sizes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repo.pages import (
    DOCS,
    GUIDE,
    PAGES,
    README,
    ROOT,
    anchors,
    links,
    name,
    prose,
    text,
)

MOST_COLUMNS = 120
MOST_README_BYTES = 7_000


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name(page)} links to {link}"


def test_a_link_to_a_missing_heading_is_found() -> None:
    assert "the-client-alone" in anchors(DOCS / "errors.md")
    assert "the-client-together" not in anchors(DOCS / "errors.md")
    assert "errors.md#the-client-alone" in links(DOCS / "options.md")


def test_the_readme_links_to_every_page_of_the_docs() -> None:
    assert {name(page) for page in DOCS.glob("*.md")} <= {
        link.partition("#")[0] for link in links(README)
    }


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= MOST_README_BYTES


@pytest.mark.parametrize(
    "page", [*GUIDE, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"], ids=name
)
def test_lines_are_short(page: Path) -> None:
    long = [line for line in text(page).splitlines() if len(line) > MOST_COLUMNS]
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tests_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", text(page)))
    files = (ROOT / "tests").rglob("test_*.py")
    assert named <= {test for file in files for test in re.findall(r"def (test_\w+)", text(file))}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_commands_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9]+):", makefile, re.MULTILINE))
    for command in re.findall(r"`make ([a-z0-9 ]+)`", prose(page)):
        assert set(command.split()) <= targets, f"{name(page)} has make {command}"
