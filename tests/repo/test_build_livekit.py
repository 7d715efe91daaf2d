"""The script that builds LiveKit's server: its output, its errors, and that it builds once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "build_livekit.py"
SERVER = "#!/bin/sh\necho livekit-server version 1.13.5\n"
# A Go that builds, and one that fails.
GO = f"""#!/bin/sh
echo "go $@"
mkdir -p "$GOBIN" && printf '{SERVER}' > "$GOBIN/server" && chmod +x "$GOBIN/server"
"""
BROKEN_GO = "#!/bin/sh\necho 'module lookup disabled' >&2\nexit 1\n"


class Checkout:
    """A folder with the script in it, and a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "path"
        self.path.mkdir()
        (folder / "scripts").mkdir()
        shutil.copy(SCRIPT, folder / "scripts")
        for tool in ("sh", "mkdir", "chmod", "printf"):
            self.path.joinpath(tool).symlink_to(shutil.which(tool) or tool)

    def program(self, name: str, text: str) -> Path:
        """Put a program on the PATH."""
        program = self.path / name
        program.write_text(text)
        program.chmod(0o755)
        return program

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        kept = {k: v for k, v in os.environ.items() if k not in ("LIVEKIT_SERVER", "PATH")}
        return subprocess.run(
            [sys.executable, "scripts/build_livekit.py"],
            cwd=self.folder,
            env={**kept, "PATH": str(self.path), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_server_is_built_at_the_pinned_release(checkout: Checkout) -> None:
    checkout.program("go", GO)
    done = checkout.run()
    assert done.returncode == 0, done.stderr
    assert "cmd/server@v1.13.5" in done.stdout and "Built .tools/livekit-server in" in done.stdout
    assert checkout.folder.joinpath(".tools/livekit-server").is_file()
    assert not checkout.folder.joinpath(".cache/go").exists()


def test_user_s_go_variables_are_ignored(checkout: Checkout) -> None:
    checkout.program("go", GO.replace('"go $@"', '"$GOFLAGS $GO111MODULE $GOOS."'))
    away = str(checkout.folder / "away")
    done = checkout.run(
        GOFLAGS="-mod=vendor", GO111MODULE="off", GOOS="plan9", GOPATH=away, GOBIN=away
    )
    assert "-modcacherw on ." in done.stdout and done.returncode == 0
    assert not checkout.folder.joinpath("away").exists()


def test_server_is_built_once(checkout: Checkout) -> None:
    checkout.program("go", GO)
    assert checkout.run().returncode == 0
    again = checkout.run()
    assert again.returncode == 0
    assert again.stdout == "LiveKit's server v1.13.5 is built: .tools/livekit-server\n"


def test_another_release_is_replaced(checkout: Checkout) -> None:
    checkout.program("go", GO)
    checkout.run()
    checkout.folder.joinpath(".tools/livekit-server").write_text(SERVER.replace("13.5", "13.4"))
    assert "Built" in checkout.run().stdout


def test_missing_go_is_reported_with_alternatives(checkout: Checkout) -> None:
    done = checkout.run()
    assert done.returncode == 1
    assert "There is no Go" in done.stderr and "LIVEKIT_SERVER=" in done.stderr
    assert "Traceback" not in done.stderr


def test_failed_build_shows_its_output_and_leaves_nothing(checkout: Checkout) -> None:
    checkout.program("go", BROKEN_GO)
    done = checkout.run()
    assert done.returncode == 1
    assert "module lookup disabled" in done.stderr and "LIVEKIT_SERVER=" in done.stderr
    assert not checkout.folder.joinpath(".tools/livekit-server").exists()


def test_named_server_is_used(checkout: Checkout) -> None:
    named = checkout.program("my-livekit", SERVER)
    done = checkout.run(LIVEKIT_SERVER=str(named))
    assert done.returncode == 0 and f"LIVEKIT_SERVER names: {named}" in done.stdout
    by_name = checkout.run(LIVEKIT_SERVER="my-livekit")
    assert by_name.returncode == 0 and f"LIVEKIT_SERVER names: {named}" in by_name.stdout


@pytest.mark.parametrize("text", ["#!/bin/sh\necho hello\n", "#!/bin/sh\nexit 1\n", "no program"])
def test_named_program_that_is_not_a_server_is_refused(checkout: Checkout, text: str) -> None:
    named = checkout.program("other", text)
    done = checkout.run(LIVEKIT_SERVER=str(named))
    assert done.returncode == 1 and "does not run as LiveKit's server" in done.stderr
