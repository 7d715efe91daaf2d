"""Finds the browser of the end-to-end tests: `make chromium`.

Prints its path. Where there is none it installs Debian's package when it may (as root, with
apt-get, in CI), and otherwise says how to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

INSTALL = (
    ("apt-get", "update", "-q"),
    ("apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"),
)
MISSING = (
    "There is no Chromium for the browser's test: `apt install chromium` on Debian, or name the "
    "program of a Chromium or Chrome: CHROMIUM=/path/to/chrome"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The browser that CHROMIUM names, or the first of the known names; None without one."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)


def main() -> int:
    """Find it, or install it; returns the status to exit with."""
    named = os.environ.get("CHROMIUM")
    if find() is None and not named and may_install():
        for command in INSTALL:
            subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    if (found := find()) is not None:
        print(f"The browser of the tests is {found}")
        return 0
    print(f"CHROMIUM is {named}, which is no program." if named else MISSING, file=sys.stderr)
    return 1


def may_install() -> bool:
    """Whether this is a CI's machine, as root, with Debian's packages."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return bool(os.environ.get("CI")) and root and shutil.which("apt-get") is not None


if __name__ == "__main__":
    sys.exit(main())
