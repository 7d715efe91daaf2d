"""The script that finds the browser of the end-to-end tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "find_chromium.py"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that is the whole PATH."""
    return tmp_path


def program(path: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    made = path / name
    made.write_text(text)
    made.chmod(0o755)
    return made


def run(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "CHROMIUM")}
    return subprocess.run(
        [sys.executable, SCRIPT],
        env={**kept, "PATH": str(path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_first_known_name_is_found(path: Path) -> None:
    program(path, "google-chrome")
    chromium = program(path, "chromium")
    assert run(path).stdout == f"The browser of the tests is {chromium}\n"


def test_named_browser_is_used(path: Path) -> None:
    program(path, "chromium")
    mine = program(path, "my-browser")
    assert str(mine) in run(path, CHROMIUM=str(mine)).stdout


def test_missing_browser_is_reported_with_a_remedy(path: Path) -> None:
    done = run(path)
    assert done.returncode == 1 and "apt install chromium" in done.stderr


def test_named_program_that_does_not_exist_is_reported(path: Path) -> None:
    program(path, "apt-get", "#!/bin/sh\necho called\n")
    done = run(path, CHROMIUM="/nowhere/chrome", CI="true")
    assert done.returncode == 1 and "called" not in done.stdout
    assert done.stderr == "CHROMIUM is /nowhere/chrome, which is not a program.\n"


def test_browser_is_installed_in_ci_by_root_only(path: Path) -> None:
    chromium = path / "chromium"
    install = f"#!/bin/sh\necho apt-get $@\n[ $1 = update ] || cp {path}/apt-get {chromium}\n"
    program(path, "apt-get", install.replace("cp ", "/bin/cp "))
    assert run(path).returncode == 1, "not in CI"
    done = run(path, CI="true")
    installed = "apt-get install -q -y --no-install-recommends chromium" in done.stdout
    assert installed == chromium.exists() == (done.returncode == 0) == (os.geteuid() == 0)


def test_failed_installation_is_reported(path: Path) -> None:
    program(path, "apt-get", "#!/bin/sh\nexit 100\n")
    done = run(path, CI="true")
    assert done.returncode == 1 and "There is no Chromium" in done.stderr
    assert "Traceback" not in done.stderr
