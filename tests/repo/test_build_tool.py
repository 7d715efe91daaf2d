"""The script that builds the tests' servers: its output, its errors, and that it builds once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "build_tool.py"
# A Go that builds, and one that fails.
GO = """#!/bin/sh
echo "go $@"
mkdir -p "$GOBIN" && printf '{server}' > "$GOBIN/server" && chmod +x "$GOBIN/server"
"""
BROKEN_GO = "#!/bin/sh\necho 'module lookup disabled' >&2\nexit 1\n"
# The tool, its title and its pinned release.
TOOLS = [("livekit", "LiveKit's server", "1.13.5"), ("toxiproxy", "Toxiproxy", "2.12.0")]


class Checkout:
    """A folder with the script in it, a PATH of its own, and the tool to build.

    Attributes:
        tool: Its name for the script.
        title: Its name in sentences.
        release: The pinned one.
        variable: Names another program.
        server: A program that says that it is the tool.
        go: A Go that builds it.
    """

    def __init__(self, folder: Path, tool: str, title: str, release: str) -> None:
        self.folder = folder
        self.tool, self.title, self.release = tool, title, release
        self.variable = f"{tool.upper()}_SERVER"
        self.server = f"#!/bin/sh\\necho {tool}-server version {release}\\n"
        self.go = GO.format(server=self.server)
        self.path = folder / "path"
        self.path.mkdir()
        (folder / "scripts").mkdir()
        shutil.copy(SCRIPT, folder / "scripts")
        for name in ("sh", "mkdir", "chmod", "printf"):
            self.path.joinpath(name).symlink_to(shutil.which(name) or name)

    @property
    def built(self) -> Path:
        """Where the script puts the tool."""
        return self.folder / ".tools" / f"{self.tool}-server"

    def program(self, name: str, text: str) -> Path:
        """Put a program on the PATH."""
        program = self.path / name
        program.write_text(text)
        program.chmod(0o755)
        return program

    def run(self, *tools: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        kept = {k: v for k, v in os.environ.items() if k not in (self.variable, "PATH")}
        return subprocess.run(
            [sys.executable, "scripts/build_tool.py", *(tools or [self.tool])],
            cwd=self.folder,
            env={**kept, "PATH": str(self.path), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(params=TOOLS, ids=[tool for tool, *_ in TOOLS])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    return Checkout(tmp_path, *request.param)


def test_server_is_built_at_the_pinned_release(checkout: Checkout) -> None:
    checkout.program("go", checkout.go)
    done = checkout.run()
    assert done.returncode == 0, done.stderr
    assert f"cmd/server@v{checkout.release}" in done.stdout
    assert f"Built .tools/{checkout.built.name} in" in done.stdout
    assert checkout.built.is_file()
    assert not checkout.folder.joinpath(".cache/go").exists()


def test_user_s_go_variables_are_ignored(checkout: Checkout) -> None:
    checkout.program("go", checkout.go.replace('"go $@"', '"$GOFLAGS $GO111MODULE $GOOS."'))
    away = str(checkout.folder / "away")
    done = checkout.run(
        GOFLAGS="-mod=vendor", GO111MODULE="off", GOOS="plan9", GOPATH=away, GOBIN=away
    )
    assert "-modcacherw on ." in done.stdout and done.returncode == 0
    assert not checkout.folder.joinpath("away").exists()


def test_server_is_built_once(checkout: Checkout) -> None:
    checkout.program("go", checkout.go)
    assert checkout.run().returncode == 0
    again = checkout.run()
    assert again.returncode == 0
    built = f"{checkout.title} v{checkout.release} is built: .tools/{checkout.built.name}\n"
    assert again.stdout == built


def test_another_release_is_replaced(checkout: Checkout) -> None:
    checkout.program("go", checkout.go)
    checkout.run()
    checkout.built.write_text(f"#!/bin/sh\necho {checkout.built.name} version 1.0.0\n")
    assert "Built" in checkout.run().stdout


def test_missing_go_is_reported_with_alternatives(checkout: Checkout) -> None:
    done = checkout.run()
    assert done.returncode == 1
    assert "There is no Go" in done.stderr and f"{checkout.variable}=" in done.stderr
    assert "Traceback" not in done.stderr


def test_failed_build_shows_its_output_and_leaves_nothing(checkout: Checkout) -> None:
    checkout.program("go", BROKEN_GO)
    done = checkout.run()
    assert done.returncode == 1
    assert "module lookup disabled" in done.stderr and f"{checkout.variable}=" in done.stderr
    assert not checkout.built.exists()


def test_named_server_is_used(checkout: Checkout) -> None:
    named = checkout.program("my-server", checkout.server.replace("\\n", "\n"))
    done = checkout.run(**{checkout.variable: str(named)})
    assert done.returncode == 0 and f"{checkout.variable} names: {named}" in done.stdout
    by_name = checkout.run(**{checkout.variable: "my-server"})
    assert by_name.returncode == 0 and f"{checkout.variable} names: {named}" in by_name.stdout


@pytest.mark.parametrize("text", ["#!/bin/sh\necho hello\n", "#!/bin/sh\nexit 1\n", "no program"])
def test_named_program_that_is_not_a_server_is_refused(checkout: Checkout, text: str) -> None:
    named = checkout.program("other", text)
    done = checkout.run(**{checkout.variable: str(named)})
    assert done.returncode == 1 and f"does not run as {checkout.title}" in done.stderr


def test_unknown_tool_is_refused(checkout: Checkout) -> None:
    done = checkout.run("another")
    assert done.returncode == 1 and done.stderr == "usage: build_tool.py livekit | toxiproxy\n"
