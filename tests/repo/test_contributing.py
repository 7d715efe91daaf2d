"""The page for contributors beside what it describes: the commands and the floors of imports."""

from __future__ import annotations

import re

from tests.repo.pages import ROOT, rows, section, text
from tests.repo.test_package import FLOORS

CONTRIBUTING = ROOT / "CONTRIBUTING.md"


def test_every_command_of_make_is_listed() -> None:
    listed = re.findall(r"^\| `make (\w+)", section(CONTRIBUTING, "## Commands"), re.MULTILINE)
    targets = re.findall(r"^([a-z0-9]+):.*## ", text(ROOT / "Makefile"), re.MULTILINE)
    assert sorted(listed) == sorted(targets)


def test_the_floors_are_those_that_imports_are_held_to() -> None:
    floors = [row for row in rows(section(CONTRIBUTING, "## Code")) if row[0].isdigit()]
    assert [int(number) for number, *_ in floors] == list(range(1, len(FLOORS) + 1))
    assert tuple(set(re.findall(r"`(\w+)`", names)) for _, names, _ in floors) == FLOORS


def test_every_folder_of_tests_that_mirrors_no_part_is_listed() -> None:
    listed = {row[0] for row in rows(section(CONTRIBUTING, "## Tests"))[1:]}
    package = {path.name for path in (ROOT / "livekit_plugins_speko").iterdir()} | {"examples"}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")} - package
    assert folders == {name.split("/")[1].strip("`") for name in listed}
