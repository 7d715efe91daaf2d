"""Build a server that the tests need into .tools/: `make livekit`, `make toxiproxy`.

    python scripts/build_tool.py toxiproxy

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
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache" / "go"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A server that is built with Go.

    Attributes:
        title: Its name in sentences.
        name: The program's name, which it also gives with its version.
        package: What Go builds; the file that it makes is called `server`.
        release: The release of the module.
        go: The oldest Go that builds it.
        takes: How long that takes.
        ldflags: Further options of the linker.
        variable: Names another program to use instead.
        elsewhere: Where else there is one.
    """

    title: str
    name: str
    package: str
    release: str
    go: str
    takes: str
    ldflags: str = ""
    variable: str
    elsewhere: str

    @property
    def program(self) -> Path:
        """The place of what is built."""
        return ROOT / ".tools" / self.name


TOOLS = {
    "livekit": Tool(
        title="LiveKit's server",
        name="livekit-server",
        package="github.com/livekit/livekit-server/cmd/server",
        # `go install` refuses later releases (1.13.6 to 1.13.11), which replace some modules.
        release="v1.13.5",
        go="1.26",
        takes="two minutes",
        variable="LIVEKIT_SERVER",
        elsewhere="https://github.com/livekit/livekit/releases, or `brew install livekit`, or\n"
        "copy it out of the container image livekit/livekit-server",
    ),
    "toxiproxy": Tool(
        title="Toxiproxy",
        name="toxiproxy-server",
        package="github.com/Shopify/toxiproxy/v2/cmd/server",
        release="v2.12.0",
        go="1.23",
        takes="one minute",
        ldflags="-X github.com/Shopify/toxiproxy/v2.Version=2.12.0",
        variable="TOXIPROXY_SERVER",
        elsewhere="https://github.com/Shopify/toxiproxy/releases, or `brew install toxiproxy`",
    ),
}


def main(names: list[str]) -> int:
    """Find each server or build it; return the exit status."""
    return max(find_or_build(TOOLS[name]) for name in names)


def find_or_build(tool: Tool) -> int:
    """Find the server or build it; return the exit status."""
    named = os.environ.get(tool.variable)
    if named:
        return use(tool, named)
    if version(tool, tool.program) == tool.release:
        print(f"{tool.title} {tool.release} is built: {tool.program.relative_to(ROOT)}")
        return 0
    go = shutil.which("go")
    if go is None:
        return fail(
            tool, f"There is no Go to build {tool.title} with: install Go {tool.go} or newer."
        )
    return build(tool, go)


def use(tool: Tool, named: str) -> int:
    """Check the program that the environment names, by its path or its name on the PATH."""
    program = shutil.which(named)
    found = version(tool, Path(program).resolve()) if program else None
    if found is None:
        return fail(tool, f"{tool.variable} is {named}, which does not run as {tool.title}.")
    print(f"{tool.title} {found} is the one that {tool.variable} names: {program}")
    return 0


def version(tool: Tool, program: Path) -> str | None:
    """Return the release of a server program, as `v1.13.5`; None if it is missing or another."""
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    name, _, number = done.stdout.strip().rpartition(" version ")
    return f"v{number}" if name == tool.name else None


def build(tool: Tool, go: str) -> int:
    """Build the server with Go, and move it to its place once it is complete."""
    print(f"Building {tool.title} {tool.release} with Go: {tool.takes}, once ...", flush=True)
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
    ldflags = f"-ldflags=-s -w {tool.ldflags}".rstrip()
    command = [go, "install", "-trimpath", ldflags, f"{tool.package}@{tool.release}"]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        return fail(
            tool,
            f"Go could not build it: see its output above. It has to be Go {tool.go} or newer, "
            "with access to a module proxy (go env GOPROXY).",
        )
    tool.program.parent.mkdir(exist_ok=True)
    shutil.move(CACHE / "bin" / "server", tool.program)
    # A gigabyte that is of no use without another build.
    shutil.rmtree(CACHE)
    print(f"Built {tool.program.relative_to(ROOT)} in {time.monotonic() - began_s:.0f} s.")
    return 0


def fail(tool: Tool, why: str) -> int:
    """Print why there is no server and other ways to get one; return the exit status."""
    print(
        f"{why}\n"
        f"Another way to {tool.title}: take {tool.release} or a newer one from\n"
        f"{tool.elsewhere},\n"
        f"and name its file: {tool.variable}=/path/to/{tool.name}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    if not set(sys.argv[1:]) or not set(sys.argv[1:]) <= set(TOOLS):
        sys.exit(f"usage: build_tool.py {' | '.join(TOOLS)}")
    sys.exit(main(sys.argv[1:]))
