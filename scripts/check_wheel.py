"""Check the wheel that is installed in this environment: `make wheel`.

Usage: python -I scripts/check_wheel.py dist/NAME.whl
"""

from __future__ import annotations

import re
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from livekit.plugins import speko

import livekit_plugins_speko
import livekit_plugins_speko.testing

NAME = "livekit-plugins-speko"
PACKAGE = "livekit_plugins_speko"
CORE = [
    "aiohttp",
    "anyio",
    "httpx",
    "livekit",
    "livekit-agents",
    "livekit-plugins-silero",
    "multidict",
    "numpy",
    "opentelemetry-api",
    "pydantic",
    "yarl",
]


def wheel_problems(wheel: Path) -> list[str]:
    """Return the problems of the files in the wheel, one sentence each."""
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        f"{PACKAGE}/py.typed",
        f"{PACKAGE}/testing/__init__.py",
        "livekit/plugins/speko/__init__.py",
        "livekit/plugins/speko/py.typed",
    }
    problems = [f"the wheel lacks {name}" for name in sorted(needed - names)]
    expected = re.compile(rf"({PACKAGE}(-[^/]+\.dist-info)?|livekit/plugins/speko)/")
    strangers = sorted(name for name in names if not expected.match(name))
    problems += [f"the wheel holds {name}, which is not the package's" for name in strangers]
    return problems


def installed_problems() -> list[str]:
    """Return the problems of the installed package, one sentence each."""
    problems = []
    where = Path(livekit_plugins_speko.__file__)
    if not where.is_relative_to(sys.prefix):
        problems.append(f"imported from {where}, expected a place under {sys.prefix}")
    said, installed = livekit_plugins_speko.__version__, metadata.version(NAME)
    if said != installed:
        problems.append(f"__version__ is {said}, expected the distribution's {installed}")
    for short in ("STT", "LLM", "TTS", "RealtimeModel"):
        if getattr(speko, short) is not getattr(livekit_plugins_speko, f"Speko{short}"):
            problems.append(f"livekit.plugins.speko.{short} is not Speko{short}")
    requires = metadata.requires(NAME) or []
    core = sorted(
        re.split(r"[^\w.-]", line)[0] for line in requires if not re.search(r";.*\bextra\b", line)
    )
    if core != CORE:
        problems.append(f"the core dependencies are {core}, expected {CORE}")
    return problems


def main(wheel: str) -> int:
    """Print the version, or the problems of the wheel; return the exit status."""
    problems = wheel_problems(Path(wheel)) + installed_problems()
    for problem in problems:
        print(f"check_wheel: {problem}", file=sys.stderr)
    if not problems:
        print(f"{NAME} {livekit_plugins_speko.__version__} imports from its wheel")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
