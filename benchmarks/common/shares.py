"""Shares of a process's time, by package and by function."""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

WAIT = "poll"
"""Waiting for the next event: no CPU."""


def shares(profile: cProfile.Profile) -> list[tuple[str, float]]:
    """Return each package's share of the time in %, the largest first."""
    return summed(profile, package_of)


def functions(profile: cProfile.Profile) -> list[tuple[str, float]]:
    """Return each function's own share of the time in %, without what it calls."""
    return summed(profile, lambda file, name: f"{package_of(file, name)}: {name.strip('<>')}")


def summed(profile: cProfile.Profile, named: Callable[[str, str], str]) -> list[tuple[str, float]]:
    """Sum the time of functions under a name, in % of all, the largest first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for (file, _, name), (_, _, own_s, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if WAIT not in name:
            seconds[named(file, name)] += own_s
    whole_s = sum(seconds.values())
    ordered = sorted(seconds.items(), key=lambda each: -each[1])
    return [(name, 100 * each_s / whole_s) for name, each_s in ordered]


def package_of(file: str, name: str) -> str:
    """Name the package of a function: "socket" for writes and reads, "built in" for C code."""
    if file == "~":
        return "socket" if "_socket" in name else "built in"
    parts = Path(file).parts
    if "site-packages" in parts:
        at = parts.index("site-packages") + 1
        return ".".join(parts[at : at + 2]) if parts[at] == "livekit" else parts[at]
    for own in ("livekit_plugins_speko", "benchmarks"):
        if own in parts:
            return own
    return "asyncio" if "asyncio" in parts else "Python's library"
