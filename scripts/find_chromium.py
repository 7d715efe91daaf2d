"""Finds the browser of the end-to-end tests: `make chromium`.

Prints its path. Where there is none it installs Debian's package when it may (as root, with
apt-get, in CI), and otherwise says how to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The browser that CHROMIUM names, or the first of the known names; None without one."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)


def main() -> int:
    """Find it, or install it; returns the status to exit with."""
    may_install = bool(os.environ.get("CI")) and shutil.which("apt-get") and os.geteuid() == 0
    if find() is None and may_install:
        subprocess.run(["apt-get", "update", "-q"], check=True)
        install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"]
        subprocess.run(install, check=True)
    if (found := find()) is not None:
        print(f"The browser of the tests is {found}")
        return 0
    print(
        "There is no Chromium for the browser's test: `apt install chromium` on Debian, or name "
        "the program of a Chromium or Chrome: CHROMIUM=/path/to/chrome",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
