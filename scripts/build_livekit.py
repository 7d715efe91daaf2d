"""Build LiveKit's open source server into .tools/: `make livekit`.

Its source comes from the Go module proxy that your Go is set to, at the release pinned below, and
Go checks it against its checksum database. Nothing is written outside the checkout, but Go's own
counters of its use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULE = "github.com/livekit/livekit-server/cmd/server"
# `go install` refuses later releases (1.13.6 to 1.13.11), which replace some of their modules.
RELEASE = "v1.13.5"
# The version that the release requires.
GO = "1.26"
PROGRAM = ROOT / ".tools" / "livekit-server"
CACHE = ROOT / ".cache" / "go"

ANOTHER_WAY = f"""\
Another way to the server: take {RELEASE} or a newer one from
https://github.com/livekit/livekit/releases, or `brew install livekit`, or copy it out of the
container image livekit/livekit-server, and name its file: LIVEKIT_SERVER=/path/to/livekit-server"""


def main() -> int:
    """Find the server or build it; return the exit status."""
    named = os.environ.get("LIVEKIT_SERVER")
    if named:
        return use(named)
    if version(PROGRAM) == RELEASE:
        print(f"LiveKit's server {RELEASE} is built: {PROGRAM.relative_to(ROOT)}")
        return 0
    go = shutil.which("go")
    if go is None:
        return fail(f"There is no Go to build LiveKit's server with: install Go {GO} or newer.")
    return build(go)


def use(named: str) -> int:
    """Check the program that LIVEKIT_SERVER names, by its path or its name on the PATH."""
    program = shutil.which(named)
    found = version(Path(program).resolve()) if program else None
    if found is None:
        return fail(f"LIVEKIT_SERVER is {named}, which does not run as LiveKit's server.")
    print(f"LiveKit's server {found} is the one that LIVEKIT_SERVER names: {program}")
    return 0


def version(program: Path) -> str | None:
    """Return the release of a server program, as `v1.13.5`; None if it is missing or another."""
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    name, _, number = done.stdout.strip().rpartition(" version ")
    return f"v{number}" if name == "livekit-server" else None


def build(go: str) -> int:
    """Build the server with Go, and move it to its place once it is complete."""
    print(f"Building LiveKit's server {RELEASE} with Go: two minutes, once ...", flush=True)
    began_s = time.monotonic()
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("GOOS", "GOARCH")},
        "GO111MODULE": "on",
        "GOPATH": str(CACHE),
        "GOMODCACHE": str(CACHE / "modules"),
        "GOCACHE": str(CACHE / "build"),
        "GOBIN": str(CACHE / "bin"),
        # So that `make clean` can remove the modules.
        "GOFLAGS": "-modcacherw",
    }
    # Without debug tables it is half as large.
    command = [go, "install", "-trimpath", "-ldflags=-s -w", f"{MODULE}@{RELEASE}"]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        return fail(
            f"Go could not build it: see its output above. It has to be Go {GO} or newer, with "
            "access to a module proxy (go env GOPROXY)."
        )
    PROGRAM.parent.mkdir(exist_ok=True)
    shutil.move(CACHE / "bin" / "server", PROGRAM)
    # A gigabyte that is of no use without another build.
    shutil.rmtree(CACHE)
    print(f"Built {PROGRAM.relative_to(ROOT)} in {time.monotonic() - began_s:.0f} s.")
    return 0


def fail(why: str) -> int:
    """Print why there is no server and other ways to get one; return the exit status."""
    print(f"{why}\n{ANOTHER_WAY}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
