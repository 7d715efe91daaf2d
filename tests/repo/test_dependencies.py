"""The package declares what it imports, and nothing else."""

from __future__ import annotations

import ast
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import livekit_plugins_speko as package

ROOT = Path(package.__file__).parent
REQUIREMENTS = [Requirement(each) for each in metadata.requires("livekit-plugins-speko") or ()]
DECLARED = {each.name for each in REQUIREMENTS if "extra" not in str(each.marker)}
# Every session needs a voice detector; README and examples use this one.
FOR_USERS = {"livekit-plugins-silero"}


def imported() -> set[str]:
    """The top names of the libraries that any module of the package imports."""
    names = set()
    for module in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module)
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"__future__"}


@cache
def brought() -> dict[str, set[str]]:
    """The distributions of each top folder or file. Python 3.10 itself reads no file lists."""
    found: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        for top in {file.parts[0] for file in distribution.files or ()}:
            found.setdefault(top.removesuffix(".py"), set()).add(distribution.metadata["Name"])
    return found


def distributions_of(name: str) -> set[str]:
    """Those that bring a module. One that is missing here is called as its module is."""
    found = brought().get(name, ())
    return {each.lower().replace("_", "-") for each in found} or {name.replace("_", "-")}


def test_every_library_that_is_imported_is_declared() -> None:
    undeclared = {name for name in imported() if not distributions_of(name) & DECLARED}
    assert not undeclared


def test_every_declared_library_is_imported() -> None:
    used = set().union(*map(distributions_of, imported()))
    assert DECLARED - FOR_USERS - used == set()
