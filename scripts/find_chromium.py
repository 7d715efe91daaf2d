"""Find the browser of the end-to-end tests: `make chromium`.

It prints the path. Without a browser it installs Debian's package in CI (as root, with apt-get),
and otherwise says how to install one.
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
    """Return the browser that CHROMIUM names, or the first with a known name; None without one."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)


def main() -> int:
    """Find the browser, or install it; return the exit status."""
    named = os.environ.get("CHROMIUM")
    if find() is None and not named and may_install():
        for command in INSTALL:
            subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    if (found := find()) is not None:
        print(f"The browser of the tests is {found}")
        return 0
    print(f"CHROMIUM is {named}, which is not a program." if named else MISSING, file=sys.stderr)
    return 1


def may_install() -> bool:
    """Return True in CI, as root, on a system with apt-get."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return bool(os.environ.get("CI")) and root and shutil.which("apt-get") is not None


if __name__ == "__main__":
    sys.exit(main())
